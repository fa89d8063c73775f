//! Counters.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) inserted_bytes: Counter,
    pub(crate) refused_bytes: Counter,
    pub(crate) evicted_files: Counter,
    pub(crate) evicted_bytes: Counter,
    pub(crate) promoted: Counter,
    pub(crate) demoted: Counter,
    pub(crate) checksum_mismatches: Counter,
    pub(crate) device_errors: Counter,
    pub(crate) scrubbed_bytes: Counter,
    pub(crate) scrub_rounds: Counter,
    pub(crate) scrub_files_done: Counter,
}

/// A store in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that all files may take.
    pub limit_bytes: u64,
    /// Bytes that they take, those without a name that somebody still uses included.
    pub used_bytes: u64,
    /// Objects of which something is there.
    pub files: u64,
    /// Objects that are complete.
    pub sealed_files: u64,
    /// Removed files that somebody has still mapped.
    pub lingering_files: u64,
    /// Bytes written.
    pub inserted_bytes: u64,
    /// Bytes that found no room, because everything else was in use.
    pub refused_bytes: u64,
    /// Files evicted.
    pub evicted_files: u64,
    /// Their bytes.
    pub evicted_bytes: u64,
    /// Files that became complete.
    pub promoted: u64,
    /// Complete files that were dropped because they could not be read or did not match their checksums.
    pub demoted: u64,
    /// Blocks whose checksum did not match.
    pub checksum_mismatches: u64,
    /// Failed reads, writes and syncs.
    pub device_errors: u64,
    /// Bytes that the scrubber read.
    pub scrubbed_bytes: u64,
    /// Whole rounds of the scrubber.
    pub scrub_rounds: u64,
    /// Files that the scrubber has read in the round that runs.
    pub scrub_files_done: u64,
}
