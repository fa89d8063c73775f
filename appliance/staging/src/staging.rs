//! The handle of one staging directory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::StageError;
use crate::shared::Shared;
use crate::space::Admission;

/// The staged tree of one mount. Cheap to clone; every method may be called from any thread. Those that say so block
/// until the disk has flushed; the others take a short lock and write at most one record.
#[derive(Clone)]
pub struct Staging {
    pub(crate) shared: Arc<Shared>,
}

/// Counters and gauges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that the store lacks.
    pub dirty_bytes: u64,
    /// The limit for them.
    pub dirty_limit_bytes: u64,
    /// Files of which the store lacks something.
    pub dirty_files: u64,
    /// Bytes here that the store has as well.
    pub kept_bytes: u64,
    /// Files, directories and symlinks in memory.
    pub nodes: u64,
    /// Events that wait or are being published.
    pub events_waiting: u64,
    /// How long the oldest of them has waited.
    pub oldest_dirty_age: Option<Duration>,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Bytes a second that the store has taken lately.
    pub drain_rate_bytes: u64,
    /// Why writes are refused, when they are.
    pub poisoned: Option<Box<str>>,
}

impl Staging {
    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let tree = shared.tree.lock();
        let now = shared.now();
        let oldest = tree.events.values().next().map(|event| now.saturating_duration_since(event.since));
        Stats {
            dirty_bytes: shared.space.dirty_bytes.get(),
            dirty_limit_bytes: shared.space.dirty_limit_bytes,
            dirty_files: shared.space.dirty_files.get(),
            kept_bytes: shared.space.kept_bytes.get(),
            nodes: tree.nodes.len() as u64,
            events_waiting: tree.events.len() as u64,
            oldest_dirty_age: oldest,
            journal_bytes: shared.journal.used_bytes(),
            drain_rate_bytes: shared.space.drain_rate_bytes(),
            poisoned: shared.poison.cause().map(Into::into),
        }
    }

    /// Replaces the journal by one that says the same in as few records as it can. Happens by itself when most of it is
    /// history. Blocks.
    pub fn compact(&self) -> Result<(), StageError> {
        self.shared.rewrite_journal()
    }

    /// May a write of `bytes` go on?
    pub fn admit(&self, bytes: u64) -> Admission {
        self.shared.space.admit(bytes, self.shared.now())
    }

    /// The store took this much; writers near the limit are slowed down to this rate.
    pub fn drained(&self, bytes: u64) {
        self.shared.space.drained(bytes, self.shared.now());
    }

    /// Called after each change that may make an event ready, with locks held: it must not call back.
    pub fn on_change(&self, callback: Arc<dyn Fn() + Send + Sync>) {
        *self.shared.on_change.write() = Some(callback);
    }

    /// Random name of the staging directory, made with it; objects that it put can be told from foreign ones by it.
    pub fn uuid(&self) -> [u8; 16] {
        self.shared.uuid
    }

    /// The time that delays are measured with.
    pub fn now(&self) -> Instant {
        self.shared.now()
    }
}
