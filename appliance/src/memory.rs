//! The accountant of fetched data: every byte on its way from a store to a reader or a slab is reserved here.
//!
//! One pool with a hard limit. Demand may use all of it, background work (read-ahead and warm-ups) only a share, so
//! that a reader who waits never stands behind bytes that nobody has asked for yet. When the pool is short,
//! fetched data that was kept for later is let go ([`Budget::on_pressure`]), read-ahead is not started, then requests
//! wait.
//!
//! The daemon's other memory (slab index, listings, inodes, request buffers) has fixed shares of `--memory`, cut out
//! by [`Shares`].

use std::sync::Arc;
use std::sync::OnceLock;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Granule of the accounts: permits are counted in this unit.
const UNIT_BYTES: u64 = 4096;

/// Percentage of the pool that background work may hold.
const BACKGROUND_SHARE_PERCENT: u64 = 60;

/// Percentage of the pool in which blocks are kept after their readers were served.
pub const KEPT_SHARE_PERCENT: u64 = 40;

/// The most of the pool that one reservation takes. What is kept may stay for ever, so what one asks for must fit beside
/// it: otherwise all who wait would wait for ever.
const WISH_PERCENT_MAX: u64 = 20;

/// The most that rings take: enough for a host of 128 CPUs.
const RINGS_BYTES_MAX: u64 = 256 << 20;

const _: () = assert!(KEPT_SHARE_PERCENT + WISH_PERCENT_MAX <= BACKGROUND_SHARE_PERCENT);
const _: () = assert!(BACKGROUND_SHARE_PERCENT < 100);

/// Who wants memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A reader waits for it.
    Demand,
    /// Read-ahead and warm-ups.
    Background,
}

/// How `--memory` is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Index, page tables and write buffers of the slab store.
    pub slabs_bytes: u64,
    /// Cached listing pages.
    pub listings_bytes: u64,
    /// Fetched data, the pool of [`Budget`].
    pub fetch_bytes: u64,
    /// Requests that wait on rings of the mounts, all together.
    pub rings_bytes: u64,
}

impl Shares {
    /// Divides `memory_bytes`: a quarter to the slab store, an eighth to listings, three eighths to fetched data, and an
    /// eighth, but no more than [`RINGS_BYTES_MAX`], to rings. The rest is for inodes, connections and the allocator's
    /// own slack.
    pub fn of(memory_bytes: u64) -> Self {
        Self {
            slabs_bytes: memory_bytes / 4,
            listings_bytes: memory_bytes / 8,
            fetch_bytes: memory_bytes * 3 / 8,
            rings_bytes: (memory_bytes / 8).min(RINGS_BYTES_MAX),
        }
    }
}

impl Shares {
    /// The average size of objects from which on a cache of `cache_bytes` can be filled. When they are smaller, its index is
    /// full first, and it evicts earlier than it must.
    pub fn object_bytes_min(&self, cache_bytes: u64) -> Result<u64, slab_store::OpenError> {
        let blocks_max = slab_store::Options::blocks_max(cache_bytes, self.slabs_bytes)?;
        Ok(cache_bytes.div_ceil(blocks_max.max(1)))
    }
}

type Relief = Box<dyn Fn(u64, Class) + Send + Sync>;

/// The pool of fetched data.
pub struct Budget {
    all: Arc<Semaphore>,
    background: Arc<Semaphore>,
    units: u64,
    relief: OnceLock<Relief>,
}

/// Reserved bytes; dropping it gives them back.
#[derive(Debug)]
pub struct Reservation {
    all: OwnedSemaphorePermit,
    background: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// A pool of `limit_bytes`, rounded down to 4 KiB.
    pub fn new(limit_bytes: u64) -> Arc<Self> {
        let units = limit_bytes / UNIT_BYTES;
        let background = units * BACKGROUND_SHARE_PERCENT / 100;
        Arc::new(Self {
            all: Arc::new(Semaphore::new(usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS))),
            background: Arc::new(Semaphore::new(
                usize::try_from(background).unwrap_or(Semaphore::MAX_PERMITS),
            )),
            units,
            relief: OnceLock::new(),
        })
    }

    /// Sets what is called when memory is short, with the bytes wanted and the class whose limit is met. It should let go
    /// of data of that class that is kept for later. Must not call back into the budget. Set once.
    pub fn on_pressure(&self, relief: impl Fn(u64, Class) + Send + Sync + 'static) {
        let first = self.relief.set(Box::new(relief)).is_ok();
        debug_assert!(first, "the relief is set once, by the owner of the kept data");
    }

    /// Reserves memory, waiting for it. Never more than a fifth of the pool is taken at once: a larger wish is cut.
    pub async fn reserve(&self, bytes: u64, class: Class) -> Reservation {
        let units = self.units_for(bytes);
        self.relieve(units, class);
        let background = match class {
            Class::Demand => None,
            Class::Background => Some(acquire(&self.background, units).await),
        };
        self.relieve(units, Class::Demand);
        Reservation { all: acquire(&self.all, units).await, background }
    }

    /// Reserves memory for background work if it is free now.
    pub fn try_reserve_background(&self, bytes: u64) -> Option<Reservation> {
        let units = self.units_for(bytes);
        self.relieve(units, Class::Background);
        let background = Arc::clone(&self.background).try_acquire_many_owned(units).ok()?;
        let all = Arc::clone(&self.all).try_acquire_many_owned(units).ok()?;
        Some(Reservation { all, background: Some(background) })
    }

    /// Asks for kept data back when the pool of a class is short.
    fn relieve(&self, units: u32, class: Class) {
        let pool = match class {
            Class::Demand => &self.all,
            Class::Background => &self.background,
        };
        if pool.available_permits() < units as usize
            && let Some(relief) = self.relief.get()
        {
            relief(u64::from(units) * UNIT_BYTES, class);
        }
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> u64 {
        (self.units - (self.all.available_permits() as u64).min(self.units)) * UNIT_BYTES
    }

    /// The limit.
    pub fn limit_bytes(&self) -> u64 {
        self.units * UNIT_BYTES
    }

    fn units_for(&self, bytes: u64) -> u32 {
        let most = (self.units * WISH_PERCENT_MAX / 100).max(1);
        u32::try_from(bytes.div_ceil(UNIT_BYTES).clamp(1, most)).unwrap_or(u32::MAX)
    }
}

impl Reservation {
    /// Whether it is part of the background share.
    pub fn is_background(&self) -> bool {
        self.background.is_some()
    }

    /// Cuts `bytes` off into a reservation of their own; less when this one holds less.
    pub fn split(&mut self, bytes: u64) -> Reservation {
        let units =
            usize::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(usize::MAX).min(self.all.num_permits());
        let all = self.all.split(units).expect("units is at most what the permit holds");
        let background =
            self.background.as_mut().and_then(|permit| permit.split(units.min(permit.num_permits())));
        Reservation { all, background }
    }
}

async fn acquire(pool: &Arc<Semaphore>, units: u32) -> OwnedSemaphorePermit {
    Arc::clone(pool).acquire_many_owned(units).await.expect("the pool's semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_leaves_room_for_demand() {
        let budget = Budget::new(10 << 20);
        let mut held = Vec::new();
        while let Some(reservation) = budget.try_reserve_background(1 << 20) {
            held.push(reservation);
        }
        assert_eq!(held.len(), 6);
        assert_eq!(budget.used_bytes(), 6 << 20);
    }

    #[tokio::test]
    async fn a_demand_that_must_wait_asks_for_relief_and_gets_it() {
        let budget = Budget::new(1 << 20);
        let kept: Arc<parking_lot::Mutex<Vec<Reservation>>> = Arc::default();
        for _ in 0..5 {
            let reservation = budget.reserve(200 << 10, Class::Demand).await;
            kept.lock().push(reservation);
        }
        let held = Arc::clone(&kept);
        budget.on_pressure(move |_, _| held.lock().clear());
        let reservation = budget.reserve(200 << 10, Class::Demand).await;
        assert_eq!(budget.used_bytes(), 200 << 10);
        drop(reservation);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test]
    async fn split_parts_go_back_alone() {
        let budget = Budget::new(10 << 20);
        let mut whole = budget.reserve(1 << 20, Class::Background).await;
        let part = whole.split(256 << 10);
        drop(whole);
        assert_eq!(budget.used_bytes(), 256 << 10);
        drop(part);
        assert_eq!(budget.used_bytes(), 0);
    }
}
