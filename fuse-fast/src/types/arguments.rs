//! Arguments of requests.

use super::answers::FileLock;
use super::attributes::Timestamp;
use super::flags::OpenFlags;
use super::ids::{DirHandle, DirOffset, FileHandle, LockOwner, NodeId, Unique};

/// Who asks. Ids are those of the mount's user namespace; 0 for requests that the kernel makes for itself, such as
/// write-back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHeader {
    /// The request, for [`interrupt`](crate::FileSystem::interrupt).
    pub unique: Unique,
    /// File-system user id of the caller.
    pub uid: u32,
    /// File-system group id of the caller.
    pub gid: u32,
    /// Thread id of the caller, 0 when it is in another pid namespace.
    pub pid: u32,
}

/// Arguments of `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadArgs {
    /// The file.
    pub node: NodeId,
    /// The open file.
    pub handle: FileHandle,
    /// First byte.
    pub offset: u64,
    /// Bytes wanted; at most [`ConnectionInfo::read_bytes_max`](crate::negotiate::ConnectionInfo::read_bytes_max).
    pub size_bytes: u32,
    /// Current flags of the open file.
    pub flags: OpenFlags,
    /// Owner of mandatory locks, when the kernel knows one.
    pub lock_owner: Option<LockOwner>,
}

/// Arguments of `write` next to the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteArgs {
    /// The file.
    pub node: NodeId,
    /// The open file; a guess when `cached`.
    pub handle: FileHandle,
    /// First byte.
    pub offset: u64,
    /// Current flags of the open file.
    pub flags: OpenFlags,
    /// Comes from the page cache, later than the caller's write.
    pub cached: bool,
    /// The set-user-id and set-group-id bits must be cleared.
    pub kill_suid_sgid: bool,
    /// Owner of mandatory locks, when the kernel knows one.
    pub lock_owner: Option<LockOwner>,
}

/// Arguments of `readdir`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadDirArgs {
    /// The directory.
    pub node: NodeId,
    /// The open directory.
    pub handle: DirHandle,
    /// Entries after this position are wanted.
    pub offset: DirOffset,
    /// Bytes that the answer may have; the reply keeps count.
    pub size_bytes: u32,
    /// Entries with attributes are wanted, each of which takes a reference.
    pub plus: bool,
}

/// A time to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// The time when the request is carried out.
    Now,
    /// This time.
    At(Timestamp),
}

/// Attributes to change; `None` leaves one alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetAttributes {
    /// The open file that the change comes through (`ftruncate`).
    pub handle: Option<FileHandle>,
    /// Mode with permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size in bytes.
    pub size_bytes: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of the data.
    pub mtime: Option<SetTime>,
    /// Last change of the attributes.
    pub ctime: Option<Timestamp>,
    /// Owner of mandatory locks.
    pub lock_owner: Option<LockOwner>,
    /// The set-user-id and set-group-id bits must be cleared.
    pub kill_suid_sgid: bool,
}

/// Arguments of `create` next to the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateArgs {
    /// Flags of the open.
    pub flags: OpenFlags,
    /// Mode of the new file, the umask already applied.
    pub mode: u32,
    /// The caller's umask.
    pub umask: u32,
}

/// Permissions that `access(2)` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessMask(pub u32);

/// Position that `lseek` starts from; the kernel keeps `SEEK_SET`, `SEEK_CUR` and mostly `SEEK_END` to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekFrom {
    /// The start (`SEEK_SET`).
    Start,
    /// The current position (`SEEK_CUR`).
    Current,
    /// The end (`SEEK_END`).
    End,
    /// The next byte that holds data (`SEEK_DATA`).
    Data,
    /// The next hole (`SEEK_HOLE`).
    Hole,
}

/// Arguments of `fallocate(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FallocateArgs {
    /// The file.
    pub node: NodeId,
    /// The open file.
    pub handle: FileHandle,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub length_bytes: u64,
    /// `FALLOC_FL_*`.
    pub mode: u32,
}

/// Arguments of `copy_file_range(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyRange {
    /// Source file.
    pub from: NodeId,
    /// Source handle.
    pub from_handle: FileHandle,
    /// First byte in the source.
    pub from_offset: u64,
    /// Target file.
    pub to: NodeId,
    /// Target handle.
    pub to_handle: FileHandle,
    /// First byte in the target.
    pub to_offset: u64,
    /// Length in bytes.
    pub length_bytes: u64,
}

/// Arguments of `getlk` and `setlk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockArgs {
    /// The file.
    pub node: NodeId,
    /// The open file.
    pub handle: FileHandle,
    /// Who locks.
    pub owner: LockOwner,
    /// The range.
    pub lock: FileLock,
    /// An `flock(2)` lock, not an `fcntl(2)` one.
    pub flock: bool,
}

/// Arguments of `statx(2)`. Since 7.39.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatxArgs {
    /// The node.
    pub node: NodeId,
    /// The open file that the call came through.
    pub handle: Option<FileHandle>,
    /// `AT_STATX_*`.
    pub sync_flags: u32,
    /// `STATX_*`: what is wanted.
    pub mask: u32,
}
