//! The bytes on disk: docs/FORMAT-SLABS.md. All integers are little-endian.

pub(crate) mod footer;
pub(crate) mod superblock;

mod fields;
