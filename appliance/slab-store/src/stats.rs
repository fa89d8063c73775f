//! Counters of a store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A point-in-time view of a store. Counters count from when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Reads answered.
    pub hits: u64,
    /// Reads not answered, for whatever reason.
    pub misses: u64,
    /// Blocks taken.
    pub inserted_blocks: u64,
    /// Bytes of blocks taken.
    pub inserted_bytes: u64,
    /// Blocks given up by eviction.
    pub evicted_blocks: u64,
    /// Bytes of blocks given up by eviction.
    pub evicted_bytes: u64,
    /// Bytes of blocks that eviction wrote again because they had been read.
    pub reinserted_bytes: u64,
    /// Bytes that did not verify and were dropped.
    pub checksum_mismatches: u64,
    /// Reads, writes and flushes that the device failed.
    pub device_errors: u64,
    /// Slabs sealed.
    pub sealed_slabs: u64,
    /// Blocks in the cache.
    pub blocks: u64,
    /// Bytes of blocks in the cache, without padding and footers.
    pub used_bytes: u64,
    /// Bytes taken on the device.
    pub capacity_bytes: u64,
    /// Bytes of memory of the index.
    pub index_memory_bytes: u64,
    /// Bytes of memory under the bound: index, page tables, ghost entries, write segments, footers being built.
    pub memory_bytes: u64,
    /// The bound.
    pub memory_bytes_max: u64,
}

/// One counter on a cache line of its own: threads that count different things do not share lines.
#[repr(align(64))]
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, value: u64) {
        self.0.fetch_add(value, Relaxed);
    }

    pub(crate) fn sub(&self, value: u64) {
        self.0.fetch_sub(value, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) inserted_blocks: Counter,
    pub(crate) inserted_bytes: Counter,
    pub(crate) evicted_blocks: Counter,
    pub(crate) evicted_bytes: Counter,
    pub(crate) reinserted_bytes: Counter,
    pub(crate) checksum_mismatches: Counter,
    pub(crate) device_errors: Counter,
    pub(crate) sealed_slabs: Counter,
}
