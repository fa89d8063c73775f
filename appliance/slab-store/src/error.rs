//! Errors of the store, worded for the operator who reads them.

use std::io;
use std::path::PathBuf;

/// A key of unusable length.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an object key has {len} bytes; 1 to {limit} are allowed")]
pub struct KeyError {
    /// Length that was given, in bytes.
    pub len: usize,
    /// Greatest length, in bytes.
    pub limit: usize,
}

/// Why a cache could not be opened. Each text is one line that names the cause and the setting to turn.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has this cache open.
    #[error("the cache {path} is in use by another process; give each daemon its own --cache-dir", path = path.display())]
    Locked {
        /// The cache file or device.
        path: PathBuf,
    },
    /// The file is there, and it is not ours.
    #[error(
        "{path} is not a slab cache and will not be overwritten; remove it or point --cache-dir elsewhere",
        path = path.display()
    )]
    Foreign {
        /// The file or device.
        path: PathBuf,
    },
    /// The cache was written by another version of this program.
    #[error(
        "the cache {path} has format version {found}, this program writes {expected}; remove it or point --cache-dir elsewhere",
        path = path.display()
    )]
    Version {
        /// The file or device.
        path: PathBuf,
        /// Version on disk.
        found: u32,
        /// Version of this program.
        expected: u32,
    },
    /// Both copies of the superblock are damaged.
    #[error("the superblock of the cache {path} is damaged; remove the cache or point --cache-dir elsewhere", path = path.display())]
    Damaged {
        /// The file or device.
        path: PathBuf,
    },
    /// The budget is below the minimum.
    #[error(
        "a cache of {capacity_bytes} bytes is too small; --cache-size must be at least {needed_bytes} bytes"
    )]
    CapacityTooSmall {
        /// Budget that was given.
        capacity_bytes: u64,
        /// Least budget.
        needed_bytes: u64,
    },
    /// The device is smaller than the budget.
    #[error(
        "{path} has {device_bytes} bytes, fewer than the {capacity_bytes} asked for; lower --cache-size",
        path = path.display()
    )]
    DeviceTooSmall {
        /// The block device.
        path: PathBuf,
        /// Size of the device.
        device_bytes: u64,
        /// Budget that was given.
        capacity_bytes: u64,
    },
    /// The file system has no room for the budget.
    #[error(
        "no room for a cache of {capacity_bytes} bytes at {path}; lower --cache-size or point --cache-dir elsewhere",
        path = path.display()
    )]
    DiskFull {
        /// The cache file.
        path: PathBuf,
        /// Budget that was given.
        capacity_bytes: u64,
    },
    /// The memory bound is below the minimum.
    #[error(
        "{memory_bytes} bytes of memory are too few for this cache; --memory must leave it at least {needed_bytes}"
    )]
    MemoryTooSmall {
        /// Bound that was given.
        memory_bytes: u64,
        /// Least bound for this capacity.
        needed_bytes: u64,
    },
    /// An explicit slab size that the format does not allow.
    #[error("slabs of {slab_bytes} bytes are not allowed: a power of two from {min_bytes} to {max_bytes} is")]
    SlabSize {
        /// Size that was given.
        slab_bytes: u64,
        /// Least size.
        min_bytes: u64,
        /// Greatest size.
        max_bytes: u64,
    },
    /// The file system or device takes no direct I/O in units of 4096 bytes or less.
    #[error(
        "{path} takes no direct I/O in units of 4096 bytes or less; point --cache-dir at ext4, XFS or a block device",
        path = path.display()
    )]
    NoDirectIo {
        /// The file or device.
        path: PathBuf,
    },
    /// The path is of another kind than was asked for.
    #[error("{path} is not a {wanted}; point --cache-dir elsewhere", path = path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// "regular file" or "block device".
        wanted: &'static str,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}; check --cache-dir", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or device.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Why a block was not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InsertError {
    /// A block of no bytes, or of more than [`crate::BLOCK_BYTES`].
    #[error("a block has {len} bytes; 1 to {limit} are allowed")]
    Size {
        /// Length of the block.
        len: usize,
        /// Greatest length.
        limit: usize,
    },
    /// The store was marked failed after repeated device errors; it takes nothing more until it is opened again.
    #[error("the slab store has failed after repeated device errors")]
    Failed,
    /// The store is closed.
    #[error("the slab store is closed")]
    Closed,
}
