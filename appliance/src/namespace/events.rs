//! Telling the kernel what changed, from a thread of its own.
//!
//! The kernel takes the parent directory's lock to drop a name, and holds that lock while it waits for us to answer a
//! lookup there. So the thread that answers lookups must not wait for the kernel: it queues events and goes on.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::error::DatabaseError;
use super::types::Ino;

/// The kernel's caches of names and directories. Called from a thread that holds no lock.
pub trait KernelCache: Send + Sync {
    /// What the kernel believes of this name (a node or its absence) is stale.
    fn entry_changed(&self, parent: Ino, name: &str);
    /// What the kernel caches of this directory's entries is stale.
    fn inode_changed(&self, ino: Ino);
}

/// Events that wait for the kernel; an import waits when there are more.
const QUEUE_EVENTS_MAX: usize = 4096;

enum Event {
    Entry(Ino, Box<str>),
    Directory(Ino),
    Barrier(oneshot::Sender<()>),
}

/// The queue to the thread. The thread ends when this is dropped and all events are delivered.
pub(super) struct Events {
    queue: mpsc::Sender<Event>,
}

impl Events {
    pub(super) fn start(kernel: Arc<dyn KernelCache>) -> Result<Self, DatabaseError> {
        let (queue, events) = mpsc::channel(QUEUE_EVENTS_MAX);
        let thread = std::thread::Builder::new().name("forebay-events".into());
        thread.spawn(move || deliver(events, &*kernel)).map_err(DatabaseError::Thread)?;
        Ok(Self { queue })
    }

    pub(super) async fn entry_changed(&self, parent: Ino, name: &str) {
        self.send(Event::Entry(parent, name.into())).await;
    }

    pub(super) async fn directory_changed(&self, ino: Ino) {
        self.send(Event::Directory(ino)).await;
    }

    /// Queues without waiting. A full queue drops the event: for callers that will see the same cause again.
    pub(super) fn try_entry_changed(&self, parent: Ino, name: &str) {
        if self.queue.try_send(Event::Entry(parent, name.into())).is_err() {
            tracing::debug!(
                parent = parent.get(),
                name,
                "event queue is full; the next reader reports again"
            );
        }
    }

    /// Returns when all events before are delivered.
    pub(super) async fn flush(&self) {
        let (done, delivered) = oneshot::channel();
        self.send(Event::Barrier(done)).await;
        if delivered.await.is_err() {
            tracing::error!("the thread that tells the kernel of changes has ended");
        }
    }

    async fn send(&self, event: Event) {
        if self.queue.send(event).await.is_err() {
            tracing::error!("the thread that tells the kernel of changes has ended");
        }
    }
}

fn deliver(mut events: mpsc::Receiver<Event>, kernel: &dyn KernelCache) {
    while let Some(event) = events.blocking_recv() {
        match event {
            Event::Entry(parent, name) => kernel.entry_changed(parent, &name),
            Event::Directory(ino) => kernel.inode_changed(ino),
            // Whoever waited may be gone; then nobody needs to know.
            Event::Barrier(done) => drop(done.send(())),
        }
    }
}
