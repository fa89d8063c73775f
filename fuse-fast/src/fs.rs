//! [`FileSystem`]: what a file system implements to be served by this crate.
//!
//! Each request comes with a [`Reply`](crate::reply::Reply) of the type that the answer must have. The reply may be
//! answered at once or moved to any other thread and answered later; exactly once in either case. A reply that is
//! dropped answers `EIO` and is counted.
//!
//! Methods run on the session's threads. They may take short locks and do short direct I/O on the cache device, but
//! must not wait for the network: such work takes the reply along to another thread.

use std::ffi::OsStr;
use std::io;

use crate::reply::{Reply, ReplyData, ReplyDirectory};
use crate::types::{
    Attributes, ConnectionInfo, DirHandle, Entry, Errno, FileHandle, NodeId, Opened, OpenFlags, ReadArgs,
    ReadDirArgs, RequestHeader, SetAttributes, StatFs, Unique,
};

/// A file system. Methods have defaults that refuse the operation as a kernel file system without it would.
pub trait FileSystem: Send + Sync + 'static {
    /// State of one session thread, such as its I/O ring and aligned buffers.
    type Worker: 'static;

    /// Makes the state of session thread `index`; called on that thread, before its first request.
    fn worker(&self, index: usize) -> io::Result<Self::Worker>;

    /// The connection is up: what the kernel and this crate agreed on. Called once, before any other request.
    fn connected(&self, _info: &ConnectionInfo) {}

    /// Finds a name in a directory and takes one reference on the node (see [`forget`](Self::forget)) when it
    /// answers an entry. An [`Entry::negative`] caches the absence and takes none.
    fn lookup(&self, request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<Entry>);

    /// The kernel drops `count` references on a node.
    fn forget(&self, node: NodeId, count: u64);

    /// Attributes of a node.
    fn getattr(&self, request: &RequestHeader, node: NodeId, handle: Option<FileHandle>, reply: Reply<Attributes>);

    /// Changes attributes (chmod, chown, truncate, utimens).
    fn setattr(&self, _request: &RequestHeader, _node: NodeId, _change: &SetAttributes, reply: Reply<Attributes>) {
        reply.error(Errno::EROFS);
    }

    /// Target of a symbolic link.
    fn readlink(&self, _request: &RequestHeader, _node: NodeId, reply: ReplyData) {
        reply.error(Errno::EINVAL);
    }

    /// Opens a file.
    fn open(&self, request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<Opened>);

    /// Reads from an open file. A shorter answer than asked means end of file.
    fn read(&self, worker: &mut Self::Worker, request: &RequestHeader, args: &ReadArgs, reply: ReplyData);

    /// A file descriptor is closed; may come more than once for one handle.
    fn flush(&self, _request: &RequestHeader, _node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        reply.error(Errno::ENOSYS);
    }

    /// The last descriptor of a handle is gone.
    fn release(&self, request: &RequestHeader, node: NodeId, handle: FileHandle, reply: Reply<()>);

    /// Opens a directory.
    fn opendir(&self, request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<Opened>);

    /// Lists a directory from an offset. `args.plus` asks for entries with attributes, each of which (but `.` and
    /// `..`) takes one reference as `lookup` does. The reply knows how much fits.
    fn readdir(&self, request: &RequestHeader, args: &ReadDirArgs, reply: ReplyDirectory);

    /// Closes a directory.
    fn releasedir(&self, request: &RequestHeader, node: NodeId, handle: DirHandle, reply: Reply<()>);

    /// Sizes and limits of the file system.
    fn statfs(&self, request: &RequestHeader, node: NodeId, reply: Reply<StatFs>);

    /// Value of an extended attribute. `size` 0 asks for its length: answer with the bytes either way, the reply sorts it out.
    fn getxattr(&self, _request: &RequestHeader, _node: NodeId, _name: &OsStr, reply: crate::reply::ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    /// Names of the extended attributes, each ended by a NUL byte.
    fn listxattr(&self, _request: &RequestHeader, _node: NodeId, reply: crate::reply::ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    /// A caller of an unanswered request got a signal. The request may be answered early with `EINTR`.
    fn interrupt(&self, _interrupted: Unique) {}

    /// The connection ends; no request comes any more.
    fn destroyed(&self) {}
}
