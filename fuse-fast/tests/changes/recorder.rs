//! [`Recorder`]: a file system that writes down what is changed.

use std::ffi::OsStr;
use std::io;
use std::time::Duration;

use fuse_fast::reply::{Reply, ReplyData, ReplyDirectory};
use fuse_fast::types::{
    AccessMask, CopyRange, CreateArgs, Created, FallocateArgs, FileLock, FileOffset, LockArgs, OpenFlags,
    RenameFlags, SeekFrom, SetAttributes, SetTime, StatxArgs, StatxAttributes, WriteArgs, Written,
};
use fuse_fast::{
    Attributes, DirHandle, Entry, FileHandle, FileKind, FileSystem, NodeId, Opened, OpenedDir, OpenedFlags,
    ReadArgs, ReadDirArgs, RequestHeader, StatFs, Timestamp,
};
use parking_lot::Mutex;

/// Answers every change with success and writes down what it was. Names that start with `new` do not exist.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) calls: Mutex<Vec<String>>,
}

impl Recorder {
    fn record(&self, call: String) {
        self.calls.lock().push(call);
    }
}

fn attributes(node: NodeId, kind: FileKind) -> Attributes {
    Attributes {
        ino: node.0,
        size_bytes: 1000,
        blocks_512: 2,
        atime: Timestamp::default(),
        mtime: Timestamp::default(),
        ctime: Timestamp::default(),
        kind,
        permissions: 0o755,
        links: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        block_size_bytes: 4096,
        valid: Duration::ZERO,
    }
}

fn kind_of(node: NodeId) -> FileKind {
    if matches!(node, NodeId::ROOT | NodeId(2)) { FileKind::Directory } else { FileKind::Regular }
}

fn entry(node: u64, kind: FileKind) -> Entry {
    Entry::new(NodeId(node), attributes(NodeId(node), kind), Duration::ZERO)
}

impl FileSystem for Recorder {
    type Worker = ();

    fn worker(&self, _index: usize) -> io::Result<()> {
        Ok(())
    }

    fn lookup(&self, _request: &RequestHeader, _parent: NodeId, name: &OsStr, reply: Reply<Entry>) {
        match name.to_str() {
            Some("dir") => reply.ok(entry(2, FileKind::Directory)),
            Some("file") => reply.ok(entry(3, FileKind::Regular)),
            Some("other") => reply.ok(entry(4, FileKind::Regular)),
            _ => reply.ok(Entry::negative(Duration::ZERO)),
        }
    }

    fn forget(&self, _node: NodeId, _count: u64) {}

    fn getattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        _handle: Option<FileHandle>,
        reply: Reply<Attributes>,
    ) {
        reply.ok(attributes(node, kind_of(node)));
    }

    fn statx(&self, _request: &RequestHeader, args: &StatxArgs, reply: Reply<StatxAttributes>) {
        let attributes = attributes(args.node, kind_of(args.node));
        reply.ok(StatxAttributes { attributes, btime: Some(Timestamp { seconds: 77, nanos: 5 }) });
    }

    fn setattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        change: &SetAttributes,
        reply: Reply<Attributes>,
    ) {
        let mut words = vec![format!("setattr {}", node.0)];
        words.extend(change.handle.map(|handle| format!("handle={}", handle.0)));
        words.extend(change.mode.map(|mode| format!("mode={mode:o}")));
        words.extend(change.uid.map(|uid| format!("uid={uid}")));
        words.extend(change.gid.map(|gid| format!("gid={gid}")));
        words.extend(change.size_bytes.map(|size| format!("size={size}")));
        for (name, time) in [("atime", change.atime), ("mtime", change.mtime)] {
            words.extend(time.map(|time| match time {
                SetTime::Now => format!("{name}=now"),
                SetTime::At(at) => format!("{name}={}.{}", at.seconds, at.nanos),
            }));
        }
        self.record(words.join(" "));
        reply.ok(attributes(node, kind_of(node)));
    }

    fn symlink(
        &self,
        _request: &RequestHeader,
        parent: NodeId,
        name: &OsStr,
        target: &OsStr,
        reply: Reply<Entry>,
    ) {
        self.record(format!("symlink {} {name:?} {target:?}", parent.0));
        reply.ok(entry(10, FileKind::Symlink));
    }

    fn mknod(
        &self,
        _request: &RequestHeader,
        parent: NodeId,
        name: &OsStr,
        mode: u32,
        _rdev: u32,
        reply: Reply<Entry>,
    ) {
        self.record(format!("mknod {} {name:?} {mode:o}", parent.0));
        reply.ok(entry(11, FileKind::Fifo));
    }

    fn mkdir(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, mode: u32, reply: Reply<Entry>) {
        self.record(format!("mkdir {} {name:?} {mode:o}", parent.0));
        reply.ok(entry(12, FileKind::Directory));
    }

    fn unlink(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<()>) {
        self.record(format!("unlink {} {name:?}", parent.0));
        reply.ok(());
    }

    fn rmdir(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<()>) {
        self.record(format!("rmdir {} {name:?}", parent.0));
        reply.ok(());
    }

    fn rename(
        &self,
        _request: &RequestHeader,
        from: (NodeId, &OsStr),
        to: (NodeId, &OsStr),
        flags: RenameFlags,
        reply: Reply<()>,
    ) {
        self.record(format!("rename {} {:?} {} {:?} {:x}", from.0.0, from.1, to.0.0, to.1, flags.0));
        reply.ok(());
    }

    fn link(&self, _request: &RequestHeader, node: NodeId, to: (NodeId, &OsStr), reply: Reply<Entry>) {
        self.record(format!("link {} {} {:?}", node.0, to.0.0, to.1));
        reply.ok(entry(node.0, FileKind::Regular));
    }

    fn open(&self, _request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<Opened>) {
        if flags.writes() {
            self.record(format!("open {} append={}", node.0, flags.appends()));
        }
        reply.ok(Opened::new(FileHandle(node.0 * 100), OpenedFlags::DIRECT_IO));
    }

    fn create(
        &self,
        _request: &RequestHeader,
        parent: NodeId,
        name: &OsStr,
        args: &CreateArgs,
        reply: Reply<Created>,
    ) {
        self.record(format!("create {} {name:?} {:o} umask={:o}", parent.0, args.mode, args.umask));
        let opened = Opened::new(FileHandle(1300), OpenedFlags::NONE);
        reply.ok(Created { entry: entry(13, FileKind::Regular), opened });
    }

    fn read(&self, (): &mut (), _request: &RequestHeader, _args: &ReadArgs, reply: ReplyData) {
        reply.bytes(&[]);
    }

    fn write(
        &self,
        (): &mut (),
        _request: &RequestHeader,
        args: &WriteArgs,
        data: &[u8],
        reply: Reply<Written>,
    ) {
        let text = String::from_utf8_lossy(&data[..data.len().min(20)]);
        self.record(format!(
            "write {} {} +{} {} {text}",
            args.node.0,
            args.handle.0,
            args.offset,
            data.len()
        ));
        reply.ok(Written(data.len() as u32));
    }

    fn flush(&self, _request: &RequestHeader, _node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn release(&self, _request: &RequestHeader, _node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn fsync(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        handle: FileHandle,
        data_only: bool,
        reply: Reply<()>,
    ) {
        self.record(format!("fsync {} {} data_only={data_only}", node.0, handle.0));
        reply.ok(());
    }

    fn fallocate(&self, _request: &RequestHeader, args: &FallocateArgs, reply: Reply<()>) {
        self.record(format!(
            "fallocate {} +{} {} {}",
            args.node.0, args.offset, args.length_bytes, args.mode
        ));
        reply.ok(());
    }

    fn lseek(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        _handle: FileHandle,
        offset: FileOffset,
        from: SeekFrom,
        reply: Reply<FileOffset>,
    ) {
        self.record(format!("lseek {} {} {from:?}", node.0, offset.0));
        reply.ok(FileOffset(offset.0 + 1));
    }

    fn copy_file_range(&self, _request: &RequestHeader, args: &CopyRange, reply: Reply<Written>) {
        let (from, to) = (args.from.0, args.to.0);
        self.record(format!(
            "copy {from} +{} {to} +{} {}",
            args.from_offset, args.to_offset, args.length_bytes
        ));
        reply.ok(Written(args.length_bytes as u32));
    }

    fn opendir(&self, _request: &RequestHeader, node: NodeId, _flags: OpenFlags, reply: Reply<OpenedDir>) {
        reply.ok(OpenedDir { handle: DirHandle(node.0 * 100), flags: OpenedFlags::NONE });
    }

    fn readdir(&self, _request: &RequestHeader, _args: &ReadDirArgs, reply: ReplyDirectory) {
        reply.ok();
    }

    fn releasedir(&self, _request: &RequestHeader, _node: NodeId, _handle: DirHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn fsyncdir(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        handle: DirHandle,
        data_only: bool,
        reply: Reply<()>,
    ) {
        self.record(format!("fsyncdir {} {} data_only={data_only}", node.0, handle.0));
        reply.ok(());
    }

    fn statfs(&self, _request: &RequestHeader, _node: NodeId, reply: Reply<StatFs>) {
        reply.error(fuse_fast::Errno::ENOSYS);
    }

    fn access(&self, _request: &RequestHeader, node: NodeId, mask: AccessMask, reply: Reply<()>) {
        self.record(format!("access {} {}", node.0, mask.0));
        reply.ok(());
    }

    fn setxattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        name: &OsStr,
        value: &[u8],
        flags: u32,
        reply: Reply<()>,
    ) {
        self.record(format!("setxattr {} {name:?} {} {flags}", node.0, String::from_utf8_lossy(value)));
        reply.ok(());
    }

    fn removexattr(&self, _request: &RequestHeader, node: NodeId, name: &OsStr, reply: Reply<()>) {
        self.record(format!("removexattr {} {name:?}", node.0));
        reply.ok(());
    }

    fn getlk(&self, _request: &RequestHeader, _args: &LockArgs, _reply: Reply<FileLock>) {
        panic!("locks stay in the kernel");
    }
}
