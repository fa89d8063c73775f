//! What a caller chooses when opening a store.

use std::path::PathBuf;

use crate::budget::Budget;
use crate::device::Device;
use crate::error::OpenError;
use crate::geometry::{Geometry, HEADER_BYTES, SLAB_BYTES_MIN, SLABS_MIN};
use crate::index::Index;

/// Memory bound when the caller names none.
const MEMORY_BYTES_DEFAULT: u64 = 256 << 20;

/// Where the cache lies.
pub enum DeviceSpec {
    /// A preallocated file; created where there is none. Its directory must exist.
    File {
        /// Path of the file.
        path: PathBuf,
    },
    /// A block device that is blank or holds a cache.
    BlockDevice {
        /// Path of the device node.
        path: PathBuf,
    },
    /// Any other device.
    Custom(Box<dyn Device>),
}

/// Settings of a store.
pub struct Options {
    /// Where the cache lies.
    pub device: DeviceSpec,
    /// Most bytes the cache may take on the device, headers and footers included.
    pub capacity_bytes: u64,
    /// Size of a slab of a new cache: a power of two from 1 MiB to 1 GiB. `None`: 64 MiB, or less for caches below
    /// 8 GiB. A cache that exists keeps its own.
    pub slab_bytes: Option<u64>,
    /// Most bytes of memory for index, page tables, ghost entries, write segments and footers being built.
    pub memory_bytes: u64,
    /// A bug to run with, so that a test can show that it would be found.
    #[cfg(feature = "sim")]
    pub planted: Option<Planted>,
}

/// Bugs that the test suites must find.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Reads are not verified.
    SkipVerification,
    /// A slab is used again while its old footer is still valid.
    SkipInvalidation,
    /// The footer is written before the data was flushed.
    SkipDataFlush,
}

impl Options {
    /// Least `capacity_bytes` of a cache: 9 MiB.
    pub const CAPACITY_BYTES_MIN: u64 = HEADER_BYTES + SLAB_BYTES_MIN * SLABS_MIN as u64;

    /// Blocks that the index of a new cache of this size has room for. With more of them the cache evicts, however small
    /// they are.
    pub fn blocks_max(capacity_bytes: u64, memory_bytes: u64) -> Result<u64, OpenError> {
        let budget = Budget::new(memory_bytes, Geometry::new(capacity_bytes, None)?)?;
        Ok(Index::new(budget.index_bytes).blocks_max() as u64)
    }

    /// Settings with defaults for all but place and size: slabs sized by capacity, 256 MiB of memory.
    pub fn new(device: DeviceSpec, capacity_bytes: u64) -> Self {
        Self {
            device,
            capacity_bytes,
            slab_bytes: None,
            memory_bytes: MEMORY_BYTES_DEFAULT,
            #[cfg(feature = "sim")]
            planted: None,
        }
    }
}
