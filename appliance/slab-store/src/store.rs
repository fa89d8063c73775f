//! The store as its callers see it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::checksum::{BLOCK_PAGES, block_and_page_crcs, block_crc};
use crate::error::{InsertError, OpenError};
use crate::format::footer::QueueKind;
use crate::geometry::LARGE_BLOCK_BYTES;
use crate::key::{BLOCK_BYTES, BlockIndex, ObjectKey};
use crate::log::NewBlock;
use crate::log_state::NoRoom;
use crate::open;
use crate::options::Options;
use crate::planned_read::{PlannedRead, Step};
use crate::reader::{Reader, ReaderShape};
use crate::recovery::Recovery;
use crate::shared::{Shared, Who};
use crate::stats::Stats;
use crate::writer;

/// A block cache on one device. Cloning shares it; the last one to go closes it.
#[derive(Clone)]
pub struct SlabStore(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SlabStore {
    /// Opens a cache, or formats a file that is not there yet or a blank device.
    ///
    /// Blocks for as long as it takes to read the footers: milliseconds for each hundred slabs.
    pub fn open(options: Options) -> Result<(Self, Recovery), OpenError> {
        let (shared, recovery) = open::open(options)?;
        let shared = Arc::new(shared);
        let writer = writer::spawn(Arc::clone(&shared)).map_err(|source| OpenError::Io {
            action: "start a thread for",
            path: "the cache".into(),
            source,
        })?;
        Ok((Self(Arc::new(Handle { shared, writer: Mutex::new(Some(writer)) })), recovery))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// True when a read of this block would find it.
    pub fn contains(&self, object: &ObjectKey, block: BlockIndex) -> bool {
        !self.shared().is_failed() && self.shared().index.find(object.fingerprint(block)).is_some()
    }

    /// Takes a block, given in parts: 1 byte to [`BLOCK_BYTES`].
    ///
    /// The data can be read when this returns, and survives a crash once its slab is sealed. A block that is present
    /// is left as it is. Waits, without blocking the thread, for room in the write segments; dropping the future
    /// leaves nothing behind.
    pub async fn insert<D: AsRef<[u8]>>(
        &self,
        object: &ObjectKey,
        block: BlockIndex,
        data: &[D],
    ) -> Result<(), InsertError> {
        let parts: Vec<&[u8]> = data.iter().map(AsRef::as_ref).collect();
        let len = parts.iter().map(|part| part.len()).sum();
        if len == 0 || len > BLOCK_BYTES as usize {
            return Err(InsertError::Size { len, limit: BLOCK_BYTES as usize });
        }
        if self.contains(object, block) {
            return Ok(());
        }
        let new = new_block(object, block, len as u32, &parts);
        let shared = self.shared();
        let queue = if shared.ghost.take(new.name) { QueueKind::Main } else { QueueKind::Small };
        loop {
            let ticket = shared.space.ticket();
            match self.try_insert(queue, &new)? {
                Ok(()) => return Ok(()),
                Err(NoRoom::Slab | NoRoom::Segment) => shared.space.changed_since(ticket).await,
            }
        }
    }

    fn try_insert(&self, queue: QueueKind, new: &NewBlock<'_>) -> Result<Result<(), NoRoom>, InsertError> {
        let shared = self.shared();
        let mut state = shared.lock();
        if shared.is_failed() {
            return Err(InsertError::Failed);
        }
        if state.closing {
            return Err(InsertError::Closed);
        }
        if shared.index.find(new.name).is_some() {
            return Ok(Ok(()));
        }
        let result = shared.append(&mut state, queue, new, Who::Insert);
        if result.is_ok() {
            shared.counters.inserted_blocks.add(1);
            shared.counters.inserted_bytes.add(u64::from(new.len));
        } else {
            shared.work.notify_one();
        }
        Ok(result)
    }

    /// Forgets blocks 0 to `blocks` of an object. Sealed blocks come back after a restart if their slab is still
    /// there; since a key names one version, what comes back is right.
    pub fn remove_object(&self, object: &ObjectKey, blocks: u32) {
        for block in (0..blocks).map(BlockIndex) {
            if let Some(entry) = self.shared().index.find(object.fingerprint(block)) {
                self.shared().forget(&entry);
            }
        }
    }

    /// A reader for one thread and one read at a time, of up to [`crate::READ_BYTES_MAX`] bytes.
    pub fn reader(&self) -> std::io::Result<Reader> {
        self.reader_with(ReaderShape::default())
    }

    /// A reader for one thread with many reads in flight.
    pub fn reader_with(&self, shape: ReaderShape) -> std::io::Result<Reader> {
        Reader::new(Arc::clone(self.shared()), shape)
    }

    /// Starts a read of `len` bytes at `offset`, cut off at the object's end, for a ring that is not ours. `buf` is where the
    /// ring will read to; see [`PlannedRead`] for the steps.
    pub fn start(
        &self,
        read: &mut PlannedRead,
        object: &ObjectKey,
        offset: u64,
        len: usize,
        object_size: u64,
        buf: &mut [u8],
    ) -> Step {
        let shared = self.shared();
        let end = offset.saturating_add(len as u64).min(object_size);
        if shared.is_failed() || len > crate::READ_BYTES_MAX {
            shared.counters.misses.add(1);
            return Step::Miss;
        }
        read.aim(object, offset.min(end)..end, object_size);
        let step = read.issue(shared, buf);
        read.advance(shared, step, buf)
    }

    /// Goes on with a read whose runs were carried out, or could not be. A failed one counts against the device.
    pub fn finish(&self, read: &mut PlannedRead, result: std::io::Result<()>, buf: &mut [u8]) -> Step {
        let shared = self.shared();
        let step = match result {
            Ok(()) => {
                shared.health.success();
                read.judge(shared, buf)
            }
            Err(error) => {
                shared.device_error("read a block", &error);
                read.plan().drop_blocks(shared);
                Step::Miss
            }
        };
        read.advance(shared, step, buf)
    }

    /// The cache's open file, to be registered in other rings; `None` on a custom device.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.shared().device.descriptor()
    }

    /// Unit of offsets and lengths of direct reads.
    pub fn unit_bytes(&self) -> u32 {
        self.shared().device.alignment().offset_bytes
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let counters = &shared.counters;
        Stats {
            hits: counters.hits.get(),
            misses: counters.misses.get(),
            inserted_blocks: counters.inserted_blocks.get(),
            inserted_bytes: counters.inserted_bytes.get(),
            evicted_blocks: counters.evicted_blocks.get(),
            evicted_bytes: counters.evicted_bytes.get(),
            reinserted_bytes: counters.reinserted_bytes.get(),
            checksum_mismatches: counters.checksum_mismatches.get(),
            device_errors: counters.device_errors.get(),
            sealed_slabs: counters.sealed_slabs.get(),
            blocks: shared.index.blocks() as u64,
            used_bytes: shared.used_bytes.get(),
            capacity_bytes: shared.geometry.total_bytes(),
            index_memory_bytes: shared.index.memory_bytes() as u64,
            memory_bytes: shared.memory_bytes(),
            memory_bytes_max: shared.memory_bytes_max,
        }
    }

    /// True after repeated device errors: reads miss and inserts are refused until the cache is opened again.
    pub fn is_failed(&self) -> bool {
        self.shared().is_failed()
    }

    /// Seals what is open and stops; inserts fail from here on. Blocks until the device has it. Readers that are
    /// still around go on reading.
    pub fn close(self) {
        self.0.close();
    }
}

impl Handle {
    fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        self.shared.space.wake_all();
        let writer = self.writer.lock().take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            // The panic was reported by the thread, and has failed the store.
            self.shared.fail();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// Computes a block's checksums.
pub(crate) fn new_block<'a>(
    object: &'a ObjectKey,
    block: BlockIndex,
    len: u32,
    data: &'a [&'a [u8]],
) -> NewBlock<'a> {
    let seed = object.seed(block);
    let (crc, pages) = if len >= LARGE_BLOCK_BYTES {
        block_and_page_crcs(seed, data)
    } else {
        (block_crc(seed, data.iter().copied()), [0; BLOCK_PAGES])
    };
    NewBlock { key: object, block, name: object.fingerprint(block), len, crc, pages, data, freq: 0 }
}
