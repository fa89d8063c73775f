//! Reads of single blocks from the slabs, for requests that find one part there and another in the store.
//!
//! One thread with its own ring. Requests that find everything in the slabs do not come here: the session's threads
//! read those themselves, without a hop.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use slab_store::{ReadOutcome, Reader, SlabStore};
use tokio::sync::{mpsc, oneshot};

use crate::object::Object;

/// Waiting requests.
const QUEUE_MAX: usize = 256;

pub(super) struct SlabReads {
    queue: mpsc::Sender<Job>,
}

struct Job {
    object: Arc<Object>,
    index: u32,
    answer: oneshot::Sender<Option<Bytes>>,
}

impl SlabReads {
    /// Starts the thread; it ends when the movers are dropped.
    pub(super) fn start(slabs: SlabStore) -> io::Result<Self> {
        let reader = slabs.reader().map_err(io::Error::other)?;
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        std::thread::Builder::new().name("slab-reads".into()).spawn(move || serve(reader, jobs))?;
        Ok(Self { queue })
    }

    /// The bytes of a block, or `None` when the slabs don't have it (any more).
    pub(super) async fn read(&self, object: Arc<Object>, index: u32) -> Option<Bytes> {
        let (answer, result) = oneshot::channel();
        self.queue.send(Job { object, index, answer }).await.ok()?;
        result.await.ok()?
    }
}

fn serve(mut reader: Reader, mut jobs: mpsc::Receiver<Job>) {
    while let Some(Job { object, index, answer }) = jobs.blocking_recv() {
        let range = object.bytes_of(&(index..index + 1));
        let bytes = match reader.read(&object.cache_key, range.start, range.len() as usize, object.size_bytes)
        {
            ReadOutcome::Hit(bytes) => Some(Bytes::copy_from_slice(bytes)),
            ReadOutcome::Miss => None,
        };
        // A reader that was interrupted does not wait any more.
        drop(answer.send(bytes));
    }
}
