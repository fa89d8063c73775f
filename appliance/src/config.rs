//! The daemon's settings: what may be written, in which units, and the checks at start.
//!
//! Two ways lead to a [`Config`]: a TOML file ([`Config::load`]) and the flags of `forebay mount`. Both fill a
//! [`given::GivenConfig`], in which every value remembers its place (file and line, or flag), and one set of checks
//! turns that into a [`Config`] or into a [`ConfigError`] of one line. [`keys`] lists every key that a file may have;
//! docs/CONFIGURATION.md is held against that list by a test.
//!
//! The file is read by hand over the spans of the TOML parser instead of through serde, because messages must name the
//! line, the nearest key and what is allowed; the price is one line of code for each key.

pub mod given;
pub mod keys;
pub mod units;

mod consistency;
mod credentials_file;
mod error;
mod file;
mod passthrough;
mod reader;
mod resolve;
mod runtime_dir;
#[cfg(test)]
mod tests;
mod transport;
mod tree_path;
mod writeback;

pub use consistency::{Consistency, InvalidConsistency};
pub use credentials_file::CredentialsError;
pub use error::{ConfigError, Place, Suggestion, ValueError};
pub use passthrough::{InvalidPassthroughMode, PassthroughMode};
pub use runtime_dir::{DAEMON_SOCKET_NAME, SOCKET_SUFFIX, daemon_socket, mount_socket, runtime_dir};
pub use transport::{InvalidTransport, Transport};
pub use tree_path::{InvalidTreePath, TreePath};
pub use writeback::{
    DIRTY_BYTES_DEFAULT, DIRTY_BYTES_MIN, FILES_DEFAULT, RENAME_DEFAULT, TREE_DEPTH_DEFAULT, WritebackConfig,
};

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ufs::Location;

/// Default of `memory`.
pub const MEMORY_BYTES_DEFAULT: u64 = 512 << 20;
/// Least `memory`: below it the index, the rings and a few fetches have no room.
pub const MEMORY_BYTES_MIN: u64 = 128 << 20;
/// Default of `cache.size` in a directory.
pub const CACHE_BYTES_DEFAULT: u64 = 20 << 30;
/// Least `cache.size`: a few slabs, so that eviction has a choice.
pub const CACHE_BYTES_MIN: u64 = 256 << 20;
/// Default of `cache.large_file_min`: from here on a file's two directory entries, its sync and the registration at its
/// open (some 10 ms in all on a busy disk) are small beside reading it, and slabs serve what is smaller well.
pub const LARGE_FILE_BYTES_DEFAULT: u64 = 8 << 20;
/// Default of `cache.scrub_rate`: a TiB in nine hours, about one percent of an NVMe device.
pub const SCRUB_RATE_DEFAULT: u64 = 32 << 20;
/// What `cache.large_files_size` leaves to the slabs at least.
pub const SLABS_BYTES_MIN: u64 = 64 << 20;
/// Longest configuration file.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

const _: () = assert!(MEMORY_BYTES_MIN <= MEMORY_BYTES_DEFAULT && CACHE_BYTES_MIN <= CACHE_BYTES_DEFAULT);

/// Everything that a daemon needs to start; checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// At least one; mountpoints are absolute, different, and not inside of each other.
    pub mounts: Vec<MountConfig>,
    /// `None`: nothing is kept on a disk.
    pub cache: Option<CacheConfig>,
    /// Set when a mount is read-write.
    pub writeback: Option<WritebackConfig>,
    /// Whether the kernel may read and write files by itself.
    pub passthrough: PassthroughMode,
    /// Ceiling of the daemon's memory; at least [`MEMORY_BYTES_MIN`].
    pub memory_bytes: u64,
    /// Where the daemon answers `forebay status` and kin.
    pub control_socket: PathBuf,
    /// Threads that wait on the network: fetches, listings, control requests.
    pub io_threads: usize,
}

/// The cache on NVMe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Where it lies.
    pub location: CacheLocation,
    /// Budget of everything; at least [`CACHE_BYTES_MIN`].
    pub size_bytes: u64,
    /// Large objects in files of their own, if the kernel passes them through. `None`: all in slabs.
    pub large: Option<LargeFiles>,
}

/// Large objects in files of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeFiles {
    /// Their part of the cache's size.
    pub budget_bytes: u64,
    /// Objects from this size on.
    pub object_bytes_min: u64,
    /// How fast complete files are read again to check them; 0: never.
    pub scrub_bytes_per_s: u64,
}

/// Where cached data lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheLocation {
    /// Slab files in a directory, by absolute path.
    Directory(PathBuf),
    /// A whole block device, by absolute path.
    BlockDevice(PathBuf),
}

/// One mount.
#[derive(Clone, Debug)]
pub struct MountConfig {
    /// Absolute path.
    pub mountpoint: PathBuf,
    /// At least one branch; their places differ. In the order of the file.
    pub tree: Vec<Branch>,
    /// When the stores are asked again.
    pub consistency: Consistency,
    /// How the kernel's requests travel.
    pub transport: Transport,
    /// Files may be made and changed.
    pub read_write: bool,
    /// Users other than the daemon's may use the mount.
    pub allow_other: bool,
    /// Threads that answer the kernel.
    pub threads: usize,
    /// Owner of every file.
    pub uid: u32,
    /// Group of every file.
    pub gid: u32,
    /// Permission bits of files that have none of their own; 0o444 when nothing is said, 0o644 on a read-write mount.
    pub file_mode: u16,
    /// Permission bits of directories that have none of their own; 0o555 when nothing is said, 0o755 on a read-write mount.
    pub dir_mode: u16,
}

/// A store at a place inside a mount.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The place; the root of the mount for a single store.
    pub at: TreePath,
    /// The store.
    pub location: Location,
    /// How to reach it.
    pub settings: ufs::Settings,
}

impl Config {
    /// Reads, checks and completes a configuration file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = read_limited(file)?;
        Self::parse(file, &text)
    }

    /// The same for a text; `file` is used in messages only.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let given = file::parse(&reader::Source { file: file.into(), text })?;
        if given.mounts.is_empty() {
            return Err(ConfigError::NoMount { file: file.to_owned() });
        }
        given.resolve()
    }
}

fn read_limited(file: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
    let mut text = String::new();
    let opened = File::open(file).map_err(unreadable)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { file: file.to_owned() });
    }
    Ok(text)
}
