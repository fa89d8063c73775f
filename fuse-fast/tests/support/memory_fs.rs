//! [`MemoryFs`]: a read-only file system in memory, the reference for tests and measurements.
//!
//! It counts the references that the kernel holds, and some files misbehave on purpose (see [`Trick`]).

#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by test programs that each use a part")]

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fuse_fast::negotiate::ConnectionInfo;
use fuse_fast::reply::{Added, DirRecord, Reply, ReplyData, ReplyDirectory, ReplyXattr};
use fuse_fast::types::OpenFlags;
use fuse_fast::{
    Attributes, DirHandle, DirOffset, Entry, Errno, FileHandle, FileKind, FileSystem, NodeId, Opened,
    OpenedDir, OpenedFlags, ReadArgs, ReadDirArgs, RequestHeader, StatFs, Timestamp, Unique,
};
use parking_lot::{Condvar, Mutex, RwLock};

/// What a file does instead of being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// Nothing special.
    None,
    /// The handler panics.
    Panic,
    /// The reply is dropped.
    Drop,
    /// The reply is kept until the read is interrupted, then answered `EINTR`.
    Wait,
    /// More bytes are answered than asked for.
    TooMuch,
    /// The handler thread blocks until [`MemoryFs::release_blocked`].
    Block,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes, and what reading does instead.
    File(Arc<[u8]>, Trick),
    /// Names in the order of their making; a removed one leaves its place empty, so positions stay.
    Directory(Vec<Option<(OsString, NodeId)>>),
    /// A target.
    Symlink(OsString),
}

#[derive(Debug, Default)]
struct Blocked {
    handlers: usize,
    released: bool,
}

struct Node {
    content: Content,
    mtime: Timestamp,
}

/// A file system in memory.
pub struct MemoryFs {
    nodes: RwLock<Vec<Node>>,
    names: RwLock<HashMap<(NodeId, OsString), NodeId>>,
    references: Mutex<HashMap<NodeId, u64>>,
    valid: Duration,
    opened_flags: OpenedFlags,
    waiting: Mutex<Vec<ReplyData>>,
    interrupted: Mutex<Vec<Unique>>,
    references_changed: Condvar,
    waiting_changed: Condvar,
    blocked_changed: Condvar,
    blocked: Mutex<Blocked>,
    pub workers: AtomicU64,
    pub connected: AtomicU64,
    pub destroyed: AtomicU64,
    pub reads: AtomicU64,
}

const WAIT_LIMIT: Duration = Duration::from_secs(20);

impl MemoryFs {
    /// An empty root. Names and attributes stay valid in the kernel for `valid`.
    pub fn new(valid: Duration, opened_flags: OpenedFlags) -> MemoryFs {
        let root = Node { content: Content::Directory(Vec::new()), mtime: Timestamp::default() };
        MemoryFs {
            nodes: RwLock::new(vec![root]),
            names: RwLock::default(),
            references: Mutex::default(),
            valid,
            opened_flags,
            waiting: Mutex::default(),
            interrupted: Mutex::default(),
            references_changed: Condvar::new(),
            waiting_changed: Condvar::new(),
            blocked_changed: Condvar::new(),
            blocked: Mutex::default(),
            workers: AtomicU64::new(0),
            connected: AtomicU64::new(0),
            destroyed: AtomicU64::new(0),
            reads: AtomicU64::new(0),
        }
    }

    /// Adds a name; the caller tells the kernel if it must know.
    pub fn add(&self, parent: NodeId, name: &str, content: Content) -> NodeId {
        let mut nodes = self.nodes.write();
        nodes.push(Node { content, mtime: Timestamp { seconds: 1_700_000_000, nanos: 123_456_789 } });
        let node = NodeId(nodes.len() as u64);
        match &mut nodes[parent.0 as usize - 1].content {
            Content::Directory(names) => names.push(Some((name.into(), node))),
            other => panic!("{other:?} is not a directory"),
        }
        self.names.write().insert((parent, name.into()), node);
        node
    }

    pub fn add_file(&self, parent: NodeId, name: &str, data: impl Into<Arc<[u8]>>) -> NodeId {
        self.add(parent, name, Content::File(data.into(), Trick::None))
    }

    pub fn add_directory(&self, parent: NodeId, name: &str) -> NodeId {
        self.add(parent, name, Content::Directory(Vec::new()))
    }

    /// Replaces the bytes of a file and moves its mtime.
    pub fn replace(&self, node: NodeId, data: &[u8]) {
        let mut nodes = self.nodes.write();
        let node = &mut nodes[node.0 as usize - 1];
        node.content = Content::File(data.into(), Trick::None);
        node.mtime.seconds += 1;
    }

    /// Removes a name.
    pub fn remove(&self, parent: NodeId, name: &str) {
        self.names.write().remove(&(parent, name.into()));
        if let Content::Directory(names) = &mut self.nodes.write()[parent.0 as usize - 1].content {
            for slot in names {
                slot.take_if(|(known, _)| known == name);
            }
        }
    }

    /// References that the kernel holds, over all nodes.
    pub fn references(&self) -> u64 {
        self.references.lock().values().sum()
    }

    /// Waits until the kernel holds no reference; the count left at the end of the wait.
    pub fn wait_for_no_references(&self) -> u64 {
        let mut references = self.references.lock();
        while references.values().any(|&count| count > 0) {
            if self.references_changed.wait_for(&mut references, WAIT_LIMIT).timed_out() {
                break;
            }
        }
        references.values().sum()
    }

    /// Waits until a read waits in [`Trick::Wait`].
    pub fn wait_for_waiting(&self) -> bool {
        let mut waiting = self.waiting.lock();
        while waiting.is_empty() {
            if self.waiting_changed.wait_for(&mut waiting, WAIT_LIMIT).timed_out() {
                return false;
            }
        }
        true
    }

    pub fn interrupts(&self) -> usize {
        self.interrupted.lock().len()
    }

    /// Waits until a handler blocks in [`Trick::Block`].
    pub fn wait_for_blocked(&self) -> bool {
        let mut blocked = self.blocked.lock();
        while blocked.handlers == 0 {
            if self.blocked_changed.wait_for(&mut blocked, WAIT_LIMIT).timed_out() {
                return false;
            }
        }
        true
    }

    /// Lets handlers in [`Trick::Block`] go on.
    pub fn release_blocked(&self) {
        self.blocked.lock().released = true;
        self.blocked_changed.notify_all();
    }

    fn with<T>(&self, node: NodeId, look: impl FnOnce(&Node) -> T) -> Result<T, Errno> {
        let index = (node.0 as usize).checked_sub(1).ok_or(Errno::ENOENT)?;
        self.nodes.read().get(index).map(look).ok_or(Errno::ENOENT)
    }

    pub fn attributes(&self, node: NodeId) -> Result<Attributes, Errno> {
        let (kind, size_bytes, mtime) = self.with(node, |found| {
            let (kind, size) = match &found.content {
                Content::File(data, _) => (FileKind::Regular, data.len()),
                Content::Directory(names) => (FileKind::Directory, names.len()),
                Content::Symlink(target) => (FileKind::Symlink, target.len()),
            };
            (kind, size as u64, found.mtime)
        })?;
        Ok(Attributes {
            ino: node.0,
            size_bytes,
            blocks_512: size_bytes.div_ceil(512),
            atime: mtime,
            mtime,
            ctime: mtime,
            kind,
            permissions: if kind == FileKind::Regular { 0o644 } else { 0o755 },
            links: if kind == FileKind::Directory { 2 } else { 1 },
            uid: 1234,
            gid: 4321,
            rdev: 0,
            block_size_bytes: 4096,
            valid: self.valid,
        })
    }

    fn entry(&self, node: NodeId) -> Result<Entry, Errno> {
        Ok(Entry::new(node, self.attributes(node)?, self.valid))
    }

    fn refer(&self, node: NodeId) {
        *self.references.lock().entry(node).or_default() += 1;
    }

    fn read_file(&self, args: &ReadArgs, reply: ReplyData) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let content = self.with(args.node, |node| match &node.content {
            Content::File(data, trick) => Ok((Arc::clone(data), *trick)),
            _ => Err(Errno::EISDIR),
        });
        let (data, trick) = match content {
            Ok(Ok(found)) => found,
            Ok(Err(errno)) | Err(errno) => return reply.error(errno),
        };
        let start = (args.offset as usize).min(data.len());
        let end = (start + args.size_bytes as usize).min(data.len());
        match trick {
            Trick::None => reply.bytes(&data[start..end]),
            Trick::Panic => panic!("planted panic in a read"),
            Trick::Drop => drop(reply),
            Trick::TooMuch => reply.bytes(&vec![0; args.size_bytes as usize + 1]),
            Trick::Wait => {
                self.waiting.lock().push(reply);
                self.waiting_changed.notify_all();
            }
            Trick::Block => {
                let mut blocked = self.blocked.lock();
                blocked.handlers += 1;
                self.blocked_changed.notify_all();
                while !blocked.released {
                    self.blocked_changed.wait(&mut blocked);
                }
                reply.bytes(&data[start..end]);
            }
        }
    }

    fn list(&self, args: &ReadDirArgs, reply: &mut ReplyDirectory) -> Result<(), Errno> {
        let names = self.with(args.node, |node| match &node.content {
            Content::Directory(names) => Ok(names.clone()),
            _ => Err(Errno::ENOTDIR),
        })??;
        let dots = [".", ".."].map(|name| Some((OsString::from(name), args.node)));
        let slots = dots.into_iter().chain(names).enumerate().skip(args.offset.0 as usize);
        for (position, slot) in slots {
            let Some((name, node)) = slot else { continue };
            let entry = self.entry(node)?;
            let kind = entry.attributes.map_or(FileKind::Regular, |attributes| attributes.kind);
            let next = DirOffset(position as u64 + 1);
            let with_attributes = (position >= 2).then_some(&entry);
            match reply.add(&DirRecord { ino: node.0, next, kind, name: &name, entry: with_attributes }) {
                Added::Full => break,
                Added::Reference => self.refer(node),
                Added::Name => {}
            }
        }
        Ok(())
    }
}

impl FileSystem for MemoryFs {
    type Worker = ();

    fn worker(&self, _index: usize) -> io::Result<()> {
        self.workers.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn connected(&self, _info: &ConnectionInfo) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    fn lookup(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<Entry>) {
        let found = self.names.read().get(&(parent, name.to_owned())).copied();
        match found.map(|node| self.entry(node)) {
            Some(Ok(entry)) => {
                self.refer(entry.node);
                reply.ok(entry);
            }
            Some(Err(errno)) => reply.error(errno),
            None => reply.ok(Entry::negative(self.valid)),
        }
    }

    fn forget(&self, node: NodeId, count: u64) {
        let mut references = self.references.lock();
        let held = references.entry(node).or_default();
        *held = held.checked_sub(count).expect("the kernel forgets no more than it was given");
        self.references_changed.notify_all();
    }

    fn getattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        _handle: Option<FileHandle>,
        reply: Reply<Attributes>,
    ) {
        reply.result(self.attributes(node));
    }

    fn readlink(&self, _request: &RequestHeader, node: NodeId, reply: ReplyData) {
        let target = self.with(node, |node| match &node.content {
            Content::Symlink(target) => Some(target.clone()),
            _ => None,
        });
        match target {
            Ok(Some(target)) => reply.bytes(target.as_bytes()),
            Ok(None) => reply.error(Errno::EINVAL),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<Opened>) {
        if flags.writes() {
            return reply.error(Errno::EROFS);
        }
        reply.ok(Opened::new(FileHandle(node.0), self.opened_flags));
    }

    fn read(&self, (): &mut (), _request: &RequestHeader, args: &ReadArgs, reply: ReplyData) {
        self.read_file(args, reply);
    }

    fn release(&self, _request: &RequestHeader, _node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn opendir(&self, _request: &RequestHeader, node: NodeId, _flags: OpenFlags, reply: Reply<OpenedDir>) {
        reply.ok(OpenedDir { handle: DirHandle(node.0), flags: OpenedFlags::NONE });
    }

    fn readdir(&self, _request: &RequestHeader, args: &ReadDirArgs, mut reply: ReplyDirectory) {
        match self.list(args, &mut reply) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn releasedir(&self, _request: &RequestHeader, _node: NodeId, _handle: DirHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn statfs(&self, _request: &RequestHeader, _node: NodeId, reply: Reply<StatFs>) {
        reply.ok(StatFs {
            blocks: 1000,
            blocks_free: 400,
            blocks_available: 300,
            files: 77,
            files_free: 7,
            block_bytes: 4096,
            name_bytes_max: 255,
            fragment_bytes: 4096,
        });
    }

    fn getxattr(&self, _request: &RequestHeader, node: NodeId, name: &OsStr, reply: ReplyXattr) {
        match name.as_bytes() {
            b"user.node" => reply.value(node.0.to_string().as_bytes()),
            _ => reply.error(Errno::ENODATA),
        }
    }

    fn listxattr(&self, _request: &RequestHeader, _node: NodeId, reply: ReplyXattr) {
        reply.value(b"user.node\0");
    }

    fn interrupt(&self, interrupted: Unique) {
        self.interrupted.lock().push(interrupted);
        let mut waiting = self.waiting.lock();
        if let Some(index) = waiting.iter().position(|reply| reply.unique() == interrupted) {
            waiting.swap_remove(index).error(Errno::EINTR);
        }
    }

    fn destroyed(&self) {
        self.destroyed.fetch_add(1, Ordering::Relaxed);
    }
}
