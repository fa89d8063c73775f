//! Writing fetched blocks to the cache, behind the readers' backs.
//!
//! Blocks for slabs go one by one through a task; runs of blocks for a large object's own file go to threads that wait for
//! the disk, a whole part with one write. The queued blocks hold their reservations, so the memory budget bounds
//! the queues; when the device is slower than the stores, the budget fills and fetches slow down to the device's rate.

use std::io;
use std::sync::Arc;

use backing_store::{BackingStore, Run, Written};
use slab_store::{BlockIndex, SlabStore};
use tokio::sync::{mpsc, oneshot};

use super::flights::{Flight, Flights};
use super::{Block, PART_BLOCKS};
use crate::cache::{Cache, Place};
use crate::object::Object;

/// Threads that write large objects: direct writes of 4 MiB, so two keep a device busy.
const FILE_WRITERS: usize = 2;

pub(super) struct Inserts {
    cache: Option<Cache>,
    /// One, if there is a cache.
    slabs: Option<mpsc::Sender<Job<Landed>>>,
    /// One for each thread, if large objects have files.
    files: Vec<mpsc::Sender<Job<LandedRun>>>,
    flights: Arc<Flights>,
}

enum Job<T> {
    Insert(T),
    Drained(oneshot::Sender<()>),
}

/// A block that has arrived.
struct Landed {
    object: Arc<Object>,
    index: u32,
    block: Block,
    flight: Arc<Flight>,
}

/// Blocks of one object that have arrived and follow each other.
pub(super) struct LandedRun {
    object: Arc<Object>,
    first: u32,
    blocks: Vec<(Block, Arc<Flight>)>,
}

impl LandedRun {
    pub(super) fn new(object: &Arc<Object>, first: u32) -> Self {
        Self { object: Arc::clone(object), first, blocks: Vec::new() }
    }
}

impl Inserts {
    /// Starts the writers on the current runtime; without a cache blocks are just let go.
    pub(super) fn start(cache: Option<Cache>, flights: Arc<Flights>, queue_blocks: u64) -> io::Result<Self> {
        let queue_blocks = usize::try_from(queue_blocks).unwrap_or(1024).max(16);
        let slabs = cache.as_ref().map(|cache| {
            let (sender, receiver) = mpsc::channel(queue_blocks);
            tokio::spawn(write_slabs(cache.slabs.clone(), Arc::clone(&flights), receiver));
            sender
        });
        let large = cache.as_ref().and_then(|cache| cache.large.clone());
        let files =
            large.map_or(Ok(Vec::new()), |files| start_file_writers(&files, &flights, queue_blocks))?;
        Ok(Self { cache, slabs, files, flights })
    }

    /// Takes a block that has just arrived: queues it, or adds it to `run` when its object has a file, which
    /// [`queue_run`](Self::queue_run) takes in the end. Waits while the queue is full.
    pub(super) async fn landed(&self, run: &mut LandedRun, index: u32, block: Block, flight: Arc<Flight>) {
        let object = Arc::clone(&run.object);
        match (self.cache.as_ref().map(|cache| cache.place(&object)), &self.slabs) {
            (Some(Place::File(_)), _) => run.blocks.push((block, flight)),
            (Some(Place::Slabs(_)), Some(queue)) => {
                send(queue, Job::Insert(Landed { object, index, block, flight })).await;
            }
            _ => self.flights.settle(&object, index, &flight),
        }
    }

    /// Queues the blocks of a run.
    pub(super) async fn queue_run(&self, run: LandedRun) {
        if !run.blocks.is_empty() && !self.files.is_empty() {
            let queue = &self.files[(run.first / PART_BLOCKS) as usize % self.files.len()];
            send(queue, Job::Insert(run)).await;
        }
    }

    /// Waits until all that was queued before is in the cache.
    pub(super) async fn drain(&self) {
        if let Some(queue) = &self.slabs {
            drain(queue).await;
        }
        for queue in &self.files {
            drain(queue).await;
        }
    }
}

async fn send<T>(queue: &mpsc::Sender<Job<T>>, job: Job<T>) {
    if queue.send(job).await.is_err() {
        tracing::debug!("what was fetched is not cached: the daemon is stopping");
    }
}

async fn drain<T>(queue: &mpsc::Sender<Job<T>>) {
    let (done, drained) = oneshot::channel();
    send(queue, Job::Drained(done)).await;
    if drained.await.is_err() {
        tracing::debug!("a writer of the cache stopped before its queue was empty");
    }
}

/// The copy into the slabs' write buffer is about 10 us a block, so one task keeps up with any device.
async fn write_slabs(slabs: SlabStore, flights: Arc<Flights>, mut queue: mpsc::Receiver<Job<Landed>>) {
    while let Some(job) = queue.recv().await {
        match job {
            Job::Insert(Landed { object, index, block, flight }) => {
                let inserted = slabs.insert(&object.cache_key, BlockIndex(index), block.pieces()).await;
                if let Err(error) = inserted {
                    tracing::debug!(%error, "a block was not cached");
                }
                flights.settle(&object, index, &flight);
            }
            // The one who waits may have gone; there is nobody else to tell.
            Job::Drained(done) => drop(done.send(())),
        }
    }
}

fn start_file_writers(
    files: &BackingStore,
    flights: &Arc<Flights>,
    queue_blocks: usize,
) -> io::Result<Vec<mpsc::Sender<Job<LandedRun>>>> {
    let start = |index| {
        let (sender, receiver) = mpsc::channel(queue_blocks);
        let (writer, flights) = (files.writer(), Arc::clone(flights));
        let name = format!("file-writes-{index}");
        std::thread::Builder::new().name(name).spawn(move || write_files(writer, &flights, receiver))?;
        Ok(sender)
    };
    (0..FILE_WRITERS).map(start).collect()
}

fn write_files(
    mut writer: backing_store::Writer,
    flights: &Flights,
    mut queue: mpsc::Receiver<Job<LandedRun>>,
) {
    while let Some(job) = queue.blocking_recv() {
        match job {
            Job::Insert(run) => write_run(&mut writer, flights, &run),
            Job::Drained(done) => drop(done.send(())),
        }
    }
}

fn write_run(writer: &mut backing_store::Writer, flights: &Flights, run: &LandedRun) {
    let LandedRun { object, first, blocks } = run;
    let parts: Vec<Vec<&[u8]>> =
        blocks.iter().map(|(block, _)| block.pieces().iter().map(AsRef::as_ref).collect()).collect();
    let (key, size_bytes) = (&object.cache_key, object.size_bytes);
    match writer.write(&Run { key, size_bytes, first: BlockIndex(*first), blocks: &parts }) {
        Written::Kept => {}
        Written::Completed => tracing::debug!(key = %object.key, "a large file is complete"),
        Written::Refused => tracing::debug!(key = %object.key, "a part of a large file was not cached"),
    }
    for (index, (_, flight)) in (*first..).zip(blocks) {
        flights.settle(object, index, flight);
    }
}
