//! The two files of an object: where they are, how they are opened, read and written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{FallocateFlags, fallocate};
use slab_store::BLOCK_BYTES;

use crate::format::{self, Header};
use crate::space::Charge;

/// Ending of the file that is passed through.
pub(crate) const DATA_ENDING: &str = "data";
/// Ending of the file of checksums.
pub(crate) const SUMS_ENDING: &str = "sums";

/// Names of an object's files.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) data: PathBuf,
    pub(crate) sums: PathBuf,
}

impl Paths {
    pub(crate) fn new(directory: &Path, hash: u128) -> Self {
        let path = |ending| directory.join(format!("{hash:032x}.{ending}"));
        Self { data: path(DATA_ENDING), sums: path(SUMS_ENDING) }
    }

    /// Removes both; what is not there is no error.
    pub(crate) fn remove(&self) {
        for path in [&self.data, &self.sums] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "a cached file could not be removed");
                }
                _ => {}
            }
        }
    }
}

/// The open files of an object. The bytes on disk are theirs until they are closed.
pub(crate) struct Files {
    // In this order: the account is settled after the files are closed.
    pub(crate) data: Arc<File>,
    pub(crate) sums: File,
    charge: Arc<Charge>,
}

impl Files {
    /// Makes the files of an object: sparse data, a header and no checksums.
    pub(crate) fn create(paths: &Paths, header: &Header, charge: Arc<Charge>) -> io::Result<Self> {
        paths.remove();
        let sums = options().create_new(true).open(&paths.sums)?;
        sums.write_all_at(&header.encode(), 0)?;
        sums.set_len(format::sum_offset(format::block_count(header.size_bytes)))?;
        let data = options().create_new(true).custom_flags(libc::O_DIRECT).open(&paths.data)?;
        data.set_len(header.size_bytes)?;
        Ok(Self { data: Arc::new(data), sums, charge })
    }

    pub(crate) fn open(paths: &Paths, charge: Arc<Charge>) -> io::Result<Self> {
        let sums = options().open(&paths.sums)?;
        let data = options().custom_flags(libc::O_DIRECT).open(&paths.data)?;
        Ok(Self { data: Arc::new(data), sums, charge })
    }

    /// The checksums of a run of blocks.
    pub(crate) fn read_sums(&self, first: u32, count: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count as usize * format::SUM_BYTES];
        self.sums.read_exact_at(&mut bytes, format::sum_offset(first))?;
        Ok(bytes)
    }

    /// Gives a block's bytes back to the file system.
    pub(crate) fn punch(&self, block: u32) -> io::Result<()> {
        let offset = u64::from(block) * u64::from(BLOCK_BYTES);
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        fallocate(&*self.data, hole, offset as libc::off_t, libc::off_t::from(BLOCK_BYTES))?;
        self.sums.write_all_at(&[0; format::SUM_BYTES], format::sum_offset(block))
    }

    /// Reads data into a page-aligned buffer whose length is a multiple of 4096; less than wanted at the end of the file
    /// alone.
    pub(crate) fn read_data(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.data.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(count) => {
                    done += count;
                    // The end of the file, or a short read that direct I/O cannot go on from.
                    if count == 0 || !count.is_multiple_of(4096) {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.charge.closing(&self.data);
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}
