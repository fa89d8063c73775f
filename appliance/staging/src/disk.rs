//! The border to the file system that holds a staging directory.
//!
//! Paths are relative to the staging directory. [`RealDisk`] is the one that daemons use; `sim::SimDisk` (feature
//! `sim`) keeps what was not flushed apart, and loses it on a power cut.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

mod real;
#[cfg(feature = "sim")]
pub mod sim;

pub(crate) use real::RealDisk;

/// A directory tree that can be flushed.
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing; `create` makes it if need be.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file over another.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Names in a directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory; one that is there is fine.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory survive a power cut.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Fills the buffer, or fails.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of it, or fails.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends.
    fn set_size(&self, size_bytes: u64) -> io::Result<()>;
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Data and length survive a power cut when this returns.
    fn sync_data(&self) -> io::Result<()>;
    /// Allocates room for a range, and extends the file to it.
    fn allocate(&self, range: Range<u64>) -> io::Result<()>;
    /// Writes zeroes to a range behind the end, so that later writes there need no metadata and cannot fail for room.
    fn prepare(&self, range: Range<u64>) -> io::Result<()>;
    /// Makes a range read as zeroes and frees its room; the size stays.
    fn punch(&self, range: Range<u64>) -> io::Result<()>;
    /// The ranges that may hold other bytes than zeroes.
    fn data_ranges(&self) -> io::Result<Vec<Range<u64>>>;
    /// The kernel's file, for reads and mappings that do not pass here.
    fn file(&self) -> Option<&File>;
}
