//! Writing fetched blocks to the slabs, behind the readers' backs.
//!
//! The queue's blocks hold their reservations, so the memory budget bounds it; when the device is slower than the
//! stores, the budget fills and fetches slow down to the device's rate.

use std::sync::Arc;

use slab_store::{BlockIndex, SlabStore};
use tokio::sync::{mpsc, oneshot};

use super::Block;
use super::flights::{Flight, Flights};
use crate::object::Object;

pub(super) struct Inserts {
    queue: Option<mpsc::Sender<Job>>,
    flights: Arc<Flights>,
}

enum Job {
    Insert { object: Arc<Object>, index: u32, block: Block, flight: Arc<Flight> },
    Drained(oneshot::Sender<()>),
}

impl Inserts {
    /// Starts the writer on the current runtime; without slabs blocks are just let go.
    pub(super) fn start(slabs: Option<SlabStore>, flights: Arc<Flights>, queue_blocks: u64) -> Self {
        let queue = slabs.map(|slabs| {
            let (sender, receiver) = mpsc::channel(usize::try_from(queue_blocks).unwrap_or(1024).max(16));
            tokio::spawn(write_all(slabs, Arc::clone(&flights), receiver));
            sender
        });
        Self { queue, flights }
    }

    /// Queues a block; waits while the queue is full.
    pub(super) async fn queue(&self, object: Arc<Object>, index: u32, block: Block, flight: Arc<Flight>) {
        let Some(queue) = &self.queue else { return self.flights.settle(&object, index, &flight) };
        if queue.send(Job::Insert { object, index, block, flight }).await.is_err() {
            tracing::debug!("a block was not cached: the daemon is stopping");
        }
    }

    /// Waits until all that was queued before is in the slabs.
    pub(super) async fn drain(&self) {
        let (done, drained) = oneshot::channel();
        if let Some(queue) = &self.queue
            && queue.send(Job::Drained(done)).await.is_ok()
            && drained.await.is_err()
        {
            tracing::debug!("the slab writer stopped before its queue was empty");
        }
    }
}

/// The copy into the slabs' write buffer is about 10 us a block, so one task keeps up with any device.
async fn write_all(slabs: SlabStore, flights: Arc<Flights>, mut queue: mpsc::Receiver<Job>) {
    while let Some(job) = queue.recv().await {
        match job {
            Job::Insert { object, index, block, flight } => {
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
