//! Ids that kernel and file system exchange, each a type of its own.

/// Names a node to the kernel. Chosen by the file system; valid from the first entry that carries it until its
/// references are forgotten. 0 means "no node", 1 is the root, which is never forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The root directory (`FUSE_ROOT_ID`).
    pub const ROOT: NodeId = NodeId(1);
}

/// Tells apart two uses of one [`NodeId`]: the pair must be unique for the life of the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Generation(pub u64);

/// An open file; chosen by the file system, valid from `open` to `release`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileHandle(pub u64);

/// An open directory; chosen by the file system, valid from `opendir` to `releasedir`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DirHandle(pub u64);

/// One request of one connection; chosen by the kernel, free for reuse once it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unique(pub u64);

/// A position in a directory, as `telldir` gives it: 0 is the start, every other value is the file system's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct DirOffset(pub u64);

/// The owner of a lock: the kernel's name for a file table or an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LockOwner(pub u64);
