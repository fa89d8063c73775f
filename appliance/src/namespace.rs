//! The namespace: one tree of directories and files over the flat keys of several stores.
//!
//! Job: answer the kernel's questions about names from what is known, ask the stores for what is not, keep it over
//! restarts, and tell the kernel what changed.
//!
//! Parts, from the outside in:
//! - `tree`: which store lies where in the mount; `names`: which keys can be shown as file names.
//! - `inodes`: the nodes that the kernel references now, with its counts; nothing else is held in memory.
//! - `lookup`, `refresh`, [`DirSnapshot`], [`FilesBelow`]: the four ways to ask.
//! - `import`: turns pages of a store's listing into listings of directories; `listing` reads them back.
//! - [`Database`]: one redb file per cache directory, with one thread that writes; `block` and `record` are its format.
//!
//! Flow of a lookup: `inodes` knows the parent; the directory's listing in the database answers if it is fresh by the
//! mount's [`Consistency`]; else the store is asked for that one name, the answer is kept as an *override* of the
//! listing, and after a few such questions the whole directory is imported in the background.
//!
//! Trade: a lookup that the kernel does not answer itself costs a few microseconds in the database instead of a hash
//! probe, and in return a million names cost memory only while the kernel holds them.

mod below;
mod block;
mod database;
mod dir;
mod entry;
mod error;
mod events;
mod files;
mod flights;
mod freshness;
mod import;
mod inodes;
mod listing;
mod lookup;
mod names;
mod negatives;
mod packed;
mod place;
mod record;
mod refresh;
mod shared;
mod tree;
mod types;
mod varint;

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Consistency, TreePath};
use crate::store::{Store, StoreIndex};

pub use below::Installed;
pub use database::Database;
pub use dir::{DirEntry, DirSnapshot};
pub use error::{DatabaseError, NamespaceError};
pub use events::KernelCache;
pub use files::FilesBelow;
pub use freshness::{Clock, VALID_FOREVER};
pub use types::{
    Ancestor, Cached, Child, DirNode, FileNode, Found, Ino, NamespaceStats, NoOrigin, Node, ObjectRef,
    Origin, RefreshReport,
};

use shared::Shared;

/// What a namespace is made of.
pub struct NamespaceOptions {
    /// Names the mount in the database, such as its mountpoint. What was learned under one identity is kept for the
    /// next start with the same identity, tree and stores.
    pub identity: String,
    /// Which store lies where; the root need not have one. Deeper branches hide what lies below them.
    pub tree: Vec<(TreePath, StoreIndex)>,
    /// The stores that the tree's indices name.
    pub stores: Vec<Arc<Store>>,
    /// How long names and attributes are believed.
    pub consistency: Consistency,
    /// Where listings are kept; shared by all mounts of one cache directory.
    pub database: Arc<Database>,
    /// Who is told that the kernel's caches are stale.
    pub events: Arc<dyn KernelCache>,
    /// Wall time; `Clock::default()` but in tests.
    pub clock: Clock,
}

/// The tree of one mount. Cheap to clone; every method may be called from any thread.
#[derive(Clone)]
pub struct Namespace {
    shared: Arc<Shared>,
}

impl Namespace {
    /// Opens the tree and what the database remembers of it. Asks no store.
    pub async fn open(options: NamespaceOptions) -> Result<Self, NamespaceError> {
        Ok(Self { shared: Arc::new(Shared::open(options).await?) })
    }

    /// Finds a name without any store call. Takes one reference on the node when it is [`Cached::Known`].
    /// [`Cached::Unknown`] means that [`lookup`](Self::lookup) has to be awaited. Never fails: what cannot be read
    /// from the database is unknown.
    pub fn lookup_cached(&self, parent: Ino, name: &str) -> Cached<Found> {
        lookup::cached(&self.shared, parent, name)
    }

    /// Finds a name, asking the store if need be, and takes one reference on the node when there is one. Equal
    /// questions asked at the same time share one store call. Must run inside a tokio runtime.
    pub async fn lookup(&self, parent: Ino, name: &str) -> Result<Option<Found>, NamespaceError> {
        lookup::lookup(&self.shared, parent, name).await
    }

    /// How long the kernel may believe that a name which was absent just now is absent.
    pub fn negative_valid_for(&self) -> Duration {
        self.shared.rules.negative_valid_for()
    }

    /// Attributes of a node that is referenced. Those of one file inode never change.
    pub fn node(&self, ino: Ino) -> Option<Node> {
        self.shared.node(ino)
    }

    /// What a file inode reads; `None` when it is no file or not referenced.
    pub fn object(&self, ino: Ino) -> Option<ObjectRef> {
        self.shared.object(ino)
    }

    /// Gives back references that lookups took.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.shared.forget(ino, count);
    }

    /// The entries of a directory, if its listing is fresh.
    pub fn read_dir_cached(&self, ino: Ino) -> Cached<DirSnapshot> {
        dir::cached(&self.shared, ino)
    }

    /// The entries of a directory, listed by the store if need be. The snapshot stays what it is while the directory
    /// is refreshed. Must run inside a tokio runtime.
    pub async fn open_dir(&self, ino: Ino) -> Result<DirSnapshot, NamespaceError> {
        dir::open(&self.shared, ino).await
    }

    /// Lists a directory (or with `recursive` everything below it) or asks for a file again, and tells the kernel what
    /// changed; the kernel has been told when this returns. A path where there is nothing is
    /// [`NamespaceError::NotFound`]. Must run inside a tokio runtime.
    pub async fn refresh(&self, path: &TreePath, recursive: bool) -> Result<RefreshReport, NamespaceError> {
        refresh::refresh(&self.shared, path, recursive).await
    }

    /// All files at and below a path, in bounded memory. Directories whose listing is not fresh are imported first.
    /// Its `next` must run inside a tokio runtime.
    pub fn files_below(&self, path: &TreePath) -> FilesBelow {
        FilesBelow::new(self.shared.clone(), path.clone())
    }

    /// Finds a path from the root down. Takes no reference.
    pub async fn resolve(&self, path: &TreePath) -> Result<Option<Node>, NamespaceError> {
        lookup::resolve(&self.shared, path).await
    }

    /// A read saw that the object was replaced or removed: the next lookup of its name asks the store, and the kernel
    /// is told to ask.
    pub fn report_changed(&self, ino: Ino) {
        self.shared.report_changed(ino);
    }

    /// Finds a name, asking the store if need be, without taking a reference. Must run inside a tokio runtime.
    pub async fn find(&self, parent: Ino, name: &str) -> Result<Option<Child>, NamespaceError> {
        below::find(&self.shared, parent, name).await
    }

    /// Gives the children of a directory, in the order of the listing, until `each` returns false; none where there is no
    /// directory. Must run inside a tokio runtime.
    pub async fn scan(
        &self,
        path: &TreePath,
        each: &mut (dyn FnMut(Child) -> bool + Send),
    ) -> Result<(), NamespaceError> {
        below::scan(&self.shared, path, each).await
    }

    /// Whether a node is referenced here.
    pub fn contains(&self, ino: Ino) -> bool {
        self.shared.inodes.contains(self.shared.number(ino))
    }

    /// The nodes from the first below the root down to a referenced one, itself included.
    pub fn ancestry(&self, ino: Ino) -> Option<Vec<Ancestor>> {
        below::ancestry(&self.shared, ino)
    }

    /// Takes a file out of the table of nodes, with the count of references that the kernel has on it: whoever calls
    /// counts them from now on.
    pub fn hand_over(&self, ino: Ino) -> u64 {
        below::hand_over(&self.shared, ino)
    }

    /// Which store has what is at a path, and under which key.
    pub fn origin(&self, path: &TreePath) -> Result<Origin, NoOrigin> {
        below::origin(&self.shared, path)
    }

    /// Whether the mount's table makes the directory at a path: it can be neither moved nor removed.
    pub fn is_place(&self, path: &TreePath) -> bool {
        below::is_place(&self.shared, path)
    }

    /// Takes note of what a store has at a path now, as if it had been asked. The kernel is not told.
    pub async fn install(&self, path: &TreePath, now: Installed<'_>) -> Result<(), NamespaceError> {
        below::install(&self.shared, path, now).await
    }

    /// Counters and gauges.
    pub fn stats(&self) -> NamespaceStats {
        self.shared.stats()
    }
}
