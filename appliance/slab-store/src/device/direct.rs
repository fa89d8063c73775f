//! A file or block device opened with O_DIRECT and locked with flock(2).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{FallocateFlags, fallocate};

use super::{Alignment, Device, IoQueue, QueueShape};
use crate::error::OpenError;
use crate::sys::{AlignedBuf, RingQueue, direct_io_alignment};

/// Used where statx does not say (kernels before 6.1): what all 4 KiB-sector devices and file systems take.
const ALIGNMENT_FALLBACK: Alignment = Alignment { offset_bytes: 4096, memory_bytes: 4096 };
/// Greatest unit of direct I/O that the layout supports: large blocks begin on 4096-byte borders.
const ALIGNMENT_BYTES_MAX: u32 = 4096;

/// Tries to lock a cache, and the pause between two: a second in all.
const LOCK_ATTEMPTS_MAX: u32 = 21;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What the path must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    RegularFile,
    BlockDevice,
}

pub(crate) struct DirectFile {
    file: Arc<File>,
    kind: Kind,
    alignment: Alignment,
}

impl DirectFile {
    /// Opens (a regular file is created where there is none) and locks.
    pub(crate) fn open(path: &Path, kind: Kind) -> Result<Self, OpenError> {
        let file = open_locked(path, kind)?;
        let alignment = alignment(&file, path)?;
        Ok(Self { file: Arc::new(file), kind, alignment })
    }
}

/// Opens and locks, trying again for a while: the kernel tears the rings of a killed process down in the background,
/// and they hold its file, and so its lock, some milliseconds longer than the process lives.
fn open_locked(path: &Path, kind: Kind) -> Result<File, OpenError> {
    for _ in 1..LOCK_ATTEMPTS_MAX {
        match try_open_locked(path, kind) {
            Err(OpenError::Locked { .. }) => std::thread::sleep(LOCK_PAUSE),
            result => return result,
        }
    }
    try_open_locked(path, kind)
}

fn try_open_locked(path: &Path, kind: Kind) -> Result<File, OpenError> {
    let file = open_direct(path, kind)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.into() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", path, source)),
    }
}

fn open_direct(path: &Path, kind: Kind) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(kind == Kind::RegularFile).mode(0o600);
    let exclusive = if kind == Kind::BlockDevice { libc::O_EXCL } else { 0 };
    let file = options.custom_flags(libc::O_DIRECT | exclusive).open(path).map_err(|source| {
        match source.raw_os_error() {
            Some(libc::EINVAL) => OpenError::NoDirectIo { path: path.into() },
            // O_EXCL on a block device: mounted, or opened by another that also asked for it alone.
            Some(libc::EBUSY) => OpenError::Locked { path: path.into() },
            _ => io_error("open", path, source),
        }
    })?;
    let found = file.metadata().map_err(|source| io_error("examine", path, source))?.file_type();
    match kind {
        Kind::RegularFile if !found.is_file() => {
            Err(OpenError::Kind { path: path.into(), wanted: "regular file" })
        }
        Kind::BlockDevice if !found.is_block_device() => {
            Err(OpenError::Kind { path: path.into(), wanted: "block device" })
        }
        _ => Ok(file),
    }
}

fn alignment(file: &File, path: &Path) -> Result<Alignment, OpenError> {
    let answer = direct_io_alignment(file).map_err(|source| io_error("examine", path, source))?;
    let alignment = answer.unwrap_or(ALIGNMENT_FALLBACK);
    let usable = 1..=ALIGNMENT_BYTES_MAX;
    if !usable.contains(&alignment.offset_bytes) || alignment.memory_bytes > ALIGNMENT_BYTES_MAX {
        return Err(OpenError::NoDirectIo { path: path.into() });
    }
    if answer.is_none() {
        tracing::info!(path = %path.display(), "statx does not give the direct I/O alignment; using 4096 bytes");
    }
    Ok(alignment)
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { action, path: path.into(), source }
}

impl Device for DirectFile {
    fn size_bytes(&self) -> u64 {
        // Seeking to the end works for files and block devices alike; the position itself is never used.
        let size = (&*self.file).seek(SeekFrom::End(0));
        size.unwrap_or_else(|error| {
            tracing::error!(%error, "the size of the cache cannot be read");
            0
        })
    }

    fn alignment(&self) -> Alignment {
        self.alignment
    }

    fn allocate(&self, size_bytes: u64) -> io::Result<()> {
        let present = self.size_bytes();
        if self.kind == Kind::BlockDevice {
            return if present < size_bytes { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) };
        }
        if present > size_bytes {
            self.file.set_len(size_bytes)?;
        }
        fallocate(&*self.file, FallocateFlags::empty(), 0, size_bytes as libc::off_t)?;
        self.file.sync_all()
    }

    fn read_at(&self, buf: &mut AlignedBuf, start: usize, len: usize, offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(&mut buf[start..start + len], offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn queue(&self, shape: QueueShape) -> io::Result<Box<dyn IoQueue>> {
        Ok(Box::new(RingQueue::new(SharedFile(Arc::clone(&self.file)), shape)?))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

impl Drop for DirectFile {
    fn drop(&mut self) {
        // Explicitly: a ring that is still being torn down holds the open file, and so the lock.
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the lock of the cache goes with its last descriptor");
        }
    }
}

/// Keeps the file open for a ring that may outlive the store.
struct SharedFile(Arc<File>);

impl AsRawFd for SharedFile {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
