//! What all handles of one staging directory share, and the one way to change it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::disk::Disk;
use crate::error::StageError;
use crate::journal::{Journal, RecordSeq, Room};
use crate::options::Options;
use crate::poison::Poison;
use crate::record::Change;
use crate::snapshot::snapshot;
use crate::space::Space;
use crate::tree::Tree;
use crate::types::{Moment, NodeNumber};

/// Where backing files are, below the staging directory.
pub(crate) const DATA_DIRECTORY: &str = "data";

type Callback = Arc<dyn Fn() + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) poison: Arc<Poison>,
    pub(crate) space: Arc<Space>,
    pub(crate) journal: Journal,
    pub(crate) uuid: [u8; 16],
    /// First of all locks.
    pub(crate) tree: Mutex<Tree>,
    /// Backing files that go when the record that made them useless has been flushed: until then a power cut may
    /// bring their node back.
    pub(crate) graveyard: Mutex<Vec<(RecordSeq, NodeNumber)>>,
    /// Files that took a name from another one before they were synced: the next flush takes them along, or a power
    /// cut would leave neither.
    pub(crate) unsynced_replacements: Mutex<Vec<NodeNumber>>,
    /// Held while they are synced. Before all other locks.
    pub(crate) syncing_replacements: Mutex<()>,
    pub(crate) on_change: RwLock<Option<Callback>>,
    /// Keeps other daemons out while it is open.
    pub(crate) _lock: Option<std::fs::File>,
}

impl Shared {
    /// The tree, for a change: fails when the staging directory is not trusted any more.
    pub(crate) fn tree_to_change(&self) -> Result<MutexGuard<'_, Tree>, StageError> {
        self.poison.check()?;
        Ok(self.tree.lock())
    }

    /// Writes the changes as one record and makes them true. On an error nothing has changed.
    pub(crate) fn commit(
        &self,
        tree: &mut Tree,
        changes: Vec<Change>,
        room: Room,
    ) -> Result<RecordSeq, StageError> {
        let seq = self.journal.append(&changes, room)?;
        let has_events =
            changes.iter().any(|change| matches!(change, Change::Event { .. } | Change::EventGone { .. }));
        let now = self.now();
        for change in changes {
            let applied = tree.apply(change, now, seq);
            debug_assert!(applied.is_ok(), "a change was planned that cannot be made: {applied:?}");
            if let Err(detail) = applied {
                self.poison.set(detail, &std::io::Error::other("a change was planned that cannot be made"));
            }
        }
        if has_events {
            self.notify();
        }
        Ok(seq)
    }

    /// Makes a record survive a power cut, and with it all earlier ones.
    pub(crate) fn flush(&self, seq: RecordSeq) -> Result<(), StageError> {
        let seq = self.sync_replacements(seq)?;
        self.journal.flush(seq)?;
        self.bury();
        // Whoever waits for a flush waits for this too, once in many thousands of records.
        if self.journal.wants_rewrite() { self.rewrite_journal() } else { Ok(()) }
    }

    fn sync_replacements(&self, mut seq: RecordSeq) -> Result<RecordSeq, StageError> {
        let _one = self.syncing_replacements.lock();
        let numbers = std::mem::take(&mut *self.unsynced_replacements.lock());
        for number in numbers {
            let file = self.tree.lock().file(number).ok().cloned();
            if let Some(file) = file {
                seq = seq.max(self.sync_file(number, &file)?);
            }
        }
        Ok(seq)
    }

    /// Replaces a journal that is mostly history by a short one. Blocks.
    pub(crate) fn rewrite_journal(&self) -> Result<(), StageError> {
        {
            let tree = self.tree_to_change()?;
            let begun = self.journal.begin_rewrite(snapshot(&tree));
            if !begun.map_err(|source| StageError::Io { action: "rewrite the journal", source })? {
                return Ok(());
            }
        }
        self.journal.finish_rewrite()?;
        self.bury();
        Ok(())
    }

    /// The node is not needed any more: its backing file goes after the next flush.
    pub(crate) fn drop_node(&self, tree: &mut Tree, number: NodeNumber) {
        let had_data = tree.file(number).is_ok();
        tree.remove_node(number);
        if had_data {
            self.graveyard.lock().push((self.journal.last(), number));
        }
    }

    /// Removes the backing files that no power cut can bring back.
    pub(crate) fn bury(&self) {
        let flushed = self.journal.flushed();
        let dead: Vec<_> = self.graveyard.lock().extract_if(.., |(seq, _)| *seq <= flushed).collect();
        for (_, number) in dead {
            match self.disk.remove(&backing_path(number)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(node = number.0, %error, "a backing file that is not needed stays until the next start");
                }
                _ => {}
            }
        }
    }

    pub(crate) fn notify(&self) {
        if let Some(callback) = self.on_change.read().as_ref() {
            callback();
        }
    }

    pub(crate) fn now(&self) -> Instant {
        (self.options.clock.monotonic)()
    }

    pub(crate) fn moment(&self) -> Moment {
        (self.options.clock.wall)()
    }
}

/// The backing file of a node, below the staging directory.
pub(crate) fn backing_path(number: NodeNumber) -> PathBuf {
    Path::new(DATA_DIRECTORY).join(format!("{:016x}", number.0))
}
