//! The blocks that are on their way or in memory: one entry each, whoever wants it.
//!
//! ```text
//!            claim (first)            fetched                      settled and consumed, or
//!   absent ---------------> pending ----------> kept in memory ---- settled and room is wanted -----------> absent
//!                              |
//!                              '-- failed: everyone who waits gets the error, the entry goes at once
//! ```
//!
//! A block is settled when the slab writer is done with it. Until then the writer's queue holds its memory, so taking it
//! out of the table would free nothing, and whoever wants it next would fetch it again.
//!
//! A failure is never kept: the next reader asks the store again.
//!
//! Locks: a shard and the order of the kept blocks are never held together, and neither across an await.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Block, FetchError};
use crate::memory::Class;
use crate::object::{BlockId, Object};

const SHARDS: usize = 16;

/// Bits of [`Flight::leaving`]: whoever sets the second one takes the block out of the table. `UNWANTED` is set, and
/// blocks of which both are not set are removed, under the lock of the block's shard.
const SETTLED: u8 = 1;
const UNWANTED: u8 = 2;

/// Stale places that the order may hold beyond its live ones before it is swept.
const STALE_MAX: usize = 1024;

/// The table.
pub(super) struct Flights {
    shards: [Mutex<HashMap<BlockId, Arc<Flight>>>; SHARDS],
    /// Blocks in memory, oldest first; some may be gone from the table already.
    order: Mutex<VecDeque<BlockId>>,
    kept_bytes: AtomicU64,
    kept_count: AtomicU64,
    kept_limit_bytes: u64,
}

/// One block on its way.
#[derive(Default)]
pub(super) struct Flight {
    result: OnceLock<Result<Block, FetchError>>,
    done: Notify,
    leaving: AtomicU8,
}

impl Flight {
    /// Waits for the block.
    pub(super) async fn wait(&self) -> Result<Block, FetchError> {
        loop {
            let done = self.done.notified();
            if let Some(result) = self.result.get() {
                return result.clone();
            }
            done.await;
        }
    }

    fn block(&self) -> Option<&Block> {
        self.result.get()?.as_ref().ok()
    }

    fn finish(&self, result: Result<Block, FetchError>) {
        if self.result.set(result).is_ok() {
            self.done.notify_waiters();
        }
    }
}

impl Flights {
    pub(super) fn new(kept_limit_bytes: u64) -> Self {
        Self {
            shards: Default::default(),
            order: Mutex::default(),
            kept_bytes: AtomicU64::new(0),
            kept_count: AtomicU64::new(0),
            kept_limit_bytes,
        }
    }

    fn shard(&self, id: &BlockId) -> &Mutex<HashMap<BlockId, Arc<Flight>>> {
        &self.shards[(id.object as usize ^ id.index.0 as usize) % SHARDS]
    }

    /// Whether a block is on its way or in memory.
    pub(super) fn has(&self, object: &Object, index: u32) -> bool {
        let id = object.block_id(index);
        self.shard(&id).lock().contains_key(&id)
    }

    /// All of the blocks, if all are in memory.
    pub(super) fn kept(&self, object: &Object, blocks: Range<u32>) -> Option<Vec<Block>> {
        if self.kept_count.load(Ordering::Relaxed) < blocks.len() as u64 {
            return None;
        }
        let find = |index| {
            let id = object.block_id(index);
            self.shard(&id).lock().get(&id).and_then(|flight| flight.block().cloned())
        };
        find(blocks.start)?;
        blocks.map(find).collect()
    }

    /// Joins the flights of a run of blocks and opens those that nobody has opened yet.
    pub(super) fn claim(self: &Arc<Self>, object: &Object, blocks: Range<u32>) -> Claim {
        let mut claim = Claim { all: Vec::with_capacity(blocks.len()), runs: Vec::new() };
        for index in blocks {
            let id = object.block_id(index);
            let mut fresh = false;
            let flight = Arc::clone(self.shard(&id).lock().entry(id).or_insert_with(|| {
                fresh = true;
                Arc::default()
            }));
            if fresh {
                claim.own(self, id, Arc::clone(&flight));
            }
            claim.all.push(flight);
        }
        claim
    }

    /// The slab writer is done with a block: the slabs have it, or will not have it.
    pub(super) fn settle(&self, object: &Object, index: u32, flight: &Arc<Flight>) {
        if flight.leaving.fetch_or(SETTLED, Ordering::AcqRel) == UNWANTED {
            let id = object.block_id(index);
            let mut shard = self.shard(&id).lock();
            if shard.get(&id).is_some_and(|kept| Arc::ptr_eq(kept, flight)) {
                shard.remove(&id);
            }
        }
    }

    /// Lets go of kept blocks that are settled.
    pub(super) fn drop_settled(&self, object: &Object, blocks: Range<u32>) {
        for index in blocks {
            let id = object.block_id(index);
            let mut shard = self.shard(&id).lock();
            if shard.get(&id).is_some_and(|flight| flight.leaving.load(Ordering::Acquire) == SETTLED) {
                let removed = shard.remove(&id);
                drop(shard);
                removed.iter().for_each(|flight| self.uncount(flight));
            }
        }
    }

    /// Lets go of the oldest kept blocks until about `bytes` of a class's share are free; those that are not settled go
    /// as soon as they are.
    pub(super) fn release(&self, bytes: u64, class: Class) {
        let mut freed = 0;
        while freed < bytes {
            let Some(id) = self.order.lock().pop_front() else { return };
            let flight = self.let_go(&id);
            freed += flight.as_deref().and_then(Flight::block).map_or(0, |block| block.reserved_bytes(class));
        }
    }

    /// Takes a kept block out of the table, or marks it to go when it is settled. `None` when it is not kept (any more).
    fn let_go(&self, id: &BlockId) -> Option<Arc<Flight>> {
        let mut shard = self.shard(id).lock();
        let flight = Arc::clone(shard.get(id)?);
        flight.block()?;
        let before = flight.leaving.fetch_or(UNWANTED, Ordering::AcqRel);
        if before & SETTLED != 0 {
            shard.remove(id);
        }
        drop(shard);
        if before & UNWANTED != 0 {
            return None;
        }
        self.uncount(&flight);
        Some(flight)
    }

    /// Bytes of blocks that are in memory.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> u64 {
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// Takes a block off the accounts of what is kept, once: when it leaves, or when it is told to.
    fn uncount(&self, flight: &Flight) {
        if let Some(block) = flight.block() {
            self.kept_bytes.fetch_sub(block.len() as u64, Ordering::Relaxed);
            self.kept_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn keep(&self, id: BlockId, bytes: u64) {
        let kept = self.kept_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let count = self.kept_count.fetch_add(1, Ordering::Relaxed) as usize + 1;
        {
            let mut order = self.order.lock();
            order.push_back(id);
            if order.len() > 2 * count + STALE_MAX {
                order.retain(|id| self.shard(id).lock().contains_key(id));
            }
        }
        self.release(kept.saturating_sub(self.kept_limit_bytes), Class::Demand);
    }
}

/// What a claim on a run of blocks gave.
pub(super) struct Claim {
    all: Vec<Arc<Flight>>,
    runs: Vec<OwnedRun>,
}

impl Claim {
    /// The flights of all blocks of the run, in order.
    pub(super) fn flights(&self) -> &[Arc<Flight>] {
        &self.all
    }

    /// The runs that this claim must fetch, cut at multiples of `part` blocks.
    pub(super) fn into_parts(self, part: u32) -> impl Iterator<Item = OwnedRun> {
        self.runs.into_iter().flat_map(move |run| run.into_parts(part))
    }

    fn own(&mut self, table: &Arc<Flights>, id: BlockId, flight: Arc<Flight>) {
        match self.runs.last_mut() {
            Some(run) if run.blocks().end == id.index.0 => run.flights.push_back(flight),
            _ => self.runs.push(OwnedRun {
                table: Arc::clone(table),
                object: id.object,
                next: id.index.0,
                flights: VecDeque::from([flight]),
            }),
        }
    }
}

/// Flights that one fetch has to bring home. What it has not landed when it is dropped fails.
pub(super) struct OwnedRun {
    table: Arc<Flights>,
    object: u128,
    next: u32,
    flights: VecDeque<Arc<Flight>>,
}

impl OwnedRun {
    /// The blocks still to fetch.
    pub(super) fn blocks(&self) -> Range<u32> {
        self.next..self.next + self.flights.len() as u32
    }

    /// Lands the next block: everyone who waits gets it, and it stays in memory for a while.
    pub(super) fn land(&mut self, block: Block) -> Option<Arc<Flight>> {
        let flight = self.flights.pop_front()?;
        let id = self.id(self.next);
        self.next += 1;
        let bytes = block.len() as u64;
        flight.finish(Ok(block));
        self.table.keep(id, bytes);
        Some(flight)
    }

    /// Fails all that is left.
    pub(super) fn fail(&mut self, error: &FetchError) {
        while let Some(flight) = self.flights.pop_front() {
            let id = self.id(self.next);
            self.next += 1;
            self.table.shard(&id).lock().remove(&id);
            flight.finish(Err(error.clone()));
        }
    }

    fn id(&self, index: u32) -> BlockId {
        BlockId { object: self.object, index: slab_store::BlockIndex(index) }
    }

    fn into_parts(mut self, part: u32) -> Vec<OwnedRun> {
        let mut parts = Vec::new();
        while !self.flights.is_empty() {
            let room = (part - self.next % part) as usize;
            let flights: VecDeque<_> = self.flights.drain(..room.min(self.flights.len())).collect();
            let count = flights.len() as u32;
            parts.push(OwnedRun {
                table: Arc::clone(&self.table),
                object: self.object,
                next: self.next,
                flights,
            });
            self.next += count;
        }
        parts
    }
}

impl Drop for OwnedRun {
    fn drop(&mut self) {
        if !self.flights.is_empty() {
            self.fail(&FetchError::Aborted);
        }
    }
}
