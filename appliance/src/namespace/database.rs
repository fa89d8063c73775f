//! [`Database`]: listings on disk, in one redb file per cache directory.
//!
//! It is a cache: whatever it holds can be asked of the stores again. So commits do not wait for the disk (one in
//! [`writer::DURABLE_EVERY`] does), and a file that is damaged or foreign is thrown away. What must never be wrong is
//! that a directory counts as known only with all its blocks, which redb's transactions give, and that no number is
//! used twice, which [`counter`] gives.
//!
//! Parts: [`tables`] names the tables and reads them; [`writer`] is the one thread that writes, in groups; [`garbage`]
//! removes what is replaced, in steps; [`pins`] keeps a listing while somebody reads it; [`open`] finds or makes the file.
//!
//! A listing is written under a number of its own, block by block, and becomes the directory's listing by one row when it is
//! complete. The one before stays until nobody reads it any more.

mod backend;
mod counter;
mod garbage;
mod open;
mod pins;
mod tables;
mod writer;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use redb::ReadableDatabase;
use tokio::sync::{Notify, mpsc, oneshot};

use super::entry::Number;
use super::error::DatabaseError;
use super::record::ListingId;
use counter::Counter;
use pins::Pins;
use writer::Batch;

pub(super) use pins::Pin;
pub(super) use tables::{Tables, block_key};
pub(super) use writer::Op;

/// Batches that wait for the writer; senders wait when there are more. A batch has some 128 KiB.
const QUEUE_BATCHES_MAX: usize = 32;

/// The listings of all mounts of one cache directory.
pub struct Database {
    core: Arc<Core>,
    queue: Option<mpsc::Sender<Batch>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    numbers: Counter,
    stamps: Counter,
}

/// What readers and the writer share.
struct Core {
    redb: RwLock<Arc<redb::Database>>,
    /// Rises with every commit.
    generation: AtomicU64,
    /// The tables as of a generation, so that a lookup does not open them anew.
    tables: RwLock<Option<(u64, Arc<Tables>)>>,
    pins: Pins,
    damaged: AtomicBool,
    /// Rises when a failed database is replaced by an empty one.
    epoch: AtomicU64,
    /// There may be something to remove.
    has_garbage: AtomicBool,
    /// Wakes the writer when there may be something to remove or to repair.
    work: Notify,
    /// The bound in bytes when listings are kept in memory.
    memory: Option<backend::Usage>,
}

impl Database {
    /// Opens or makes `names.redb` in a cache directory. A file that cannot be used is replaced by an empty one.
    /// `cache_bytes` bounds the memory for pages of the file.
    pub fn open(directory: &Path, cache_bytes: usize) -> Result<Arc<Self>, DatabaseError> {
        Self::start(open::in_directory(directory, cache_bytes)?, None)
    }

    /// Keeps listings in memory, for mounts without a cache directory. Imports fail when `limit_bytes` are in use.
    pub fn in_memory(limit_bytes: u64) -> Result<Arc<Self>, DatabaseError> {
        let (redb, usage) = open::in_memory(limit_bytes)?;
        Self::start(redb, Some(usage))
    }

    fn start(redb: redb::Database, memory: Option<backend::Usage>) -> Result<Arc<Self>, DatabaseError> {
        let (numbers, stamps) = (Counter::numbers(&redb)?, Counter::stamps(&redb)?);
        let core = Arc::new(Core {
            redb: RwLock::new(Arc::new(redb)),
            generation: AtomicU64::new(0),
            tables: RwLock::new(None),
            pins: Pins::default(),
            damaged: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            has_garbage: AtomicBool::new(true),
            work: Notify::new(),
            memory,
        });
        // What the last run left unfinished is removed first.
        core.work.notify_one();
        let (queue, batches) = mpsc::channel(QUEUE_BATCHES_MAX);
        let thread = writer::start(core.clone(), batches)?;
        Ok(Arc::new(Self { core, queue: Some(queue), thread: Mutex::new(Some(thread)), numbers, stamps }))
    }

    /// Reads. Damage is reported to the writer, which starts an empty database.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Tables) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        self.core.read(read)
    }

    /// Queues rows and waits until they can be read.
    pub(super) async fn write(&self, ops: Vec<Op>) -> Result<(), Arc<DatabaseError>> {
        let (done, written) = oneshot::channel();
        self.send(Batch { ops, done: Some(done), durable: false }).await?;
        written.await.unwrap_or(Err(Arc::new(DatabaseError::Closed)))
    }

    /// Queues rows and waits until they are on disk.
    pub(super) async fn write_durably(&self, ops: Vec<Op>) -> Result<(), Arc<DatabaseError>> {
        let (done, written) = oneshot::channel();
        self.send(Batch { ops, done: Some(done), durable: true }).await?;
        written.await.unwrap_or(Err(Arc::new(DatabaseError::Closed)))
    }

    /// Queues rows; waits only for room in the queue. A failure is logged by the writer and shows in the next
    /// [`write`](Self::write), which is behind it in the queue.
    pub(super) async fn queue(&self, ops: Vec<Op>) -> Result<(), Arc<DatabaseError>> {
        if let Some(usage) = &self.core.memory {
            usage.check().map_err(Arc::new)?;
        }
        self.send(Batch { ops, done: None, durable: false }).await
    }

    async fn send(&self, batch: Batch) -> Result<(), Arc<DatabaseError>> {
        let queue = self.queue.as_ref().ok_or_else(|| Arc::new(DatabaseError::Closed))?;
        queue.send(batch).await.map_err(|_| Arc::new(DatabaseError::Closed))
    }

    /// Numbers that nobody has.
    pub(super) async fn take_numbers(&self, count: u32) -> Result<Range<u64>, Arc<DatabaseError>> {
        self.numbers.take(self, count).await
    }

    /// One number that nobody has.
    pub(super) async fn take_number(&self) -> Result<Number, Arc<DatabaseError>> {
        Ok(Number(self.take_numbers(1).await?.start))
    }

    /// A number above all listings and overrides so far.
    pub(super) async fn take_stamp(&self) -> Result<ListingId, Arc<DatabaseError>> {
        Ok(ListingId(self.stamps.take(self, 1).await?.start))
    }

    /// Keeps the blocks of a listing until the pin is dropped.
    pub(super) fn pin(&self, listing: ListingId) -> Pin {
        Pin::new(self.core.clone(), listing)
    }

    /// Memory for pages of the file.
    pub(super) fn cache_bytes(&self) -> u64 {
        let redb = self.core.redb.read().clone();
        let cached = redb.cache_stats().used_bytes() as u64;
        cached + self.core.memory.as_ref().map_or(0, backend::Usage::bytes)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The writer ends when the queue is closed and empty, with a durable commit.
        self.queue = None;
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the listings panicked");
        }
    }
}

impl Core {
    fn read<T>(&self, read: impl FnOnce(&Tables) -> Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        // redb may panic on a file that was changed from outside; nothing of ours is left half done by that.
        let outcome = catch_unwind(AssertUnwindSafe(|| read(&*self.tables()?)));
        let outcome = outcome.unwrap_or(Err(DatabaseError::Panicked));
        if let Err(error) = &outcome {
            self.report_damage(error);
        }
        outcome
    }

    fn tables(&self) -> Result<Arc<Tables>, DatabaseError> {
        let generation = self.generation.load(Ordering::Acquire);
        if let Some((of, tables)) = &*self.tables.read()
            && *of == generation
        {
            return Ok(tables.clone());
        }
        let redb = self.redb.read().clone();
        let tables = Arc::new(Tables::open(&redb.begin_read().map_err(redb::Error::from)?)?);
        *self.tables.write() = Some((generation, tables.clone()));
        Ok(tables)
    }

    /// Readers see the last commit from now on, and its predecessors' pages can be used again.
    fn committed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        *self.tables.write() = None;
    }

    fn report_damage(&self, error: &DatabaseError) {
        if !self.damaged.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "the database of listings cannot be read; going on with an empty one in memory");
            self.work.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
