//! [`FileSystem`]: what a file system implements to be served by this crate.
//!
//! Each request comes with a [`Reply`] of the type that the answer must have. The reply may be
//! answered at once or moved to any other thread and answered later; exactly once in either case. A reply that is
//! dropped answers `EIO` and is counted.
//!
//! Methods run on the session's threads. They may take short locks and do short direct I/O on the cache device, but
//! must not wait for the network: such work takes the reply along to another thread.
//!
//! Default answers are those of a read-only kernel file system: `EROFS` for what would change it, and for the rest
//! `ENOSYS`, which the kernel remembers and then no longer asks, or does itself (locks, `copy_file_range`).

use std::ffi::OsStr;
use std::io;

use crate::negotiate::ConnectionInfo;
use crate::passthrough::BackingFiles;
use crate::reply::{Reply, ReplyBuffer, ReplyData, ReplyDirectory, ReplyXattr};
use crate::types::{
    AccessMask, Attributes, CopyRange, CreateArgs, Created, Device, DirHandle, Entry, Errno, FallocateArgs,
    FileHandle, FileLock, FileOffset, LockArgs, NodeId, OpenFlags, Opened, OpenedDir, ReadArgs, ReadDirArgs,
    ReadToken, RenameFlags, RequestHeader, SeekFrom, SetAttributes, StatFs, StatxArgs, StatxAttributes,
    Unique, WriteArgs, Written,
};

/// A file system. Methods have defaults that refuse the operation as a kernel file system without it would.
pub trait FileSystem: Send + Sync + 'static {
    /// State of one session thread, such as its I/O ring and aligned buffers.
    type Worker: 'static;

    /// Makes the state of session thread `index`; called on that thread, before its first request and again after a
    /// panic of one.
    fn worker(&self, index: usize) -> io::Result<Self::Worker>;

    /// The connection is up: what the kernel and this crate agreed on. Called once, before any other request.
    fn connected(&self, _info: &ConnectionInfo) {}

    /// The kernel takes backing files: register them here. Called once, after [`connected`](Self::connected), unless the
    /// kernel is older than Linux 6.9 or [`SessionConfig::passthrough`](crate::session::SessionConfig) is off.
    fn passthrough(&self, _files: BackingFiles) {}

    /// Finds a name in a directory and takes one reference on the node (see [`forget`](Self::forget)) when it
    /// answers an entry. An [`Entry::negative`] caches the absence and takes none.
    fn lookup(&self, request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<Entry>);

    /// The kernel drops `count` references on a node. When the connection ends it drops all without a word.
    fn forget(&self, node: NodeId, count: u64);

    /// Attributes of a node.
    fn getattr(
        &self,
        request: &RequestHeader,
        node: NodeId,
        handle: Option<FileHandle>,
        reply: Reply<Attributes>,
    );

    /// Attributes of a node with its time of birth. Since 7.39; `ENOSYS` turns the kernel to `getattr`.
    fn statx(&self, _request: &RequestHeader, _args: &StatxArgs, reply: Reply<StatxAttributes>) {
        reply.error(Errno::ENOSYS);
    }

    /// Changes attributes (chmod, chown, truncate, utimens).
    fn setattr(
        &self,
        _request: &RequestHeader,
        _node: NodeId,
        _change: &SetAttributes,
        reply: Reply<Attributes>,
    ) {
        reply.error(Errno::EROFS);
    }

    /// Target of a symbolic link.
    fn readlink(&self, _request: &RequestHeader, _node: NodeId, reply: ReplyData) {
        reply.error(Errno::EINVAL);
    }

    /// Makes a symbolic link `name` that leads to `target`.
    fn symlink(
        &self,
        _request: &RequestHeader,
        _parent: NodeId,
        _name: &OsStr,
        _target: &OsStr,
        reply: Reply<Entry>,
    ) {
        reply.error(Errno::EROFS);
    }

    /// Makes a file, device node, pipe or socket. `mode` has the umask applied.
    fn mknod(
        &self,
        _request: &RequestHeader,
        _parent: NodeId,
        _name: &OsStr,
        _mode: u32,
        _rdev: u32,
        reply: Reply<Entry>,
    ) {
        reply.error(Errno::EROFS);
    }

    /// Makes a directory. `mode` has the umask applied.
    fn mkdir(
        &self,
        _request: &RequestHeader,
        _parent: NodeId,
        _name: &OsStr,
        _mode: u32,
        reply: Reply<Entry>,
    ) {
        reply.error(Errno::EROFS);
    }

    /// Removes a name of anything but a directory.
    fn unlink(&self, _request: &RequestHeader, _parent: NodeId, _name: &OsStr, reply: Reply<()>) {
        reply.error(Errno::EROFS);
    }

    /// Removes an empty directory.
    fn rmdir(&self, _request: &RequestHeader, _parent: NodeId, _name: &OsStr, reply: Reply<()>) {
        reply.error(Errno::EROFS);
    }

    /// Moves a name. Flags that are not supported answer `EINVAL`.
    fn rename(
        &self,
        _request: &RequestHeader,
        _from: (NodeId, &OsStr),
        _to: (NodeId, &OsStr),
        _flags: RenameFlags,
        reply: Reply<()>,
    ) {
        reply.error(Errno::EROFS);
    }

    /// Gives `node` another name.
    fn link(&self, _request: &RequestHeader, _node: NodeId, _to: (NodeId, &OsStr), reply: Reply<Entry>) {
        reply.error(Errno::EROFS);
    }

    /// Opens a file. An open for writing of a read-only file system answers `EROFS`.
    fn open(&self, request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<Opened>);

    /// Makes a file and opens it.
    fn create(
        &self,
        _request: &RequestHeader,
        _parent: NodeId,
        _name: &OsStr,
        _args: &CreateArgs,
        reply: Reply<Created>,
    ) {
        reply.error(Errno::EROFS);
    }

    /// Reads from an open file. A shorter answer than asked means end of file. [`ReplyData::buffered`] may give the memory
    /// that the kernel takes the answer from.
    fn read(&self, worker: &mut Self::Worker, request: &RequestHeader, args: &ReadArgs, reply: ReplyData);

    /// Devices that [`ReplyBuffer::read`] may read from, by place. Asked once, when the session starts.
    fn devices(&self) -> Vec<Device<'_>> {
        Vec::new()
    }

    /// The device reads of [`ReplyBuffer::read`] are done: the bytes are in the memory of the reply, unless one failed. Called on
    /// the thread that they were started on, with `request` and `args` as in [`read`](Self::read). The state of the
    /// thread may be a new one if a request panicked meanwhile.
    fn device_read_done(
        &self,
        _worker: &mut Self::Worker,
        _request: &RequestHeader,
        _args: &ReadArgs,
        _token: ReadToken,
        _result: Result<(), Errno>,
        reply: ReplyBuffer,
    ) {
        reply.error(Errno::EIO);
    }

    /// Writes to an open file. `data` lives in the buffer of the session thread: it must be copied to outlive the call.
    fn write(
        &self,
        _worker: &mut Self::Worker,
        _request: &RequestHeader,
        _args: &WriteArgs,
        _data: &[u8],
        reply: Reply<Written>,
    ) {
        reply.error(Errno::EROFS);
    }

    /// A file descriptor is closed; may come more than once for one handle.
    fn flush(&self, _request: &RequestHeader, _node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        reply.error(Errno::ENOSYS);
    }

    /// The last descriptor of a handle is gone. The answer is seen by nobody.
    fn release(&self, request: &RequestHeader, node: NodeId, handle: FileHandle, reply: Reply<()>);

    /// Makes the data of a file durable, and unless `data_only` its attributes.
    fn fsync(
        &self,
        _request: &RequestHeader,
        _node: NodeId,
        _handle: FileHandle,
        _data_only: bool,
        reply: Reply<()>,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Reserves or frees space.
    fn fallocate(&self, _request: &RequestHeader, _args: &FallocateArgs, reply: Reply<()>) {
        reply.error(Errno::EOPNOTSUPP);
    }

    /// Finds data or a hole from `offset` on.
    fn lseek(
        &self,
        _request: &RequestHeader,
        _node: NodeId,
        _handle: FileHandle,
        _offset: FileOffset,
        _from: SeekFrom,
        reply: Reply<FileOffset>,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Copies between two files of this file system; `EOPNOTSUPP` lets the kernel read and write instead.
    fn copy_file_range(&self, _request: &RequestHeader, _args: &CopyRange, reply: Reply<Written>) {
        reply.error(Errno::EOPNOTSUPP);
    }

    /// Opens a directory.
    fn opendir(&self, request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<OpenedDir>);

    /// Lists a directory from an offset. `args.plus` asks for entries with attributes; which of them take a
    /// reference, as `lookup` does, is told by [`ReplyDirectory::add`].
    fn readdir(&self, request: &RequestHeader, args: &ReadDirArgs, reply: ReplyDirectory);

    /// Closes a directory.
    fn releasedir(&self, request: &RequestHeader, node: NodeId, handle: DirHandle, reply: Reply<()>);

    /// Makes the names of a directory durable.
    fn fsyncdir(
        &self,
        _request: &RequestHeader,
        _node: NodeId,
        _handle: DirHandle,
        _data_only: bool,
        reply: Reply<()>,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Sizes and limits of the file system.
    fn statfs(&self, request: &RequestHeader, node: NodeId, reply: Reply<StatFs>);

    /// May the caller access the node? Not asked when the mount has `default_permissions`.
    fn access(&self, _request: &RequestHeader, _node: NodeId, _mask: AccessMask, reply: Reply<()>) {
        reply.error(Errno::ENOSYS);
    }

    /// Value of an extended attribute. Answer with the bytes, the reply sorts out who only asked for the length.
    fn getxattr(&self, _request: &RequestHeader, _node: NodeId, _name: &OsStr, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    /// Names of the extended attributes, each ended by a NUL byte.
    fn listxattr(&self, _request: &RequestHeader, _node: NodeId, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    /// Sets an extended attribute; `flags` are `XATTR_CREATE` and `XATTR_REPLACE`.
    fn setxattr(
        &self,
        _request: &RequestHeader,
        _node: NodeId,
        _name: &OsStr,
        _value: &[u8],
        _flags: u32,
        reply: Reply<()>,
    ) {
        reply.error(Errno::EROFS);
    }

    /// Removes an extended attribute.
    fn removexattr(&self, _request: &RequestHeader, _node: NodeId, _name: &OsStr, reply: Reply<()>) {
        reply.error(Errno::EROFS);
    }

    /// Finds a lock that `args.lock` would meet; `F_UNLCK` as its kind when there is none.
    fn getlk(&self, _request: &RequestHeader, _args: &LockArgs, reply: Reply<FileLock>) {
        reply.error(Errno::ENOSYS);
    }

    /// Takes or frees a lock; `wait` says whether to wait for it. Only sent when locks are shared with other hosts, which
    /// is not agreed on: the kernel keeps them.
    fn setlk(&self, _request: &RequestHeader, _args: &LockArgs, _wait: bool, reply: Reply<()>) {
        reply.error(Errno::ENOSYS);
    }

    /// A caller of an unanswered request got a signal. The request may be answered early with `EINTR`. May come
    /// before the request itself when another thread still holds that.
    fn interrupt(&self, _interrupted: Unique) {}

    /// The connection ends; no request comes any more. Called once.
    fn destroyed(&self) {}
}
