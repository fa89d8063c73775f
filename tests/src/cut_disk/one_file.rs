//! [`OneFile`]: a FUSE file system with one file, whose bytes are a [`Storage`].

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fuse_fast::reply::{Reply, ReplyData, ReplyDirectory};
use fuse_fast::types::{OpenFlags, WriteArgs, Written};
use fuse_fast::{
    Attributes, DirHandle, Entry, Errno, FileHandle, FileKind, FileSystem, NodeId, Opened, OpenedDir,
    OpenedFlags, ReadArgs, ReadDirArgs, RequestHeader, StatFs, Timestamp,
};
use nix::errno::Errno as OsErrno;
use parking_lot::Mutex;

use super::storage::Storage;

/// Name of the file.
pub(super) const NAME: &str = "disk";
const FILE: NodeId = NodeId(2);

/// The file system. An open file is of the *plugging* in which it was opened; those of earlier ones get `EIO`, so that
/// a kernel that still writes what it had cached before the cut cannot reach the disk any more.
pub(super) struct OneFile {
    pub(super) storage: Arc<Mutex<Storage>>,
    pub(super) size_bytes: u64,
    pub(super) plugging: Arc<AtomicU64>,
}

impl OneFile {
    fn attributes(&self, node: NodeId) -> Attributes {
        let is_file = node == FILE;
        let size_bytes = if is_file { self.size_bytes } else { 0 };
        Attributes {
            ino: node.0,
            size_bytes,
            blocks_512: size_bytes / 512,
            atime: Timestamp::default(),
            mtime: Timestamp::default(),
            ctime: Timestamp::default(),
            kind: if is_file { FileKind::Regular } else { FileKind::Directory },
            permissions: if is_file { 0o600 } else { 0o700 },
            links: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            block_size_bytes: 4096,
            valid: Duration::MAX,
        }
    }

    fn check(&self, handle: FileHandle) -> io::Result<()> {
        let current = handle.0 == self.plugging.load(Ordering::Acquire);
        if current { Ok(()) } else { Err(OsErrno::EIO.into()) }
    }
}

/// The disk fails with EIO alone.
fn eio(_error: io::Error) -> Errno {
    Errno::EIO
}

impl FileSystem for OneFile {
    type Worker = Vec<u8>;

    fn worker(&self, _index: usize) -> io::Result<Self::Worker> {
        Ok(Vec::new())
    }

    fn lookup(&self, _request: &RequestHeader, _parent: NodeId, name: &OsStr, reply: Reply<Entry>) {
        match name == NAME {
            true => reply.ok(Entry::new(FILE, self.attributes(FILE), Duration::MAX)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn forget(&self, _node: NodeId, _count: u64) {}

    fn getattr(&self, _: &RequestHeader, node: NodeId, _: Option<FileHandle>, reply: Reply<Attributes>) {
        reply.ok(self.attributes(node));
    }

    fn open(&self, _request: &RequestHeader, _node: NodeId, _flags: OpenFlags, reply: Reply<Opened>) {
        let handle = FileHandle(self.plugging.load(Ordering::Acquire));
        reply.ok(Opened::new(handle, OpenedFlags::DIRECT_IO));
    }

    fn read(&self, buffer: &mut Vec<u8>, _request: &RequestHeader, args: &ReadArgs, reply: ReplyData) {
        let end = (args.offset + u64::from(args.size_bytes)).min(self.size_bytes);
        buffer.resize(end.saturating_sub(args.offset) as usize, 0);
        let read = self.check(args.handle).and_then(|()| self.storage.lock().read(args.offset, buffer));
        match read {
            Ok(()) => reply.bytes(buffer),
            Err(error) => reply.error(eio(error)),
        }
    }

    fn write(
        &self,
        _worker: &mut Vec<u8>,
        _request: &RequestHeader,
        args: &WriteArgs,
        data: &[u8],
        reply: Reply<Written>,
    ) {
        let written = self.check(args.handle).and_then(|()| self.storage.lock().write(args.offset, data));
        let len = u32::try_from(data.len()).expect("a request is at most 16 MiB");
        reply.result(written.map(|()| Written(len)).map_err(eio));
    }

    fn fsync(&self, _: &RequestHeader, _: NodeId, handle: FileHandle, _: bool, reply: Reply<()>) {
        let flushed = self.check(handle).and_then(|()| self.storage.lock().flush());
        reply.result(flushed.map_err(eio));
    }

    fn flush(&self, _request: &RequestHeader, _node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn release(&self, _request: &RequestHeader, _node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn opendir(&self, _request: &RequestHeader, _node: NodeId, _flags: OpenFlags, reply: Reply<OpenedDir>) {
        reply.error(Errno::EACCES);
    }

    fn readdir(&self, _request: &RequestHeader, _args: &ReadDirArgs, reply: ReplyDirectory) {
        reply.error(Errno::EACCES);
    }

    fn releasedir(&self, _request: &RequestHeader, _node: NodeId, _handle: DirHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn statfs(&self, _request: &RequestHeader, _node: NodeId, reply: Reply<StatFs>) {
        reply.error(Errno::ENOSYS);
    }
}
