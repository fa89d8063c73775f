//! A READ from the kernel's request to its answer.
//!
//! [`ReadPath::read`] runs on a session thread and tries, in this order: blocks still in memory, the cache ([`local`]: slabs
//! on the ring that the request came from, else one trip through a ring of the thread), and at last the movers, to which
//! the reply travels along. [`OpenFile`] is what a handle points to; [`readahead`] decides what is fetched before it is
//! asked for.
//!
//! A read of one open file is bound to the version that was opened. When the store has replaced it meanwhile and
//! the bytes are not cached, the reader gets `ESTALE`, never bytes of another version.

mod counters;
mod interrupts;
mod local;
pub mod readahead;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use fuse_fast::reply::{ReplyBuffer, ReplyData};
use fuse_fast::types::ReadToken;
use fuse_fast::{Errno, ReadArgs, Unique};
use parking_lot::Mutex;
use slab_store::{BLOCK_BYTES, ReadOutcome};
use ufs::ByteRange;

pub use counters::ReadCounters;
use interrupts::Interrupts;
use local::InPlace;
pub use local::LocalReader;
use readahead::Readahead;

use crate::errno;
use crate::movers::{Block, FetchError, Movers};
use crate::namespace::{Ino, Namespace};
use crate::object::Object;

/// Objects up to this size come whole with their first missing byte: a reader of a small file reads all of it.
const WHOLE_OBJECT_BYTES: u64 = 2 << 20;

/// The longest read-ahead.
const WINDOW_BYTES_MAX: u64 = 64 << 20;

/// An open file.
pub struct OpenFile {
    /// Its inode.
    pub ino: Ino,
    /// What it reads.
    pub object: Arc<Object>,
    readahead: Mutex<Readahead>,
}

impl OpenFile {
    /// A file that was just opened.
    pub fn new(ino: Ino, object: Arc<Object>) -> Self {
        Self { ino, object, readahead: Mutex::default() }
    }

    /// What a request asks for, cut off at the end of the file.
    fn range(&self, args: &ReadArgs) -> ByteRange {
        let end = args.offset.saturating_add(args.size_bytes.into()).min(self.object.size_bytes);
        ByteRange::new(args.offset.min(end)..end)
    }

    /// What to fetch for a read outside of a run.
    fn whole_if_small(&self, range: ByteRange) -> ByteRange {
        let size_bytes = self.object.size_bytes;
        if size_bytes <= WHOLE_OBJECT_BYTES { ByteRange::new(0..size_bytes) } else { range }
    }
}

/// The read path of one mount.
pub struct ReadPath {
    movers: Arc<Movers>,
    namespace: Namespace,
    runtime: tokio::runtime::Handle,
    window_bytes_max: u64,
    /// The longest that a reader waits for a store before it gets `EIO`.
    patience: Duration,
    interrupts: Interrupts,
    /// What was served, and from where.
    pub counters: ReadCounters,
}

impl ReadPath {
    /// A read path over the daemon's movers. `fetch_bytes` is the budget that read-ahead is a part of.
    pub fn new(
        movers: Arc<Movers>,
        namespace: Namespace,
        runtime: tokio::runtime::Handle,
        fetch_bytes: u64,
        patience: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            movers,
            namespace,
            runtime,
            window_bytes_max: WINDOW_BYTES_MAX.min(fetch_bytes / 6),
            patience,
            interrupts: Interrupts::default(),
            counters: ReadCounters::default(),
        })
    }

    /// Answers a read, now or later.
    pub fn read(
        self: &Arc<Self>,
        reader: Option<&mut LocalReader>,
        file: &Arc<OpenFile>,
        unique: Unique,
        args: &ReadArgs,
        reply: ReplyData,
    ) {
        let range = file.range(args);
        if range.is_empty() {
            return reply.bytes(&[]);
        }
        let fetch = self.read_ahead(file, range);
        if let Some(reply) = self.read_local(reader, &file.object, range, reply) {
            self.read_remote(file, unique, range, fetch, reply);
        }
    }

    /// Answers a read whose bytes were read from the slabs into the memory of its request; fetches them if that failed.
    pub fn slab_read_done(
        self: &Arc<Self>,
        reader: Option<&mut LocalReader>,
        file: &Arc<OpenFile>,
        args: &ReadArgs,
        token: ReadToken,
        result: Result<(), Errno>,
        reply: ReplyBuffer,
    ) {
        let (range, unique) = (file.range(args), reply.unique());
        let outcome = match reader {
            Some(reader) => reader.finish(token, result, reply),
            None => InPlace::Miss(reply),
        };
        match outcome {
            InPlace::UnderWay => {}
            InPlace::Answered => self.counters.served_from_cache(range.len()),
            InPlace::Miss(reply) | InPlace::NoRoom(reply) => {
                self.read_remote(file, unique, range, file.whole_if_small(range), reply.into_data());
            }
        }
    }

    /// Reads a range that lies inside the file into memory of the caller's, who answers with more than that.
    pub async fn read_into(&self, file: &OpenFile, range: ByteRange, out: &mut [u8]) -> Result<(), Errno> {
        let read = self.movers.read(&file.object, range, range);
        let blocks = match tokio::time::timeout(self.patience, read).await {
            Ok(Ok(blocks)) => blocks,
            Ok(Err(error)) => return Err(self.failed(file, &error)),
            Err(_elapsed) => return Err(self.timed_out(file)),
        };
        self.counters.served_from_store(range.len());
        let mut rest = out;
        for slice in slices(&file.object, range, &blocks) {
            let (part, behind) = rest.split_at_mut(slice.len());
            part.copy_from_slice(&slice);
            rest = behind;
        }
        self.consumed(&file.object, range, &blocks);
        Ok(())
    }

    /// A signal arrived for the caller of a request: if it waits for a store, it need not any more.
    pub fn interrupt(&self, unique: Unique) {
        self.interrupts.raise(unique);
    }

    /// Answers from memory or the cache; gives the reply back when something is missing there.
    fn read_local(
        &self,
        reader: Option<&mut LocalReader>,
        object: &Arc<Object>,
        range: ByteRange,
        reply: ReplyData,
    ) -> Option<ReplyData> {
        if let Some(blocks) = self.movers.in_memory(object, range) {
            self.counters.served_from_memory(range.len());
            self.reply_blocks(object, range, &blocks, reply);
            return None;
        }
        let Some(reader) = reader else { return Some(reply) };
        let reply = match if reader.can_read_in_place(object) { reply.buffered() } else { Err(reply) } {
            Err(reply) => reply,
            Ok(reply) => match reader.start(object, range, reply) {
                InPlace::UnderWay => return None,
                InPlace::Answered => {
                    self.counters.served_from_cache(range.len());
                    return None;
                }
                InPlace::Miss(reply) => return Some(reply.into_data()),
                InPlace::NoRoom(reply) => reply.into_data(),
            },
        };
        self.read_waiting(reader, object, range, reply)
    }

    /// Reads the cache, waiting for the disk: slabs with the thread's own ring, or a large object's file.
    fn read_waiting(
        &self,
        reader: &mut LocalReader,
        object: &Arc<Object>,
        range: ByteRange,
        reply: ReplyData,
    ) -> Option<ReplyData> {
        match reader.read(object, range) {
            ReadOutcome::Hit(bytes) => {
                self.counters.served_from_cache(range.len());
                reply.bytes(bytes);
                None
            }
            ReadOutcome::Miss => Some(reply),
        }
    }

    fn read_remote(
        self: &Arc<Self>,
        file: &Arc<OpenFile>,
        unique: Unique,
        range: ByteRange,
        fetch: ByteRange,
        reply: ReplyData,
    ) {
        let interrupted = self.interrupts.expect(unique);
        let path = Arc::clone(self);
        let file = Arc::clone(file);
        self.runtime.spawn(async move {
            let read = tokio::time::timeout(path.patience, path.movers.read(&file.object, range, fetch));
            tokio::select! {
                result = read => match result {
                    Ok(Ok(blocks)) => {
                        path.counters.served_from_store(range.len());
                        path.reply_blocks(&file.object, range, &blocks, reply);
                    }
                    Ok(Err(error)) => reply.error(path.failed(&file, &error)),
                    Err(_elapsed) => reply.error(path.timed_out(&file)),
                },
                () = interrupted => reply.error(Errno::EINTR),
            }
            path.interrupts.done(unique);
        });
    }

    /// Fetches ahead of a read what its file's pattern suggests; gives what to fetch for the read itself if it misses.
    fn read_ahead(self: &Arc<Self>, file: &Arc<OpenFile>, range: ByteRange) -> ByteRange {
        let object = &file.object;
        if object.size_bytes <= WHOLE_OBJECT_BYTES {
            return ByteRange::new(0..object.size_bytes);
        }
        let plan = file.readahead.lock().on_read(range, object.size_bytes, self.window_bytes_max);
        if let Some(ahead) = plan.ahead {
            let _runtime = self.runtime.enter();
            if !self.movers.read_ahead(object, object.blocks_of(ahead)) {
                file.readahead.lock().give_back(ahead.start);
            }
        }
        plan.fetch
    }

    fn reply_blocks(&self, object: &Arc<Object>, range: ByteRange, blocks: &[Block], reply: ReplyData) {
        reply.vectored(&slices(object, range, blocks));
        self.consumed(object, range, blocks);
    }

    /// Blocks that were read to their end are not kept for this reader's sake.
    fn consumed(&self, object: &Arc<Object>, range: ByteRange, blocks: &[Block]) {
        let first = object.blocks_of(range).start;
        let ends_file = range.end == object.size_bytes;
        let behind =
            if ends_file { object.block_count() } else { (range.end / u64::from(BLOCK_BYTES)) as u32 };
        let consumed = behind.saturating_sub(first).min(blocks.len() as u32);
        self.movers.consumed(object, first..first + consumed);
    }

    fn failed(&self, file: &OpenFile, error: &FetchError) -> Errno {
        self.counters.failed();
        match error {
            FetchError::Store(error) => {
                if matches!(**error, ufs::Error::Changed { .. } | ufs::Error::NotFound { .. }) {
                    self.namespace.report_changed(file.ino);
                }
                errno::of_store(error)
            }
            FetchError::Lost { .. } | FetchError::Aborted => {
                tracing::warn!(%error, "a read failed");
                Errno::EIO
            }
        }
    }

    fn timed_out(&self, file: &OpenFile) -> Errno {
        self.counters.failed();
        tracing::warn!(
            store = file.object.store.ufs.url(),
            key = %file.object.key,
            "a read waited for {:?} and was given up; see the store's total_timeout",
            self.patience
        );
        Errno::EIO
    }
}

/// The bytes of a range in the blocks that hold it.
fn slices<'b>(object: &Object, range: ByteRange, blocks: &'b [Block]) -> Vec<IoSlice<'b>> {
    let base = u64::from(object.blocks_of(range).start) * u64::from(BLOCK_BYTES);
    let (start, end) = ((range.start - base) as usize, (range.end - base) as usize);
    let mut slices = Vec::with_capacity(blocks.len() * 4);
    let mut at = 0;
    for block in blocks {
        let within = |position: usize| position.saturating_sub(at).min(block.len());
        block.slices(within(start), within(end), &mut slices);
        at += block.len();
    }
    slices
}
