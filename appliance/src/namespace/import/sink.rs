//! [`Sink`]: where an import's rows go, and where its numbers come from.

use std::ops::Range;
use std::sync::Arc;

use crate::namespace::database::{Op, Pin};
use crate::namespace::entry::Number;
use crate::namespace::error::NamespaceError;
use crate::namespace::listing::Cursor;
use crate::namespace::shared::Shared;

/// Rows that go to the writer together.
const BATCH_BYTES: usize = 128 << 10;
/// Numbers taken at a time, so that the names of a directory follow each other.
const NUMBERS_AT_ONCE: u32 = 4096;
/// Changed names that wait for their directory to be published.
const CHANGES_MAX: usize = 8192;

pub(super) struct Sink {
    shared: Arc<Shared>,
    ops: Vec<Op>,
    bytes: usize,
    numbers: Range<u64>,
    waiting: Vec<Changes>,
    waiting_names: usize,
    telling: Telling,
}

/// Who waits for room in the queue of events to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// The import.
    Awaited,
    /// Nobody: a lookup must not, since the kernel may hold the lock that the event at the head of the queue waits for
    /// until that very lookup is answered.
    Spawned,
}

/// What changed in a directory.
pub(super) struct Changes {
    pub(super) directory: Number,
    pub(super) names: Vec<Box<str>>,
    /// Set when there were too many names: then both listings are walked instead.
    pub(super) all_of: Option<(Option<Pin>, Pin)>,
}

impl Sink {
    pub(super) fn new(shared: &Arc<Shared>, telling: Telling) -> Self {
        let shared = shared.clone();
        Self {
            shared,
            ops: Vec::new(),
            bytes: 0,
            numbers: 0..0,
            waiting: Vec::new(),
            waiting_names: 0,
            telling,
        }
    }

    pub(super) async fn number(&mut self) -> Result<Number, NamespaceError> {
        if self.numbers.is_empty() {
            self.numbers = self.shared.database.take_numbers(NUMBERS_AT_ONCE).await?;
        }
        let number = self.numbers.start;
        self.numbers.start += 1;
        Ok(Number(number))
    }

    /// Rows that are written in one transaction.
    pub(super) async fn push(&mut self, ops: Vec<Op>) -> Result<(), NamespaceError> {
        self.bytes += ops.iter().map(Op::size_bytes).sum::<usize>();
        self.ops.extend(ops);
        if self.bytes >= BATCH_BYTES {
            self.bytes = 0;
            self.shared.database.queue(std::mem::take(&mut self.ops)).await?;
        }
        Ok(())
    }

    /// Remembers to tell the kernel once the rows so far can be read.
    pub(super) async fn announce(&mut self, changes: Changes) -> Result<(), NamespaceError> {
        self.waiting_names += changes.names.len() + 1;
        self.waiting.push(changes);
        if self.waiting_names >= CHANGES_MAX {
            self.settle().await?;
        }
        Ok(())
    }

    /// Waits until all rows can be read, and queues what the kernel is to be told.
    pub(super) async fn settle(&mut self) -> Result<(), NamespaceError> {
        self.bytes = 0;
        self.shared.database.write(std::mem::take(&mut self.ops)).await?;
        self.waiting_names = 0;
        let waiting = std::mem::take(&mut self.waiting);
        match self.telling {
            Telling::Awaited => tell_all(&self.shared, waiting).await,
            Telling::Spawned if waiting.is_empty() => Ok(()),
            Telling::Spawned => {
                let shared = self.shared.clone();
                tokio::spawn(async move {
                    if let Err(error) = tell_all(&shared, waiting).await {
                        tracing::warn!(%error, "the kernel was not told of all changes");
                    }
                });
                Ok(())
            }
        }
    }
}

async fn tell_all(shared: &Arc<Shared>, all: Vec<Changes>) -> Result<(), NamespaceError> {
    for changes in all {
        tell(shared, changes).await?;
    }
    Ok(())
}

/// The kernel knows nothing of directories that it does not reference.
async fn tell(shared: &Arc<Shared>, changes: Changes) -> Result<(), NamespaceError> {
    if !shared.inodes.contains(changes.directory) {
        return Ok(());
    }
    let ino = shared.ino(changes.directory);
    for name in &changes.names {
        shared.events.entry_changed(ino, name).await;
    }
    if let Some((old, new)) = changes.all_of {
        for pin in old.into_iter().chain([new]) {
            let mut names = Cursor::new(&shared.database, pin, None, None)?;
            while let Some(entry) = names.next()? {
                shared.events.entry_changed(ino, &entry.name).await;
            }
        }
    }
    shared.events.directory_changed(ino).await;
    Ok(())
}
