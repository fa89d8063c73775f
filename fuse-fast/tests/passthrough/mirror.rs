//! [`Mirror`]: a file system whose files are files of a real directory, opened the way that a test says.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fuse_fast::passthrough::{BackingFiles, BackingId, InodeModes, OpenMode};
use fuse_fast::reply::{Reply, ReplyData, ReplyDirectory};
use fuse_fast::types::{CreateArgs, Created, OpenFlags, SetAttributes, Unique, WriteArgs, Written};
use fuse_fast::{
    Attributes, DirHandle, Entry, Errno, FileHandle, FileKind, FileSystem, NodeId, Opened, OpenedDir,
    OpenedFlags, ReadArgs, ReadDirArgs, RequestHeader, StatFs, Timestamp,
};
use parking_lot::{Condvar, Mutex};

/// How opens are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// As [`InodeModes::open`] says, with the file to back it.
    ByTheRules,
    /// As [`InodeModes::open`] says, without one.
    ByTheRulesUnbacked,
    /// As [`InodeModes::open_direct`] says.
    ByTheRulesDirect,
    Cached,
    Direct,
    /// With the first registration of the file.
    Passthrough,
    /// With a registration of its own.
    PassthroughAnew,
    /// With the first registration and direct I/O.
    DirectPassthrough,
    /// With a registration that was taken back.
    PassthroughGone,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) getattrs: AtomicU64,
    pub(crate) fsyncs: AtomicU64,
    pub(crate) released: (Mutex<u64>, Condvar),
}

pub(crate) struct Mirror {
    pub(crate) directory: PathBuf,
    pub(crate) answer: Mutex<Answer>,
    pub(crate) counts: Counts,
    pub(crate) modes: InodeModes,
    pub(crate) backing: Mutex<Option<BackingFiles>>,
    names: Mutex<Vec<String>>,
    ids: Mutex<HashMap<NodeId, Arc<BackingId>>>,
    /// Ids that open files use.
    in_use: Mutex<Vec<Arc<BackingId>>>,
}

impl Mirror {
    pub(crate) fn new(directory: PathBuf) -> Mirror {
        Mirror {
            directory,
            answer: Mutex::new(Answer::ByTheRules),
            counts: Counts::default(),
            modes: InodeModes::default(),
            backing: Mutex::default(),
            names: Mutex::default(),
            ids: Mutex::default(),
            in_use: Mutex::default(),
        }
    }

    /// Waits until this many opens are released.
    pub(crate) fn wait_released(&self, count: u64) {
        let mut released = self.counts.released.0.lock();
        while *released < count {
            let wait = self.counts.released.1.wait_for(&mut released, Duration::from_secs(20));
            assert!(!wait.timed_out(), "{} of {count} opens were released", *released);
        }
    }

    pub(crate) fn path(&self, node: NodeId) -> Result<PathBuf, Errno> {
        let index = usize::try_from(node.0).ok().and_then(|node| node.checked_sub(2)).ok_or(Errno::EISDIR)?;
        let names = self.names.lock();
        Ok(self.directory.join(names.get(index).ok_or(Errno::ESTALE)?))
    }

    fn node(&self, name: &str) -> NodeId {
        let mut names = self.names.lock();
        let index = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        NodeId(index as u64 + 2)
    }

    fn file(&self, node: NodeId) -> Result<File, Errno> {
        Ok(OpenOptions::new().read(true).write(true).open(self.path(node)?)?)
    }

    fn register(&self, node: NodeId) -> Arc<BackingId> {
        let files = self.backing.lock().clone().expect("passthrough was agreed on");
        Arc::new(files.register(&self.file(node).expect("there")).expect("registered"))
    }

    fn shared_id(&self, node: NodeId) -> Arc<BackingId> {
        Arc::clone(self.ids.lock().entry(node).or_insert_with(|| self.register(node)))
    }

    fn mode(&self, node: NodeId) -> OpenMode {
        match *self.answer.lock() {
            Answer::ByTheRules => self.modes.open(node, || Some(self.register(node))),
            Answer::ByTheRulesUnbacked => self.modes.open(node, || None),
            Answer::ByTheRulesDirect => self.modes.open_direct(node),
            Answer::Cached => OpenMode::Cached,
            Answer::Direct => OpenMode::Direct,
            Answer::Passthrough => OpenMode::Passthrough(self.shared_id(node)),
            Answer::PassthroughAnew | Answer::PassthroughGone => OpenMode::Passthrough(self.register(node)),
            Answer::DirectPassthrough => OpenMode::DirectPassthrough(self.shared_id(node)),
        }
    }

    fn opened(&self, node: NodeId) -> Opened {
        let mode = self.mode(node);
        let handle = FileHandle(node.0);
        match mode {
            OpenMode::Cached => Opened::new(handle, OpenedFlags::KEEP_CACHE),
            OpenMode::Direct => Opened::new(handle, OpenedFlags::DIRECT_IO),
            OpenMode::Passthrough(id) => self.passthrough(handle, OpenedFlags::NONE, id),
            OpenMode::DirectPassthrough(id) => self.passthrough(handle, OpenedFlags::DIRECT_IO, id),
        }
    }

    fn passthrough(&self, handle: FileHandle, flags: OpenedFlags, id: Arc<BackingId>) -> Opened {
        let opened = Opened::passthrough(handle, flags, &id);
        if *self.answer.lock() != Answer::PassthroughGone {
            self.in_use.lock().push(id);
        }
        opened
    }

    fn attributes(&self, node: NodeId) -> Result<Attributes, Errno> {
        let root = node == NodeId::ROOT;
        let path = if root { self.directory.clone() } else { self.path(node)? };
        let found = std::fs::metadata(path)?;
        let time = |seconds, nanos| Timestamp { seconds, nanos: nanos as u32 };
        Ok(Attributes {
            ino: node.0,
            size_bytes: found.size(),
            blocks_512: found.blocks(),
            atime: time(found.atime(), found.atime_nsec()),
            mtime: time(found.mtime(), found.mtime_nsec()),
            ctime: time(found.ctime(), found.ctime_nsec()),
            kind: if root { FileKind::Directory } else { FileKind::Regular },
            permissions: 0o755,
            links: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            block_size_bytes: 4096,
            valid: Duration::from_secs(3600),
        })
    }

    fn entry(&self, node: NodeId) -> Result<Entry, Errno> {
        Ok(Entry::new(node, self.attributes(node)?, Duration::from_secs(3600)))
    }
}

impl FileSystem for Mirror {
    type Worker = ();

    fn worker(&self, _index: usize) -> io::Result<()> {
        Ok(())
    }

    fn passthrough(&self, files: BackingFiles) {
        *self.backing.lock() = Some(files);
    }

    fn lookup(&self, _request: &RequestHeader, _parent: NodeId, name: &OsStr, reply: Reply<Entry>) {
        match name.to_str() {
            Some(name) if self.directory.join(name).exists() => reply.result(self.entry(self.node(name))),
            _ => reply.error(Errno::ENOENT),
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
        self.counts.getattrs.fetch_add(1, Ordering::Relaxed);
        reply.result(self.attributes(node));
    }

    fn setattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        change: &SetAttributes,
        reply: Reply<Attributes>,
    ) {
        let cut = match change.size_bytes {
            Some(size) => self.file(node).and_then(|file| Ok(file.set_len(size)?)),
            None => Ok(()),
        };
        reply.result(cut.and_then(|()| self.attributes(node)));
    }

    fn open(&self, _request: &RequestHeader, node: NodeId, _flags: OpenFlags, reply: Reply<Opened>) {
        reply.ok(self.opened(node));
    }

    fn create(
        &self,
        _request: &RequestHeader,
        _parent: NodeId,
        name: &OsStr,
        _args: &CreateArgs,
        reply: Reply<Created>,
    ) {
        let name = name.to_str().expect("ASCII");
        File::create_new(self.directory.join(name)).expect("a new name");
        let node = self.node(name);
        let entry = self.entry(node).expect("just made");
        reply.ok(Created { entry, opened: self.opened(node) });
    }

    fn unlink(&self, _request: &RequestHeader, _parent: NodeId, name: &OsStr, reply: Reply<()>) {
        reply.result(std::fs::remove_file(self.directory.join(name)).map_err(Errno::from));
    }

    fn read(&self, (): &mut (), _request: &RequestHeader, args: &ReadArgs, reply: ReplyData) {
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        let mut bytes = vec![0; args.size_bytes as usize];
        let read = self.file(args.node).and_then(|file| Ok(file.read_at(&mut bytes, args.offset)?));
        match read {
            Ok(length) => reply.bytes(&bytes[..length]),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        (): &mut (),
        _request: &RequestHeader,
        args: &WriteArgs,
        data: &[u8],
        reply: Reply<Written>,
    ) {
        self.counts.writes.fetch_add(1, Ordering::Relaxed);
        let written = self.file(args.node).and_then(|file| Ok(file.write_all_at(data, args.offset)?));
        reply.result(written.map(|()| Written(data.len() as u32)));
    }

    fn release(&self, _request: &RequestHeader, node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        if matches!(
            *self.answer.lock(),
            Answer::ByTheRules | Answer::ByTheRulesUnbacked | Answer::ByTheRulesDirect
        ) {
            self.modes.release(node);
        }
        *self.counts.released.0.lock() += 1;
        self.counts.released.1.notify_all();
        reply.ok(());
    }

    fn fsync(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        _handle: FileHandle,
        _data_only: bool,
        reply: Reply<()>,
    ) {
        self.counts.fsyncs.fetch_add(1, Ordering::Relaxed);
        reply.result(self.file(node).and_then(|file| Ok(file.sync_all()?)));
    }

    fn opendir(&self, _request: &RequestHeader, node: NodeId, _flags: OpenFlags, reply: Reply<OpenedDir>) {
        reply.ok(OpenedDir { handle: DirHandle(node.0), flags: OpenedFlags::NONE });
    }

    fn readdir(&self, _request: &RequestHeader, _args: &ReadDirArgs, reply: ReplyDirectory) {
        reply.ok();
    }

    fn releasedir(&self, _request: &RequestHeader, _node: NodeId, _handle: DirHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn statfs(&self, _request: &RequestHeader, _node: NodeId, reply: Reply<StatFs>) {
        reply.error(Errno::ENOSYS);
    }

    fn interrupt(&self, _interrupted: Unique) {}
}
