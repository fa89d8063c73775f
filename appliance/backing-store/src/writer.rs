//! [`Writer`]: runs of blocks into the files of their object.

use std::fs::FileTimes;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use slab_store::{AlignedBuf, BLOCK_BYTES, BlockIndex, ObjectKey};

use crate::entry::{Entry, Marked, Pin, Presence, Stage};
use crate::files::Files;
use crate::format::{self, Header};
use crate::shared::Shared;

/// Unit of direct I/O: what all supported devices and file systems take.
const UNIT_BYTES: usize = 4096;

/// Blocks that follow each other in an object, each given in parts.
pub struct Run<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// Its length.
    pub size_bytes: u64,
    /// The first block.
    pub first: BlockIndex,
    /// The blocks, whole.
    pub blocks: &'a [Vec<&'a [u8]>],
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Kept,
    /// It is there, and the object complete: it can be lent from now on.
    Completed,
    /// It is not there: no room beside what is in use, or the store has failed.
    Refused,
}

/// Writes for one thread, blocking. Has a buffer of the longest run that it was given.
pub struct Writer {
    shared: Arc<Shared>,
    buffer: AlignedBuf,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, buffer: AlignedBuf::new(BLOCK_BYTES as usize) }
    }

    /// Writes a run with one direct write, then its checksums; completes the object with its last run.
    pub fn write(&mut self, run: &Run<'_>) -> Written {
        let bytes: usize = run.blocks.iter().flatten().map(|part| part.len()).sum();
        let Some(pin) = self.entry(run) else {
            self.shared.counters.refused_bytes.add(bytes as u64);
            return Written::Refused;
        };
        let entry = &pin.0;
        let Some(files) = self.shared.files(entry) else { return Written::Refused };
        let padded = bytes.next_multiple_of(UNIT_BYTES);
        if !self.shared.make_room(|| entry.charge.grow(padded as u64)) {
            self.shared.counters.refused_bytes.add(bytes as u64);
            return Written::Refused;
        }
        let sums = self.gather(run, padded);
        match self.write_out(&files, run.first.0, padded, &sums) {
            Ok(()) => self.written(entry, &files, run, padded),
            Err(error) => {
                self.shared.device_error(entry, "write", &error);
                Written::Refused
            }
        }
    }

    /// The object's entry, made when there is none and room for it.
    fn entry(&self, run: &Run<'_>) -> Option<Pin> {
        let shared = &self.shared;
        if shared.is_failed() {
            return None;
        }
        if let Some(pin) = shared.index.use_pinned(run.key) {
            return Some(pin);
        }
        let _one_at_a_time = shared.making.lock();
        if let Some(pin) = shared.index.use_pinned(run.key) {
            return Some(pin);
        }
        if let Some(other) = shared.index.find_hash(run.key.hash()) {
            // Another key with the same hash, and so the same file names.
            shared.drop_entry(&other);
        }
        let mut charge = None;
        shared.make_room(|| {
            charge = shared.space.charge(format::sums_file_bytes(run.size_bytes));
            charge.is_some()
        });
        let paths = shared.paths(run.key.hash());
        let presence = Presence::empty(format::block_count(run.size_bytes));
        let header = Header { key: run.key.clone(), size_bytes: run.size_bytes, sealed: false };
        let charge = charge?;
        let entry =
            Entry::new(run.key.clone(), run.size_bytes, paths, Arc::clone(&charge), Stage::Filling(presence));
        let entry = Arc::new(entry);
        let pin = entry.pin();
        match Files::create(&entry.paths, &header, charge) {
            Ok(files) => entry.set_files(files),
            Err(error) => {
                shared.device_error(&entry, "make", &error);
                return None;
            }
        }
        shared.index.insert(&entry);
        shared.index.opened(&entry);
        Some(pin)
    }

    /// Copies a run into the buffer, padded with zeroes, and gives its checksums.
    fn gather(&mut self, run: &Run<'_>, padded: usize) -> Vec<u8> {
        if self.buffer.len() < padded {
            self.buffer = AlignedBuf::new(padded);
        }
        let mut sums = Vec::with_capacity(run.blocks.len() * format::SUM_BYTES);
        let mut at = 0;
        for (block, parts) in (run.first.0..).zip(run.blocks) {
            let sum = format::sum(run.key, block, parts.iter().copied());
            sums.extend_from_slice(&sum.to_le_bytes());
            for part in parts {
                self.buffer[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
        }
        self.buffer[at..padded].fill(0);
        sums
    }

    fn write_out(&self, files: &Files, first: u32, padded: usize, sums: &[u8]) -> io::Result<()> {
        let offset = u64::from(first) * u64::from(BLOCK_BYTES);
        files.data.write_all_at(&self.buffer[..padded], offset)?;
        files.sums.write_all_at(sums, format::sum_offset(first))
    }

    fn written(&self, entry: &Arc<Entry>, files: &Files, run: &Run<'_>, padded: usize) -> Written {
        let count = run.blocks.len() as u32;
        let marked = entry.mark(run.first.0..run.first.0 + count);
        let (Marked::New(fresh) | Marked::Complete(fresh)) = marked else { return Written::Refused };
        if fresh < count {
            // Blocks that were there already are paid for already.
            let again = u64::from(count - fresh) * u64::from(BLOCK_BYTES);
            entry.charge.shrink(again.min(padded as u64));
        }
        self.shared.device_worked();
        self.shared.counters.inserted_bytes.add(padded as u64);
        match marked {
            Marked::Complete(_) => self.seal(entry, files),
            Marked::New(_) | Marked::Gone => Written::Kept,
        }
    }

    /// The data becomes durable before anything says that it is complete: what is sealed is read without a check.
    fn seal(&self, entry: &Arc<Entry>, files: &Files) -> Written {
        let header = Header { key: entry.key.clone(), size_bytes: entry.size_bytes, sealed: true };
        let durable = files.data.set_len(entry.size_bytes).and_then(|()| files.data.sync_data());
        if let Err(error) = durable {
            self.shared.device_error(entry, "sync", &error);
            self.shared.fail("a sync failed");
            return Written::Refused;
        }
        if let Err(error) = files.sums.write_all_at(&header.encode(), 0) {
            self.shared.device_error(entry, "write", &error);
            return Written::Refused;
        }
        if !entry.seal() {
            return Written::Refused;
        }
        self.shared.counters.promoted.add(1);
        Written::Completed
    }
}

/// Notes on disk that an object was used, for the order after a restart.
pub(crate) fn note_use(files: &Files) {
    if let Err(error) = files.sums.set_times(FileTimes::new().set_modified(SystemTime::now())) {
        tracing::debug!(%error, "the time of use of a large cached file was not noted");
    }
}
