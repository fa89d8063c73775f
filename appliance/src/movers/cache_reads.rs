//! Reads of single blocks from the cache, for requests that find one part there and another in the store.
//!
//! One thread with its own ring. Requests that find everything in the cache do not come here: the session's threads
//! read those themselves, without a hop.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use slab_store::ReadOutcome;
use tokio::sync::{mpsc, oneshot};

use crate::cache::{Cache, CacheReader};
use crate::object::Object;

/// Waiting requests.
const QUEUE_MAX: usize = 256;

pub(super) struct CacheReads {
    queue: mpsc::Sender<Job>,
}

struct Job {
    object: Arc<Object>,
    index: u32,
    answer: oneshot::Sender<Option<Bytes>>,
}

impl CacheReads {
    /// Starts the thread; it ends when the movers are dropped.
    pub(super) fn start(cache: &Cache) -> io::Result<Self> {
        let reader = cache.reader()?;
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        std::thread::Builder::new().name("cache-reads".into()).spawn(move || serve(reader, jobs))?;
        Ok(Self { queue })
    }

    /// The bytes of a block, or `None` when the cache does not have it (any more).
    pub(super) async fn read(&self, object: Arc<Object>, index: u32) -> Option<Bytes> {
        let (answer, result) = oneshot::channel();
        self.queue.send(Job { object, index, answer }).await.ok()?;
        result.await.ok()?
    }
}

fn serve(mut reader: CacheReader, mut jobs: mpsc::Receiver<Job>) {
    while let Some(Job { object, index, answer }) = jobs.blocking_recv() {
        let range = object.bytes_of(&(index..index + 1));
        let bytes = match reader.read(&object, range) {
            ReadOutcome::Hit(bytes) => Some(Bytes::copy_from_slice(bytes)),
            ReadOutcome::Miss => None,
        };
        // A reader that was interrupted does not wait any more.
        drop(answer.send(bytes));
    }
}
