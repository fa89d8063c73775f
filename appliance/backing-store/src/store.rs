//! [`BackingStore`]: the store as its callers see it.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use slab_store::{AlignedBuf, BlockIndex, ObjectKey};

use crate::error::OpenError;
use crate::lent::LentFile;
use crate::options::{OBJECT_BYTES_MIN, Options};
use crate::reader::Reader;
use crate::recovery::{self, Recovery};
use crate::scrub;
use crate::shared::Shared;
use crate::stats::Stats;
use crate::writer::{Writer, note_use};

/// Large objects in files of their own. Cloning shares it; the last one to go closes it.
#[derive(Clone)]
pub struct BackingStore(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    scrubber: Mutex<Option<JoinHandle<()>>>,
}

impl BackingStore {
    /// Opens a directory, takes back what is whole in it and removes the rest.
    pub fn open(options: Options) -> Result<(Self, Recovery), OpenError> {
        let directory = options.directory.clone();
        let (shared, recovery) = recovery::open(options)?;
        let shared = Arc::new(shared);
        let scrubber = scrub::spawn(Arc::clone(&shared)).map_err(|source| OpenError::Io {
            action: "start a thread for",
            path: directory,
            source,
        })?;
        Ok((Self(Arc::new(Handle { shared, scrubber: Mutex::new(Some(scrubber)) })), recovery))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Whether an object of this size belongs here: large enough to be worth two files, and not larger than everything.
    /// The answer never changes, so an object is in one place.
    pub fn takes(&self, size_bytes: u64) -> bool {
        let options = &self.shared().options;
        let most = options.budget_bytes - options.budget_bytes / 64;
        (options.object_bytes_min.max(OBJECT_BYTES_MIN)..=most).contains(&size_bytes)
    }

    /// Whether a read of this block would find it.
    pub fn contains(&self, object: &ObjectKey, block: BlockIndex) -> bool {
        !self.shared().is_failed() && self.shared().index.find(object).is_some_and(|entry| entry.has(block.0))
    }

    /// A complete object for passthrough, counted as used now; `None` when it is not complete, or its disk does not
    /// answer: one page is read to see that, because what the kernel reads later fails without us.
    pub fn lend(&self, object: &ObjectKey) -> Option<LentFile> {
        let shared = self.shared();
        if shared.is_failed() || !shared.index.find(object)?.is_sealed() {
            return None;
        }
        let pin = shared.index.use_pinned(object)?;
        let files = shared.files(&pin.0)?;
        let mut page = AlignedBuf::new(4096);
        if let Err(error) = files.read_data(&mut page, 0) {
            shared.device_error(&pin.0, "read", &error);
            return None;
        }
        note_use(&files);
        Some(LentFile::new(files, pin))
    }

    /// Drops an object; what is open of it stays readable.
    pub fn remove(&self, object: &ObjectKey) {
        if let Some(entry) = self.shared().index.find(object) {
            self.shared().drop_entry(&entry);
        }
    }

    /// A reader for one thread.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(self.shared()))
    }

    /// A writer for one thread.
    pub fn writer(&self) -> Writer {
        Writer::new(Arc::clone(self.shared()))
    }

    /// After repeated device errors or a failed sync: reads miss and writes are refused until it is opened again.
    pub fn is_failed(&self) -> bool {
        self.shared().is_failed()
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let counters = &shared.counters;
        let (files, sealed_files) = shared.index.counts();
        Stats {
            limit_bytes: shared.space.limit_bytes(),
            used_bytes: shared.space.used_bytes(),
            files,
            sealed_files,
            lingering_files: shared.space.lingering() as u64,
            inserted_bytes: counters.inserted_bytes.get(),
            refused_bytes: counters.refused_bytes.get(),
            evicted_files: counters.evicted_files.get(),
            evicted_bytes: counters.evicted_bytes.get(),
            promoted: counters.promoted.get(),
            demoted: counters.demoted.get(),
            checksum_mismatches: counters.checksum_mismatches.get(),
            device_errors: counters.device_errors.get(),
            scrubbed_bytes: counters.scrubbed_bytes.get(),
            scrub_rounds: counters.scrub_rounds.get(),
            scrub_files_done: counters.scrub_files_done.get(),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        *self.shared.stopping.0.lock() = true;
        self.shared.stopping.1.notify_all();
        let scrubber = self.scrubber.lock().take();
        if scrubber.is_some_and(|scrubber| scrubber.join().is_err()) {
            self.shared.fail("the scrubber panicked");
        }
    }
}
