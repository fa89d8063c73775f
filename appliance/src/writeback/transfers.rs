//! What is on its way and what has been sent: limits and counters of one mount.
//!
//! While readers wait for stores, transfers step back: one at a time, with pauses of [`PAUSE_FACTOR`] times its length, so
//! that readers keep four fifths of a store or a network that both have to share. A transfer that has begun goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use crate::movers::Demand;

/// Paths whose cost is remembered; one more forgets all, which costs at most one early send each.
const PATHS_MAX: usize = 4096;

/// A pause beside the transfer before it, while readers wait.
const PAUSE_FACTOR: u32 = 4;
/// The longest pause: uploads go on, however long readers are at it.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Bytes that were sent for each path lately; files that are closed for good fall out some time.
#[derive(Default)]
pub(super) struct Sent(Mutex<BTreeMap<Box<str>, u64>>);

impl Sent {
    pub(super) fn add(&self, path: &str, bytes: u64) {
        let mut sent = self.0.lock();
        if let Some(known) = sent.get_mut(path) {
            *known += bytes;
            return;
        }
        if sent.len() >= PATHS_MAX {
            sent.clear();
        }
        sent.insert(path.into(), bytes);
    }

    pub(super) fn bytes(&self, path: &str) -> u64 {
        self.0.lock().get(path).copied().unwrap_or(0)
    }
}

/// Places among the transfers to each store of a mount, so that one that does not answer holds up no other.
pub(super) struct Transfers {
    places: Vec<Arc<Semaphore>>,
    demand: Arc<Demand>,
    /// The turn of those that step back.
    turn: Arc<Semaphore>,
    in_flight: Arc<AtomicU64>,
    pub(super) sent_bytes: AtomicU64,
    pub(super) copied_bytes: AtomicU64,
}

/// A place; dropping it gives it back.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    in_flight: Arc<AtomicU64>,
    turn: Option<Turn>,
}

/// The turn of a transfer that steps back.
struct Turn {
    permit: OwnedSemaphorePermit,
    began: Instant,
}

impl Transfers {
    pub(super) fn new(stores: usize, uploads_max: usize, demand: Arc<Demand>) -> Self {
        Self {
            places: (0..stores).map(|_| Arc::new(Semaphore::new(uploads_max.max(1)))).collect(),
            demand,
            turn: Arc::new(Semaphore::new(1)),
            in_flight: Arc::default(),
            sent_bytes: AtomicU64::new(0),
            copied_bytes: AtomicU64::new(0),
        }
    }

    /// Waits for a place, and while readers wait for a turn too.
    pub(super) async fn place(&self, store: u16) -> Place {
        let places = Arc::clone(&self.places[usize::from(store)]);
        let permit = places.acquire_owned().await.expect("the semaphore is never closed");
        let turn = if self.demand.is_there() { self.turn().await } else { None };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Place { _permit: permit, in_flight: Arc::clone(&self.in_flight), turn }
    }

    /// `None` when no reader waits any more when it comes.
    async fn turn(&self) -> Option<Turn> {
        let permit = Arc::clone(&self.turn).acquire_owned().await.expect("the semaphore is never closed");
        self.demand.is_there().then(|| Turn { permit, began: Instant::now() })
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(Turn { permit, began }) = self.turn.take() {
            let pause = (began.elapsed() * PAUSE_FACTOR).min(PAUSE_MAX);
            tokio::spawn(async move {
                sleep(pause).await;
                drop(permit);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for a place that is free, short enough for a test.
    const SHORT: Duration = Duration::from_millis(30);

    async fn soon(transfers: &Transfers) -> Option<Place> {
        tokio::time::timeout(SHORT, transfers.place(0)).await.ok()
    }

    #[tokio::test]
    async fn without_readers_only_the_places_count() {
        let transfers = Transfers::new(1, 2, Arc::default());
        let places = [transfers.place(0).await, transfers.place(0).await];
        assert!(soon(&transfers).await.is_none());
        drop(places);
        assert!(soon(&transfers).await.is_some());
    }

    #[tokio::test]
    async fn with_readers_there_is_one_at_a_time_and_a_pause() {
        let demand: Arc<Demand> = Arc::default();
        let transfers = Transfers::new(1, 8, Arc::clone(&demand));
        let _reading = demand.read();
        let first = transfers.place(0).await;
        assert!(soon(&transfers).await.is_none(), "one at a time");
        drop(first);
        let dropped = Instant::now();
        let _second = transfers.place(0).await;
        assert!(dropped.elapsed() >= SHORT * PAUSE_FACTOR, "{:?}", dropped.elapsed());
    }

    #[tokio::test]
    async fn when_the_readers_are_done_all_go_on() {
        let demand: Arc<Demand> = Arc::default();
        let transfers = Transfers::new(1, 8, Arc::clone(&demand));
        let reading = demand.read();
        drop(transfers.place(0).await);
        drop(reading);
        while demand.is_there() {
            tokio::task::yield_now().await;
        }
        let _first = transfers.place(0).await;
        assert!(soon(&transfers).await.is_some());
    }
}
