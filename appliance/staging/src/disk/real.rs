//! A directory of the host.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Whence, lseek};

use super::{Disk, DiskFile};

/// The staging directory itself.
pub(crate) struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// Everything happens below `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .open(self.root.join(path))?;
        Ok(Arc::new(RealFile { file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.root.join(path))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(self.root.join(directory))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(self.root.join(path))?.sync_all()
    }
}

struct RealFile {
    file: File,
}

impl DiskFile for RealFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn set_size(&self, size_bytes: u64) -> io::Result<()> {
        self.file.set_len(size_bytes)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        fallocate_range(&self.file, FallocateFlags::empty(), range)
    }

    fn prepare(&self, range: Range<u64>) -> io::Result<()> {
        static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];
        self.allocate(range.clone())?;
        let mut at = range.start;
        while at < range.end {
            let len = (range.end - at).min(ZEROES.len() as u64);
            self.file.write_all_at(&ZEROES[..len as usize], at)?;
            at += len;
        }
        Ok(())
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        fallocate_range(
            &self.file,
            FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE,
            range,
        )
    }

    fn data_ranges(&self) -> io::Result<Vec<Range<u64>>> {
        let mut ranges = Vec::new();
        let mut at = 0;
        loop {
            let start = match lseek(&self.file, at, Whence::SeekData) {
                Ok(start) => start,
                Err(Errno::ENXIO) => return Ok(ranges),
                Err(errno) => return Err(errno.into()),
            };
            at = lseek(&self.file, start, Whence::SeekHole)?;
            ranges.push(start as u64..at as u64);
        }
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

fn fallocate_range(file: &File, flags: FallocateFlags, range: Range<u64>) -> io::Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let too_large = |_| io::Error::from(Errno::EFBIG);
    let offset = i64::try_from(range.start).map_err(too_large)?;
    let len = i64::try_from(range.end - range.start).map_err(too_large)?;
    Ok(fallocate(file, flags, offset, len)?)
}
