//! A rival: a directory served by the library `fuser` with one pread(2) a read, as a first FUSE server would be written.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use parking_lot::Mutex;

/// Nothing changes while it is measured.
const VALID: Duration = Duration::from_secs(3600);

/// Serves `root` at `mountpoint`, read-only, until the result is dropped.
pub(crate) fn serve(
    root: &Path,
    mountpoint: &Path,
    threads: usize,
) -> anyhow::Result<fuser::BackgroundSession> {
    let mut config = fuser::Config::default();
    config.mount_options = vec![fuser::MountOption::RO, fuser::MountOption::FSName("fuser".to_owned())];
    config.n_threads = Some(threads);
    config.clone_fd = true;
    let mirror = Mirror { nodes: Mutex::new(Nodes::new(root)), files: Mutex::default() };
    fuser::spawn_mount(mirror, mountpoint, &config).context("mount with fuser")
}

struct Mirror {
    nodes: Mutex<Nodes>,
    /// Open files by handle, which is never used again.
    files: Mutex<(u64, HashMap<u64, std::sync::Arc<File>>)>,
}

struct Nodes {
    /// Inode `n` is at `n - 1`.
    paths: Vec<PathBuf>,
    numbers: HashMap<PathBuf, u64>,
}

impl Nodes {
    fn new(root: &Path) -> Nodes {
        Nodes { paths: vec![root.to_owned()], numbers: HashMap::new() }
    }

    fn path(&self, ino: fuser::INodeNo) -> Option<PathBuf> {
        self.paths.get(usize::try_from(ino.0).ok()?.checked_sub(1)?).cloned()
    }

    fn number(&mut self, path: PathBuf) -> u64 {
        let next = self.paths.len() as u64 + 1;
        let number = *self.numbers.entry(path.clone()).or_insert(next);
        if number == next {
            self.paths.push(path);
        }
        number
    }
}

fn attributes(ino: u64, path: &Path) -> std::io::Result<fuser::FileAttr> {
    let metadata = fs::metadata(path)?;
    let kind = if metadata.is_dir() { fuser::FileType::Directory } else { fuser::FileType::RegularFile };
    Ok(fuser::FileAttr {
        ino: fuser::INodeNo(ino),
        size: metadata.len(),
        blocks: metadata.blocks(),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: 0o755,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 1 << 20,
        flags: 0,
    })
}

impl fuser::Filesystem for Mirror {
    fn lookup(&self, _: &fuser::Request, parent: fuser::INodeNo, name: &OsStr, reply: fuser::ReplyEntry) {
        let Some(parent) = self.nodes.lock().path(parent) else { return reply.error(fuser::Errno::ENOENT) };
        let path = parent.join(name);
        match fs::exists(&path) {
            Ok(true) => {}
            _ => return reply.error(fuser::Errno::ENOENT),
        }
        let ino = self.nodes.lock().number(path.clone());
        match attributes(ino, &path) {
            Ok(attributes) => reply.entry(&VALID, &attributes, fuser::Generation(0)),
            Err(_) => reply.error(fuser::Errno::EIO),
        }
    }

    fn getattr(
        &self,
        _: &fuser::Request,
        ino: fuser::INodeNo,
        _: Option<fuser::FileHandle>,
        reply: fuser::ReplyAttr,
    ) {
        let path = self.nodes.lock().path(ino);
        match path.map(|path| attributes(ino.0, &path)) {
            Some(Ok(attributes)) => reply.attr(&VALID, &attributes),
            _ => reply.error(fuser::Errno::ENOENT),
        }
    }

    fn open(&self, _: &fuser::Request, ino: fuser::INodeNo, _: fuser::OpenFlags, reply: fuser::ReplyOpen) {
        let path = self.nodes.lock().path(ino);
        match path.map(File::open) {
            Some(Ok(file)) => {
                let mut files = self.files.lock();
                files.0 += 1;
                let handle = files.0;
                files.1.insert(handle, file.into());
                reply.opened(fuser::FileHandle(handle), fuser::FopenFlags::FOPEN_KEEP_CACHE);
            }
            _ => reply.error(fuser::Errno::ENOENT),
        }
    }

    fn read(
        &self,
        _: &fuser::Request,
        _: fuser::INodeNo,
        handle: fuser::FileHandle,
        offset: u64,
        size: u32,
        _: fuser::OpenFlags,
        _: Option<fuser::LockOwner>,
        reply: fuser::ReplyData,
    ) {
        let file = self.files.lock().1.get(&handle.0).cloned();
        let mut buffer = vec![0; size as usize];
        match file.map(|file| file.read_at(&mut buffer, offset)) {
            Some(Ok(count)) => reply.data(&buffer[..count]),
            _ => reply.error(fuser::Errno::EIO),
        }
    }

    fn release(
        &self,
        _: &fuser::Request,
        _: fuser::INodeNo,
        handle: fuser::FileHandle,
        _: fuser::OpenFlags,
        _: Option<fuser::LockOwner>,
        _: bool,
        reply: fuser::ReplyEmpty,
    ) {
        self.files.lock().1.remove(&handle.0);
        reply.ok();
    }
}
