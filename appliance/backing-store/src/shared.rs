//! [`Shared`]: what all handles of a store have in common, and what ends an entry.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::{Condvar, Mutex};
use slab_store::BLOCK_BYTES;

use crate::entry::Entry;
use crate::files::{Files, Paths};
use crate::index::Index;
use crate::options::Options;
use crate::space::Space;
use crate::stats::Counters;

/// Device errors in a row, with no success between them, after which the store is taken out.
const ERRORS_IN_A_ROW_MAX: u32 = 8;

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) index: Index,
    pub(crate) space: Arc<Space>,
    pub(crate) counters: Counters,
    /// Held while the files of a new entry are made.
    pub(crate) making: Mutex<()>,
    failed: AtomicBool,
    errors_in_a_row: AtomicU32,
    /// Set once, for the scrubber to end.
    pub(crate) stopping: (Mutex<bool>, Condvar),
    /// Locked as long as the store is open.
    _lock: std::fs::File,
}

impl Shared {
    pub(crate) fn new(options: Options, lock: std::fs::File) -> Self {
        Self {
            space: Space::new(options.budget_bytes),
            options,
            index: Index::default(),
            counters: Counters::default(),
            making: Mutex::default(),
            failed: AtomicBool::new(false),
            errors_in_a_row: AtomicU32::new(0),
            stopping: (Mutex::new(false), Condvar::new()),
            _lock: lock,
        }
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Takes the store out.
    pub(crate) fn fail(&self, reason: &str) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            let directory = self.options.directory.display();
            tracing::error!(%directory, reason, "large cached files are taken out: reads go to the stores");
        }
    }

    pub(crate) fn paths(&self, hash: u128) -> Paths {
        Paths::new(&self.options.directory, hash)
    }

    /// The open files of an entry; `None` after an error, which has ended the entry.
    pub(crate) fn files(&self, entry: &Arc<Entry>) -> Option<Arc<Files>> {
        match entry.files() {
            Ok((files, fresh)) => {
                if fresh {
                    self.index.opened(entry);
                }
                Some(files)
            }
            Err(error) => {
                self.device_error(entry, "open", &error);
                None
            }
        }
    }

    pub(crate) fn device_worked(&self) {
        self.errors_in_a_row.store(0, Ordering::Relaxed);
    }

    /// An operation on an entry's files failed: the entry goes, and the store after too many of them.
    pub(crate) fn device_error(&self, entry: &Arc<Entry>, action: &'static str, error: &io::Error) {
        if entry.is_gone() {
            return;
        }
        let path: &PathBuf = &entry.paths.data;
        tracing::warn!(path = %path.display(), action, %error, "a large cached file failed and is dropped");
        self.counters.device_errors.add(1);
        self.drop_entry(entry);
        if self.errors_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= ERRORS_IN_A_ROW_MAX {
            self.fail("too many errors in a row");
        }
    }

    /// The bytes of a block are not those that were written: it goes, and a complete file goes with it.
    pub(crate) fn mismatch(&self, entry: &Arc<Entry>, files: &Files, block: u32) {
        self.counters.checksum_mismatches.add(1);
        let path = entry.paths.data.display();
        tracing::warn!(%path, block, "a block of a large cached file is damaged and dropped");
        if entry.is_sealed() {
            return self.drop_entry(entry);
        }
        if entry.unmark(block) {
            match files.punch(block) {
                Ok(()) => entry.charge.shrink(u64::from(BLOCK_BYTES).min(entry.charge.bytes())),
                Err(error) => self.device_error(entry, "punch a hole into", &error),
            }
        }
    }

    /// Takes an entry out of use; what is open of it stays readable.
    pub(crate) fn drop_entry(&self, entry: &Arc<Entry>) {
        let sealed = entry.is_sealed();
        if self.index.remove(entry) {
            self.counters.demoted.add(u64::from(sealed));
            entry.end();
        }
    }

    /// Makes the account have room by evicting the coldest entries; false when all that is left is in use.
    pub(crate) fn make_room(&self, mut try_take: impl FnMut() -> bool) -> bool {
        loop {
            if try_take() {
                return true;
            }
            self.space.reap();
            if try_take() {
                return true;
            }
            let Some(victim) = self.index.take_coldest() else { return false };
            self.counters.evicted_files.add(1);
            self.counters.evicted_bytes.add(victim.charge.bytes());
            victim.end();
        }
    }
}
