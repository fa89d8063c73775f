//! Values that answers carry.

use std::num::NonZeroI32;
use std::time::Duration;

use super::attributes::{Attributes, Timestamp};
use super::flags::OpenedFlags;
use super::ids::{DirHandle, FileHandle, Generation, NodeId};
use crate::passthrough::BackingId;

/// A name in a directory: the node behind it, and how long the kernel may use the name without asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The node; each answered entry takes one reference on it.
    pub node: NodeId,
    /// Generation of the node id.
    pub generation: Generation,
    /// Its attributes; `None` only in a negative entry.
    pub attributes: Option<Attributes>,
    /// How long the name stays valid.
    pub valid: Duration,
}

impl Entry {
    /// The name leads to `node`, whose id is never used twice.
    pub const fn new(node: NodeId, attributes: Attributes, valid: Duration) -> Entry {
        Entry { node, generation: Generation(0), attributes: Some(attributes), valid }
    }

    /// The name does not exist, and the kernel may remember that for `valid`. Takes no reference.
    pub const fn negative(valid: Duration) -> Entry {
        Entry { node: NodeId(0), generation: Generation(0), attributes: None, valid }
    }

    /// Whether the name does not exist.
    pub const fn is_negative(&self) -> bool {
        self.attributes.is_none()
    }
}

/// A file is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Comes back with each request on the open file.
    pub handle: FileHandle,
    /// What the kernel may do with it.
    pub flags: OpenedFlags,
    pub(crate) backing: Option<NonZeroI32>,
}

impl Opened {
    /// Reads and writes come here.
    pub const fn new(handle: FileHandle, flags: OpenedFlags) -> Opened {
        Opened { handle, flags, backing: None }
    }

    /// The kernel reads, writes and maps the backing file itself (`FOPEN_PASSTHROUGH`), so no `read` or `write` comes
    /// here; `fsync`, `flush`, `setattr`, `fallocate` and `lseek` still do. With [`OpenedFlags::DIRECT_IO`] reads and
    /// writes come here and only mappings use the backing file.
    ///
    /// The kernel looks `backing` up after it got the answer: keep it until `release`. It refuses an open that breaks
    /// the rules of its inode with `EIO`; [`InodeModes`](crate::passthrough::InodeModes) keeps them. `KEEP_CACHE` is
    /// one of the flags that it does not take here.
    pub fn passthrough(handle: FileHandle, flags: OpenedFlags, backing: &BackingId) -> Opened {
        let allowed = OpenedFlags::DIRECT_IO | OpenedFlags::PARALLEL_DIRECT_WRITES | OpenedFlags::NO_FLUSH;
        debug_assert!(allowed.contains(flags), "the kernel refuses {flags:?} for a passthrough open");
        Opened { handle, flags, backing: Some(backing.number()) }
    }
}

/// A directory is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedDir {
    /// Comes back with each request on the open directory.
    pub handle: DirHandle,
    /// [`OpenedFlags::CACHE_DIR`] and [`OpenedFlags::KEEP_CACHE`] apply.
    pub flags: OpenedFlags,
}

/// Sizes and limits of a file system, as `statfs(2)` shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatFs {
    /// Size of the file system in blocks of `fragment_bytes`.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Free blocks for other users than root.
    pub blocks_available: u64,
    /// Count of nodes.
    pub files: u64,
    /// Free nodes.
    pub files_free: u64,
    /// Preferred size of I/O.
    pub block_bytes: u32,
    /// Longest name in bytes.
    pub name_bytes_max: u32,
    /// Unit of the block counts.
    pub fragment_bytes: u32,
}

/// A lock on a range of a file, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLock {
    /// First byte.
    pub start: u64,
    /// Last byte; `i64::MAX` for "to the end of the file".
    pub end: u64,
    /// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    pub kind: u32,
    /// Process that holds or wants it.
    pub pid: u32,
}

/// Answer to `statx`: the attributes, and the time of birth when it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatxAttributes {
    /// Everything that `getattr` answers.
    pub attributes: Attributes,
    /// Time of creation.
    pub btime: Option<Timestamp>,
}

/// A new file and its open handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// The name, which takes one reference on the node.
    pub entry: Entry,
    /// The open file.
    pub opened: Opened,
}

/// Count of bytes that a `write` or `copy_file_range` took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written(pub u32);

/// A position in a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileOffset(pub u64);
