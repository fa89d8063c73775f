//! Counters of one mount's reads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::status::ReadStatus;

/// Reads by source.
#[derive(Default)]
pub struct ReadCounters {
    bytes: AtomicU64,
    cache_hits: AtomicU64,
    memory_hits: AtomicU64,
    misses: AtomicU64,
    errors: AtomicU64,
}

impl ReadCounters {
    pub(super) fn served_from_memory(&self, bytes: u64) {
        self.count(&self.memory_hits, bytes);
    }

    pub(super) fn served_from_cache(&self, bytes: u64) {
        self.count(&self.cache_hits, bytes);
    }

    pub(super) fn served_from_store(&self, bytes: u64) {
        self.count(&self.misses, bytes);
    }

    pub(super) fn failed(&self) {
        self.count(&self.errors, 0);
    }

    fn count(&self, source: &AtomicU64, bytes: u64) {
        source.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The counters for `forebay status`.
    pub fn status(&self) -> ReadStatus {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (cache_hits, memory_hits) = (get(&self.cache_hits), get(&self.memory_hits));
        let (misses, errors) = (get(&self.misses), get(&self.errors));
        ReadStatus {
            requests: cache_hits + memory_hits + misses + errors,
            bytes: get(&self.bytes),
            cache_hits,
            memory_hits,
            misses,
            errors,
        }
    }
}
