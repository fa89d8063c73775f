//! The values that the namespace answers with.

use std::num::NonZeroU64;
use std::ops::Add;
use std::time::{Duration, SystemTime};

use ufs::{Key, Version};

use crate::store::StoreIndex;

/// Number of a node in one mount. Of a file it names one version of one object: a replaced object gets a new number.
/// Of a directory it names the path. Numbers are never used twice, also over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ino(pub NonZeroU64);

impl Ino {
    /// The mount's root, as FUSE has it.
    pub const ROOT: Self = Self(NonZeroU64::MIN);

    /// The number as the kernel writes it; `None` for 0.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The bare number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// A file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// One version of an object.
    File(FileNode),
    /// A directory.
    Directory(DirNode),
}

impl Node {
    /// Its number.
    pub fn ino(&self) -> Ino {
        match self {
            Self::File(file) => file.ino,
            Self::Directory(directory) => directory.ino,
        }
    }
}

/// One version of an object as a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileNode {
    /// Its number.
    pub ino: Ino,
    /// Its length.
    pub size_bytes: u64,
    /// Last change, as the store tells it.
    pub modified: SystemTime,
}

/// A directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirNode {
    /// Its number.
    pub ino: Ino,
    /// When this mount first saw it: object stores have no times for directories.
    pub modified: SystemTime,
}

/// What a file inode reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// The store.
    pub store: StoreIndex,
    /// The key there.
    pub key: Key,
    /// The version of the bytes.
    pub version: Version,
    /// Its length.
    pub size_bytes: u64,
}

/// A name of a directory, as the namespace has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The name.
    pub name: Box<str>,
    /// What it leads to. No reference is taken.
    pub node: Node,
    /// What it reads, if it is a file.
    pub object: Option<ObjectRef>,
}

/// A node on the way from the root to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its name in the directory before it.
    pub name: Box<str>,
    /// The node.
    pub node: Node,
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The store.
    pub store: StoreIndex,
    /// The key there.
    pub key: Key,
}

/// Why no store can have what is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOrigin {
    /// The mount's table makes the directory at the path.
    Place,
    /// No store is mounted at or above the path.
    NoStore,
    /// The key would be too long for any store.
    TooLong,
}

/// What is known without asking a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cached<T> {
    /// This is it.
    Known(T),
    /// There is certainly nothing.
    Absent,
    /// A store has to be asked.
    Unknown,
}

/// A name's node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The node; the caller holds one reference on it.
    pub node: Node,
    /// How long the kernel may believe this. [`VALID_FOREVER`](super::VALID_FOREVER) on immutable mounts.
    pub valid_for: Duration,
}

/// What a refresh saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefreshReport {
    /// Files that are there now.
    pub objects: u64,
    /// Directories that were listed.
    pub directories: u64,
    /// Names whose object has another version.
    pub changed: u64,
    /// Names that are gone. One that turned from a file into a directory or back is counted as removed and added.
    pub removed: u64,
    /// Names that were not known.
    pub added: u64,
    /// Names in the stores that cannot be shown.
    pub hidden: u64,
}

impl Add for RefreshReport {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            objects: self.objects + other.objects,
            directories: self.directories + other.directories,
            changed: self.changed + other.changed,
            removed: self.removed + other.removed,
            added: self.added + other.added,
            hidden: self.hidden + other.hidden,
        }
    }
}

/// Counters and gauges of one mount's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamespaceStats {
    /// Nodes that the kernel references.
    pub known_inodes: u64,
    /// Memory of those nodes, with the allocator's share.
    pub inode_memory_bytes: u64,
    /// Memory of the database's page cache, shared by all mounts of the cache directory.
    pub listing_cache_bytes: u64,
    /// Directory listings taken from the stores since the start.
    pub listings_imported: u64,
    /// Names in the listings known now that cannot be shown; see SEMANTICS, "Names".
    pub hidden_names: u64,
}
