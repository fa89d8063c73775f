//! The movers: they bring blocks from the stores into memory, to waiting readers and into the cache.
//!
//! Parts: [`block`] is data in memory with its reservation; [`flights`] is the table of blocks that are on their way
//! or still in memory, which makes concurrent readers share one fetch; [`fetch`] is one ranged read cut into blocks;
//! [`inserts`] writes fetched blocks to the cache behind the readers' backs; [`cache_reads`] reads single blocks for
//! those reads that find one part in the cache and another in the store; [`slots`] bounds the requests to the stores; [`Demand`]
//! tells write-back that readers wait.
//!
//! Flow of a miss: [`Movers::read`] looks at each block of the range: in memory, in the cache, or neither. Runs of
//! the last kind become one ranged read each. A block is handed to all who wait for it as soon as its last byte is
//! here, then queued for the cache, and kept in memory until the budget wants the room back.
//!
//! The trade: a fetched block is written to the cache while readers are served from memory, so a first epoch pays
//! for NVMe bandwidth but never waits for it unless the memory budget is used up.

mod block;
mod cache_reads;
mod demand;
mod fetch;
mod flights;
mod inserts;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use slab_store::BLOCK_BYTES;
use ufs::ByteRange;

pub use block::Block;
use cache_reads::CacheReads;
pub use demand::Demand;
pub use fetch::FetchError;
use flights::{Claim, Flight, Flights};
use inserts::Inserts;
use slots::Slots;

use crate::cache::Cache;
use crate::memory::{Budget, Class, KEPT_SHARE_PERCENT, Reservation};
use crate::object::Object;

/// The most bytes that one request asks of a store.
pub const PART_BYTES: u64 = 4 << 20;

/// Blocks of one request.
const PART_BLOCKS: u32 = (PART_BYTES / BLOCK_BYTES as u64) as u32;

/// Parts of one object that a warm-up has in flight.
const WARM_PARTS_MAX: usize = 8;

/// How often a read looks for its blocks before it gives up. The first look may use the cache; later ones do not, so
/// that a block which is evicted or found damaged in between costs one more round at most.
const LOOKS_MAX: u32 = 3;

/// Moves blocks. Shared by all mounts of the daemon.
pub struct Movers {
    cache: Option<Cache>,
    cache_reads: Option<CacheReads>,
    budget: Arc<Budget>,
    flights: Arc<Flights>,
    inserts: Inserts,
    slots: Slots,
    demand: Arc<Demand>,
}

impl Movers {
    /// Starts the movers on the current tokio runtime. `cache` is absent when the daemon runs without one.
    pub fn start(cache: Option<Cache>, budget: Arc<Budget>) -> std::io::Result<Arc<Self>> {
        let flights = Arc::new(Flights::new(budget.limit_bytes() * KEPT_SHARE_PERCENT / 100));
        let kept = Arc::clone(&flights);
        budget.on_pressure(move |bytes, class| kept.release(bytes, class));
        let cache_reads = cache.as_ref().map(CacheReads::start).transpose()?;
        let queue_blocks = budget.limit_bytes() / u64::from(BLOCK_BYTES);
        let inserts = Inserts::start(cache.clone(), Arc::clone(&flights), queue_blocks)?;
        Ok(Arc::new(Self {
            cache,
            cache_reads,
            budget,
            flights,
            inserts,
            slots: Slots::default(),
            demand: Arc::default(),
        }))
    }

    /// Whether readers wait for stores.
    pub fn demand(&self) -> Arc<Demand> {
        Arc::clone(&self.demand)
    }

    /// The blocks of a range if all of them are in memory now.
    pub fn in_memory(&self, object: &Object, range: ByteRange) -> Option<Vec<Block>> {
        self.flights.kept(object, object.blocks_of(range))
    }

    /// A reader took the end of these blocks: they need not stay in memory when the cache has them.
    pub fn consumed(&self, object: &Object, blocks: Range<u32>) {
        if self.cache.is_some() {
            self.flights.drop_settled(object, blocks);
        }
    }

    /// The blocks of a range, from memory, the cache or the store. What is missing of `fetch` around the range comes
    /// along with it, in the same requests.
    pub async fn read(
        self: &Arc<Self>,
        object: &Arc<Object>,
        range: ByteRange,
        fetch: ByteRange,
    ) -> Result<Vec<Block>, FetchError> {
        let wanted = object.blocks_of(range);
        let around = object.blocks_of(fetch);
        let around = around.start.min(wanted.start)..around.end.max(wanted.end);
        for look in 0..LOOKS_MAX {
            if let Some(blocks) = self.look(object, wanted.clone(), around.clone(), look == 0).await? {
                return Ok(blocks);
            }
        }
        Err(FetchError::lost(object))
    }

    /// Starts fetching what is missing of a run of blocks, as far as memory is free now; nobody waits for it.
    /// Returns false when memory was short and something was left out.
    pub fn read_ahead(self: &Arc<Self>, object: &Arc<Object>, blocks: Range<u32>) -> bool {
        for run in self.missing_runs(object, blocks) {
            let bytes = object.bytes_of(&run).len();
            let Some(mut memory) = self.budget.try_reserve_background(bytes) else { return false };
            let claim = self.flights.claim(object, run);
            self.spawn_fetches(object, claim, Class::Background, &mut memory);
        }
        true
    }

    /// Fetches whatever the cache lacks of an object and returns when it has arrived. The number of bytes fetched.
    pub async fn ensure_cached(self: &Arc<Self>, object: &Arc<Object>) -> Result<u64, FetchError> {
        let mut fetched = 0;
        let mut under_way = FuturesUnordered::new();
        for run in self.missing_runs(object, 0..object.block_count()) {
            let bytes = object.bytes_of(&run).len();
            let reserve = self.budget.reserve(bytes, Class::Background);
            let mut memory = landing_meanwhile(reserve, &mut under_way).await?;
            fetched += bytes;
            let claim = self.flights.claim(object, run);
            under_way.push(land_all(claim.flights().to_vec()));
            self.spawn_fetches(object, claim, Class::Background, &mut memory);
            if under_way.len() >= WARM_PARTS_MAX {
                under_way.next().await.transpose()?;
            }
        }
        while let Some(landed) = under_way.next().await {
            landed?;
        }
        Ok(fetched)
    }

    /// Waits until everything fetched so far is in the cache.
    pub async fn drain(&self) {
        self.inserts.drain().await;
    }

    /// Memory for all that a read may need is reserved at once: readers that hold some and wait for more could wait for
    /// each other.
    async fn look(
        self: &Arc<Self>,
        object: &Arc<Object>,
        wanted: Range<u32>,
        around: Range<u32>,
        use_cache: bool,
    ) -> Result<Option<Vec<Block>>, FetchError> {
        let mut memory = self.budget.reserve(object.bytes_of(&around).len(), Class::Demand).await;
        let mut flights: HashMap<u32, Arc<Flight>> = HashMap::with_capacity(wanted.len());
        for run in runs(around, |index| !(use_cache && self.is_cached(object, index))) {
            let claim = self.flights.claim(object, run.clone());
            flights.extend(run.zip(claim.flights().iter().cloned()));
            self.spawn_fetches(object, claim, Class::Demand, &mut memory);
        }
        let mut blocks = Vec::with_capacity(wanted.len());
        for index in wanted {
            let block = match flights.get(&index) {
                Some(flight) => Some(flight.wait().await?),
                None => self.read_cached(object, index, &mut memory).await,
            };
            let Some(block) = block else { return Ok(None) };
            blocks.push(block);
        }
        Ok(Some(blocks))
    }

    async fn read_cached(&self, object: &Arc<Object>, index: u32, memory: &mut Reservation) -> Option<Block> {
        let memory = memory.split(object.bytes_of(&(index..index + 1)).len());
        let data = self.cache_reads.as_ref()?.read(Arc::clone(object), index).await?;
        Some(Block::new(vec![data], memory))
    }

    fn is_cached(&self, object: &Object, index: u32) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.contains(object, index))
    }

    /// Runs of at most a part of the blocks that are neither in the cache nor on their way.
    fn missing_runs(&self, object: &Object, blocks: Range<u32>) -> Vec<Range<u32>> {
        let missing = |index| !self.is_cached(object, index) && !self.flights.has(object, index);
        runs(blocks, missing).flat_map(in_parts).collect()
    }

    fn spawn_fetches(
        self: &Arc<Self>,
        object: &Arc<Object>,
        claim: Claim,
        class: Class,
        memory: &mut Reservation,
    ) {
        for part in claim.into_parts(PART_BLOCKS) {
            let bytes = object.bytes_of(&part.blocks()).len();
            let share = memory.split(bytes);
            let movers = Arc::clone(self);
            let object = Arc::clone(object);
            tokio::spawn(async move { movers.fetch(&object, part, class, share).await });
        }
    }
}

/// Waits for memory. What lands meanwhile is let go of at once: blocks that were held here would be the very memory
/// that is waited for.
async fn landing_meanwhile(
    reserve: impl Future<Output = Reservation>,
    under_way: &mut FuturesUnordered<impl Future<Output = Result<(), FetchError>>>,
) -> Result<Reservation, FetchError> {
    let mut reserve = pin!(reserve);
    loop {
        tokio::select! {
            reservation = &mut reserve => return Ok(reservation),
            Some(landed) = under_way.next() => landed?,
        }
    }
}

async fn land_all(flights: Vec<Arc<Flight>>) -> Result<(), FetchError> {
    for flight in flights {
        flight.wait().await?;
    }
    Ok(())
}

/// Cuts a run at multiples of a part, so that parts of neighbouring readers meet.
fn in_parts(run: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let mut start = run.start;
    std::iter::from_fn(move || {
        (start < run.end).then(|| {
            let end = (start / PART_BLOCKS + 1).saturating_mul(PART_BLOCKS).min(run.end);
            let part = start..end;
            start = end;
            part
        })
    })
}

/// The maximal runs of indices for which `take` holds.
fn runs(range: Range<u32>, take: impl Fn(u32) -> bool) -> impl Iterator<Item = Range<u32>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        while at < range.end && !take(at) {
            at += 1;
        }
        let start = at;
        while at < range.end && take(at) {
            at += 1;
        }
        (start < at).then_some(start..at)
    })
}
