//! What is on its way and what has been sent: limits and counters of one mount.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Paths whose cost is remembered; one more forgets all, which costs at most one early send each.
const PATHS_MAX: usize = 4096;

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
    in_flight: Arc<AtomicU64>,
    pub(super) sent_bytes: AtomicU64,
    pub(super) copied_bytes: AtomicU64,
}

/// A place; dropping it gives it back.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    in_flight: Arc<AtomicU64>,
}

impl Transfers {
    pub(super) fn new(stores: usize, uploads_max: usize) -> Self {
        Self {
            places: (0..stores).map(|_| Arc::new(Semaphore::new(uploads_max.max(1)))).collect(),
            in_flight: Arc::default(),
            sent_bytes: AtomicU64::new(0),
            copied_bytes: AtomicU64::new(0),
        }
    }

    /// Waits for a place.
    pub(super) async fn place(&self, store: u16) -> Place {
        let places = Arc::clone(&self.places[usize::from(store)]);
        let permit = places.acquire_owned().await.expect("the semaphore is never closed");
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Place { _permit: permit, in_flight: Arc::clone(&self.in_flight) }
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
