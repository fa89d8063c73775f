//! The scrubber: what the kernel reads without a check is checked here, again and again, in the background.
//!
//! A round reads every complete file once, in the order of the key hashes, directly, so that the page cache keeps what
//! jobs read. What does not match or cannot be read is dropped; its data comes from the store again, into a new file, so
//! that no page that the kernel has of the old one is seen by whoever opens it from then on.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use slab_store::{AlignedBuf, BLOCK_BYTES};

use crate::entry::Entry;
use crate::reader::read_verified;
use crate::shared::Shared;
use crate::sys;

/// Blocks of one read.
const BATCH_BLOCKS: u32 = 8;
/// How often it looks for work, and for removed files that nobody has mapped any more.
const IDLE: Duration = Duration::from_secs(1);

pub(crate) fn spawn(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    Builder::new().name("files-scrub".into()).spawn(move || Scrubber::new(shared).run())
}

struct Scrubber {
    shared: Arc<Shared>,
    buffer: AlignedBuf,
}

impl Scrubber {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, buffer: AlignedBuf::new((BATCH_BLOCKS * BLOCK_BYTES) as usize) }
    }

    fn run(mut self) {
        if let Err(error) = sys::idle_io() {
            tracing::debug!(%error, "the scrubber's I/O has the usual priority");
        }
        while self.round() {}
    }

    /// One round over all files, and the pause after it; false when the store closes.
    fn round(&mut self) -> bool {
        let begun = Instant::now();
        let mut after = None;
        self.shared.counters.scrub_files_done.set(0);
        while let Some(entry) = self.next(after) {
            after = Some(entry.key.hash());
            if !self.scrub(&entry) {
                return false;
            }
            self.shared.counters.scrub_files_done.add(1);
        }
        if after.is_some() {
            self.shared.counters.scrub_rounds.add(1);
        }
        let rest = if after.is_some() { self.shared.options.scrub_round_min } else { IDLE };
        while begun.elapsed() < rest {
            if !self.pause(IDLE.min(rest)) {
                return false;
            }
            self.shared.space.reap();
        }
        self.pause(Duration::ZERO)
    }

    fn next(&self, after: Option<u128>) -> Option<Arc<Entry>> {
        let on = self.shared.options.scrub_bytes_per_s > 0 && !self.shared.is_failed();
        if on { self.shared.index.next_sealed(after) } else { None }
    }

    /// Checks one file at the given rate; false when the store closes.
    fn scrub(&mut self, entry: &Arc<Entry>) -> bool {
        let blocks = entry.block_count();
        for first in (0..blocks).step_by(BATCH_BLOCKS as usize) {
            let begun = Instant::now();
            let bytes = (BATCH_BLOCKS.min(blocks - first) * BLOCK_BYTES) as usize;
            if entry.is_gone() || !self.check(entry, first, bytes) {
                return true;
            }
            self.shared.counters.scrubbed_bytes.add(bytes as u64);
            let due = Duration::from_secs_f64(bytes as f64 / self.shared.options.scrub_bytes_per_s as f64);
            if !self.pause(due.saturating_sub(begun.elapsed())) {
                return false;
            }
        }
        true
    }

    fn check(&mut self, entry: &Arc<Entry>, first: u32, bytes: usize) -> bool {
        let Some(files) = self.shared.files(entry) else { return false };
        match read_verified(&self.shared, entry, &files, first, &mut self.buffer[..bytes]) {
            Ok(good) => good,
            Err(error) => {
                self.shared.device_error(entry, "read", &error);
                false
            }
        }
    }

    /// Waits; false when the store closes.
    fn pause(&self, time: Duration) -> bool {
        let mut stopping = self.shared.stopping.0.lock();
        if !*stopping && !time.is_zero() {
            self.shared.stopping.1.wait_for(&mut stopping, time);
        }
        !*stopping
    }
}
