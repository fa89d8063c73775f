//! What a file system and a transport exchange: ids, attributes, arguments and answers.
//!
//! Nothing here is a wire format: the encoding lives in `sys`, so another transport can drive the same file system.

mod answers;
mod arguments;
mod attributes;
mod device;
mod errno;
mod flags;
mod ids;

pub use answers::{
    Created, Entry, FileLock, FileOffset, Opened, OpenedDir, StatFs, StatxAttributes, Written,
};
pub use arguments::{
    AccessMask, CopyRange, CreateArgs, FallocateArgs, LockArgs, ReadArgs, ReadDirArgs, RequestHeader,
    SeekFrom, SetAttributes, SetTime, StatxArgs, WriteArgs,
};
pub use attributes::{Attributes, FileKind, Timestamp};
pub use device::{Device, DeviceIndex, DeviceRead, ReadToken};
pub use errno::Errno;
pub use flags::{OpenFlags, OpenedFlags, RenameFlags};
pub use ids::{DirHandle, DirOffset, FileHandle, Generation, LockOwner, NodeId, Unique};
