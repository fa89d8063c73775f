//! [`Store`]: a connected backing store with its name in cache keys and its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::status::StoreStatus;

/// Place of a store in its mount's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreIndex(pub u16);

/// A backing store.
pub struct Store {
    /// The connection.
    pub ufs: Arc<dyn ufs::Ufs>,
    /// Endpoint, bucket and prefix: what names the store in cache keys and in the metadata database.
    pub identity: String,
    /// Counters of reads.
    pub counters: StoreCounters,
}

/// What the daemon asked of a store.
#[derive(Default)]
pub struct StoreCounters {
    reads: AtomicU64,
    read_bytes: AtomicU64,
    errors: AtomicU64,
    last_error: Mutex<String>,
}

impl Store {
    /// A store under its identity.
    pub fn new(ufs: Arc<dyn ufs::Ufs>, identity: String) -> Self {
        Self { ufs, identity, counters: StoreCounters::default() }
    }

    /// The counters for `forebay status`.
    pub fn status(&self) -> StoreStatus {
        let counters = &self.counters;
        StoreStatus {
            url: self.ufs.url().to_owned(),
            reads: counters.reads.load(Ordering::Relaxed),
            read_bytes: counters.read_bytes.load(Ordering::Relaxed),
            errors: counters.errors.load(Ordering::Relaxed),
            last_error: counters.last_error.lock().clone(),
        }
    }
}

impl StoreCounters {
    /// A read is about to be sent.
    pub fn read_started(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of a body arrived.
    pub fn bytes_received(&self, count: u64) {
        self.read_bytes.fetch_add(count, Ordering::Relaxed);
    }

    /// A read is complete.
    pub fn read_succeeded(&self) {
        let mut last = self.last_error.lock();
        if !last.is_empty() {
            last.clear();
        }
    }

    /// A read failed for good.
    pub fn read_failed(&self, error: &ufs::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock() = error.to_string();
    }
}
