//! The overlay of a read-write mount: the staged tree over the namespace, shown as one tree.
//!
//! Job: answer for every name and node which of the two has it, and take clean nodes over (*adoption*) before they
//! change. What a change does to the staged tree, and when it reaches a store, is not decided here.
//!
//! Parts: `lookup` merges names; `listing` merges directories; `adoption` takes over; `change` makes, removes and
//! renames; `attributes` sets modes, times and extended attributes; [`mod@file`] reads and writes; `below` finds the
//! namespace's directory under a staged one; [`hand_back`] forgets staged nodes that have become clean.
//!
//! Flow of a change: find out what the namespace has under the names concerned, which may ask a store; then, with the
//! names locked, adopt what is clean and let the staged tree do the change. When the staged tree has changed a name
//! meanwhile, it begins anew.
//!
//! Who counts the kernel's references: the namespace for clean nodes; the staged tree for its files and links. Of a
//! directory that both have, each counts those that it gave out, and [`forget`](Overlay::forget) takes the staged ones first.
//!
//! Trade: one lock for all names of a mount. It is held for a record of the journal at most, never while a store is
//! asked, and in return no two requests see half of a rename.

mod adoption;
mod attributes;
mod below;
mod change;
mod error;
pub mod file;
pub mod hand_back;
mod listing;
mod lookup;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use staging::{NodeNumber, NodeView, Staging};

use crate::filesystem::Presentation;
use crate::namespace::{Ino, Namespace, Node};
use crate::read_path::ReadPath;
use crate::store::Store;

pub(crate) use adoption::moment;
pub(crate) use attributes::without_set_id_bits;
pub use change::NewKind;
pub use error::OverlayError;
pub use listing::{MergedEntry, MergedListing, Took};

/// Times that a change is begun anew when the staged tree changes under it.
const ATTEMPTS_MAX: usize = 16;

/// What an overlay is made of.
pub struct OverlayParts {
    /// What the stores have.
    pub namespace: Namespace,
    /// What they do not have yet.
    pub staging: Staging,
    /// The mount's stores, by [`crate::store::StoreIndex`].
    pub stores: Vec<Arc<Store>>,
    /// Reads what is not local.
    pub read_path: Arc<ReadPath>,
    /// What adopted nodes begin with.
    pub presentation: Presentation,
    /// Most names below a directory of a store that a rename moves.
    pub rename_max: usize,
    /// Most nodes that the staged tree takes.
    pub files_max: usize,
    /// Where the staged tree lies.
    pub staging_directory: PathBuf,
}

/// What may still be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that the stores lack, and those that may be added.
    pub total_bytes: u64,
    /// Bytes that may be added.
    pub free_bytes: u64,
    /// Most staged nodes.
    pub files_total: u64,
    /// Nodes that may be added.
    pub files_free: u64,
}

/// The two trees of one mount as one.
pub struct Overlay {
    parts: OverlayParts,
    /// Held for reading while a name is looked at and referenced, for writing while names change.
    names: RwLock<()>,
    /// The namespace's directory under a staged one whose number the namespace does not know; one reference each.
    below: Mutex<HashMap<NodeNumber, Ino>>,
}

/// Proof that the names are locked for a change.
type Locked<'a> = RwLockWriteGuard<'a, ()>;

/// A node as the mount shows it.
#[derive(Clone, Debug)]
pub enum Shown {
    /// As its store has it.
    Clean(Node),
    /// Made or changed here.
    Staged(NodeView),
}

impl Shown {
    /// Its number for the kernel.
    pub fn number(&self) -> u64 {
        match self {
            Self::Clean(node) => node.ino().get(),
            Self::Staged(view) => view.number.0,
        }
    }
}

impl Overlay {
    /// The overlay over its parts.
    pub fn new(parts: OverlayParts) -> Self {
        Self { parts, names: RwLock::new(()), below: Mutex::default() }
    }

    /// The staged tree.
    pub fn staging(&self) -> &Staging {
        &self.parts.staging
    }

    /// A node that the kernel references.
    pub fn node(&self, number: u64) -> Option<Shown> {
        if let Some(view) = self.parts.staging.node(NodeNumber(number)) {
            return Some(Shown::Staged(view));
        }
        self.parts.namespace.node(Ino::new(number)?).map(Shown::Clean)
    }

    /// Whether a staged node still has its name.
    pub fn is_linked(&self, number: NodeNumber) -> bool {
        number == NodeNumber::ROOT || self.parts.staging.parent(number).is_some()
    }

    /// What may still be written and made: by the limits of the staged tree, or by what its disk has left if that is less.
    pub fn room(&self) -> Room {
        let stats = self.parts.staging.stats();
        let on_disk = nix::sys::statvfs::statvfs(&self.parts.staging_directory);
        let left = on_disk.map_or(u64::MAX, |disk| disk.blocks_available() * disk.fragment_size());
        let free = stats.dirty_limit_bytes.saturating_sub(stats.dirty_bytes).min(left);
        let files_total = self.parts.files_max as u64;
        Room {
            total_bytes: free + stats.dirty_bytes,
            free_bytes: free,
            files_total,
            files_free: files_total.saturating_sub(stats.nodes),
        }
    }

    /// The kernel drops references.
    pub fn forget(&self, number: u64, count: u64) {
        let rest = self.parts.staging.forget(NodeNumber(number), count);
        if rest > 0
            && let Some(ino) = Ino::new(number)
        {
            self.parts.namespace.forget(ino, rest);
        }
    }

    fn lock(&self) -> Locked<'_> {
        self.names.write()
    }
}
