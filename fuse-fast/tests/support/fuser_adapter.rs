//! A [`FileSystem`] of this crate served by the library `fuser`: the second opinion of the conformance tests, and the rival of
//! the benchmarks. Reading only.
//!
//! The state of a session thread is made when a thread of `fuser` first serves a request of the one file system that a
//! process may serve this way at a time.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuse_fast::reply::{Answer, Reply, ReplyData, ReplyDirectory, ReplyXattr, Responder};
use fuse_fast::{
    Attributes, DirHandle, DirOffset, Entry, FileHandle, FileKind, FileSystem, NodeId, ReadArgs, ReadDirArgs,
    RequestHeader, Timestamp, Unique,
};
use parking_lot::Mutex;

/// Bytes that one listing may have; `fuser` keeps the kernel's number to itself.
const LISTING_BYTES: u32 = 4096;

/// Serves `fs` at `mount_point` with `threads` threads until the result is dropped.
pub fn serve<F: FileSystem>(
    fs: Arc<F>,
    mount_point: &Path,
    threads: usize,
) -> io::Result<fuser::BackgroundSession> {
    let mut config = fuser::Config::default();
    config.mount_options = vec![
        fuser::MountOption::RO,
        fuser::MountOption::FSName("fuser".to_owned()),
        fuser::MountOption::DefaultPermissions,
    ];
    config.n_threads = Some(threads);
    config.clone_fd = true;
    fuser::spawn_mount(Adapter { fs, threads: AtomicUsize::new(0) }, mount_point, &config)
}

struct Adapter<F> {
    fs: Arc<F>,
    /// Threads that served a request so far.
    threads: AtomicUsize,
}

thread_local! {
    static WORKER: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

impl<F: FileSystem> Adapter<F> {
    fn with_worker(&self, work: impl FnOnce(&mut F::Worker)) {
        WORKER.with_borrow_mut(|slot| {
            let state = slot.get_or_insert_with(|| {
                let index = self.threads.fetch_add(1, Ordering::Relaxed);
                Box::new(self.fs.worker(index).expect("a worker can be made"))
            });
            work(state.downcast_mut().expect("one file system at a time"));
        });
    }
}

/// A reply of `fuser`, until it is given.
enum Given {
    Entry(fuser::ReplyEntry),
    Attributes(fuser::ReplyAttr),
    Open(fuser::ReplyOpen),
    Data(fuser::ReplyData),
    Directory(fuser::ReplyDirectory),
    Empty(fuser::ReplyEmpty),
    StatFs(fuser::ReplyStatfs),
    Xattr(fuser::ReplyXattr),
}

struct OneReply(Mutex<Option<Given>>);

fn responder(reply: Given) -> Arc<dyn Responder> {
    Arc::new(OneReply(Mutex::new(Some(reply))))
}

impl Responder for OneReply {
    fn answer(&self, _request: Unique, answer: &Answer<'_>) {
        let Some(reply) = self.0.lock().take() else { return };
        match (reply, answer) {
            (reply, Answer::Error(errno)) => reply.error(errno.get()),
            (Given::Entry(reply), Answer::Entry(entry)) => give_entry(reply, entry),
            (Given::Attributes(reply), Answer::Attributes(value)) => {
                reply.attr(&value.valid, &attributes(value))
            }
            (Given::Open(reply), Answer::Opened(opened)) => reply.opened(
                fuser::FileHandle(opened.handle.0),
                fuser::FopenFlags::from_bits_truncate(opened.flags.bits()),
            ),
            (Given::Open(reply), Answer::OpenedDir(opened)) => {
                reply.opened(fuser::FileHandle(opened.handle.0), fuser::FopenFlags::empty());
            }
            (Given::Data(reply), Answer::Data(parts)) => give_data(reply, parts),
            (Given::Xattr(reply), Answer::Data(parts)) => reply.data(&parts.concat_bytes()),
            (Given::Xattr(reply), Answer::XattrSize(size)) => reply.size(*size),
            (Given::Directory(mut reply), Answer::Listing(listing)) => {
                for record in listing.records() {
                    if reply.add(fuser::INodeNo(record.ino), record.next.0, kind_of(record.kind), record.name)
                    {
                        break;
                    }
                }
                reply.ok();
            }
            (Given::Empty(reply), Answer::Done) => reply.ok(),
            (Given::StatFs(reply), Answer::StatFs(s)) => reply.statfs(
                s.blocks,
                s.blocks_free,
                s.blocks_available,
                s.files,
                s.files_free,
                s.block_bytes,
                s.name_bytes_max,
                s.fragment_bytes,
            ),
            (reply, _) => reply.error(libc::EIO),
        }
    }

    fn dropped(&self, _request: Unique) {
        if let Some(reply) = self.0.lock().take() {
            reply.error(libc::EIO);
        }
    }
}

impl Given {
    fn error(self, errno: i32) {
        let errno = fuser::Errno::from_i32(errno);
        match self {
            Given::Entry(reply) => reply.error(errno),
            Given::Attributes(reply) => reply.error(errno),
            Given::Open(reply) => reply.error(errno),
            Given::Data(reply) => reply.error(errno),
            Given::Directory(reply) => reply.error(errno),
            Given::Empty(reply) => reply.error(errno),
            Given::StatFs(reply) => reply.error(errno),
            Given::Xattr(reply) => reply.error(errno),
        }
    }
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for [IoSlice<'_>] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|part| part.iter().copied()).collect()
    }
}

fn give_data(reply: fuser::ReplyData, parts: &[IoSlice<'_>]) {
    match parts {
        [one] => reply.data(one),
        several => reply.data(&several.concat_bytes()),
    }
}

fn give_entry(reply: fuser::ReplyEntry, entry: &Entry) {
    match &entry.attributes {
        Some(value) => reply.entry(&entry.valid, &attributes(value), fuser::Generation(entry.generation.0)),
        // What the library has no word for: a name that is known not to exist.
        None => reply.error(fuser::Errno::from_i32(libc::ENOENT)),
    }
}

fn attributes(value: &Attributes) -> fuser::FileAttr {
    fuser::FileAttr {
        ino: fuser::INodeNo(value.ino),
        size: value.size_bytes,
        blocks: value.blocks_512,
        atime: time(value.atime),
        mtime: time(value.mtime),
        ctime: time(value.ctime),
        crtime: UNIX_EPOCH,
        kind: kind_of(value.kind.mode_bits() >> 12),
        perm: value.permissions,
        nlink: value.links,
        uid: value.uid,
        gid: value.gid,
        rdev: value.rdev,
        blksize: value.block_size_bytes,
        flags: 0,
    }
}

fn time(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::new(time.seconds.unsigned_abs(), time.nanos)
}

/// A kind from its `DT_*`.
fn kind_of(kind: u32) -> fuser::FileType {
    match FileKind::from_mode(kind << 12) {
        Some(FileKind::Directory) => fuser::FileType::Directory,
        Some(FileKind::Symlink) => fuser::FileType::Symlink,
        Some(FileKind::BlockDevice) => fuser::FileType::BlockDevice,
        Some(FileKind::CharDevice) => fuser::FileType::CharDevice,
        Some(FileKind::Fifo) => fuser::FileType::NamedPipe,
        Some(FileKind::Socket) => fuser::FileType::Socket,
        Some(FileKind::Regular) | None => fuser::FileType::RegularFile,
    }
}

fn header(request: &fuser::Request) -> RequestHeader {
    let unique = Unique(request.unique().0);
    RequestHeader { unique, uid: request.uid(), gid: request.gid(), pid: request.pid() }
}

fn node(ino: fuser::INodeNo) -> NodeId {
    NodeId(ino.0)
}

impl<F: FileSystem> fuser::Filesystem for Adapter<F> {
    fn lookup(
        &self,
        request: &fuser::Request,
        parent: fuser::INodeNo,
        name: &OsStr,
        reply: fuser::ReplyEntry,
    ) {
        let header = header(request);
        self.fs.lookup(
            &header,
            node(parent),
            name,
            Reply::new(header.unique, responder(Given::Entry(reply))),
        );
    }

    fn forget(&self, _request: &fuser::Request, ino: fuser::INodeNo, count: u64) {
        self.fs.forget(node(ino), count);
    }

    fn getattr(
        &self,
        request: &fuser::Request,
        ino: fuser::INodeNo,
        handle: Option<fuser::FileHandle>,
        reply: fuser::ReplyAttr,
    ) {
        let header = header(request);
        let reply = Reply::new(header.unique, responder(Given::Attributes(reply)));
        self.fs.getattr(&header, node(ino), handle.map(|handle| FileHandle(handle.0)), reply);
    }

    fn readlink(&self, request: &fuser::Request, ino: fuser::INodeNo, reply: fuser::ReplyData) {
        let header = header(request);
        self.fs.readlink(&header, node(ino), ReplyData::new(header.unique, responder(Given::Data(reply))));
    }

    fn open(
        &self,
        request: &fuser::Request,
        ino: fuser::INodeNo,
        flags: fuser::OpenFlags,
        reply: fuser::ReplyOpen,
    ) {
        let header = header(request);
        let reply = Reply::new(header.unique, responder(Given::Open(reply)));
        self.fs.open(&header, node(ino), fuse_fast::types::OpenFlags(flags.0 as u32), reply);
    }

    fn read(
        &self,
        request: &fuser::Request,
        ino: fuser::INodeNo,
        handle: fuser::FileHandle,
        offset: u64,
        size_bytes: u32,
        flags: fuser::OpenFlags,
        _lock_owner: Option<fuser::LockOwner>,
        reply: fuser::ReplyData,
    ) {
        let header = header(request);
        let args = ReadArgs {
            node: node(ino),
            handle: FileHandle(handle.0),
            offset,
            size_bytes,
            flags: fuse_fast::types::OpenFlags(flags.0 as u32),
            lock_owner: None,
        };
        let reply = ReplyData::new(header.unique, responder(Given::Data(reply)));
        self.with_worker(|worker| self.fs.read(worker, &header, &args, reply));
    }

    fn release(
        &self,
        request: &fuser::Request,
        ino: fuser::INodeNo,
        handle: fuser::FileHandle,
        _flags: fuser::OpenFlags,
        _lock_owner: Option<fuser::LockOwner>,
        _flush: bool,
        reply: fuser::ReplyEmpty,
    ) {
        let header = header(request);
        let reply = Reply::new(header.unique, responder(Given::Empty(reply)));
        self.fs.release(&header, node(ino), FileHandle(handle.0), reply);
    }

    fn opendir(
        &self,
        request: &fuser::Request,
        ino: fuser::INodeNo,
        flags: fuser::OpenFlags,
        reply: fuser::ReplyOpen,
    ) {
        let header = header(request);
        let reply = Reply::new(header.unique, responder(Given::Open(reply)));
        self.fs.opendir(&header, node(ino), fuse_fast::types::OpenFlags(flags.0 as u32), reply);
    }

    fn readdir(
        &self,
        request: &fuser::Request,
        ino: fuser::INodeNo,
        handle: fuser::FileHandle,
        offset: u64,
        reply: fuser::ReplyDirectory,
    ) {
        let header = header(request);
        let args = ReadDirArgs {
            node: node(ino),
            handle: DirHandle(handle.0),
            offset: DirOffset(offset),
            size_bytes: LISTING_BYTES,
            plus: false,
        };
        let reply = ReplyDirectory::new(header.unique, responder(Given::Directory(reply)), &args);
        self.fs.readdir(&header, &args, reply);
    }

    fn releasedir(
        &self,
        request: &fuser::Request,
        ino: fuser::INodeNo,
        handle: fuser::FileHandle,
        _flags: fuser::OpenFlags,
        reply: fuser::ReplyEmpty,
    ) {
        let header = header(request);
        let reply = Reply::new(header.unique, responder(Given::Empty(reply)));
        self.fs.releasedir(&header, node(ino), DirHandle(handle.0), reply);
    }

    fn statfs(&self, request: &fuser::Request, ino: fuser::INodeNo, reply: fuser::ReplyStatfs) {
        let header = header(request);
        self.fs.statfs(&header, node(ino), Reply::new(header.unique, responder(Given::StatFs(reply))));
    }

    fn getxattr(
        &self,
        request: &fuser::Request,
        ino: fuser::INodeNo,
        name: &OsStr,
        size: u32,
        reply: fuser::ReplyXattr,
    ) {
        let header = header(request);
        let reply = ReplyXattr::new(header.unique, responder(Given::Xattr(reply)), size);
        self.fs.getxattr(&header, node(ino), name, reply);
    }

    fn listxattr(&self, request: &fuser::Request, ino: fuser::INodeNo, size: u32, reply: fuser::ReplyXattr) {
        let header = header(request);
        let reply = ReplyXattr::new(header.unique, responder(Given::Xattr(reply)), size);
        self.fs.listxattr(&header, node(ino), reply);
    }
}
