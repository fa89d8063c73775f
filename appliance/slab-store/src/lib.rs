//! A checked block cache on preallocated slabs.
//!
//! Job: keep up to a fixed number of bytes of immutable objects on one NVMe file or block device, give them back
//! verified, and come back warm after a crash.
//!
//! Parts: [`ObjectKey`] names a version of an object; [`SlabStore`] takes blocks and answers look-ups; [`Reader`] (one
//! per thread) reads them through its own ring; [`PlannedRead`] is what a reader is built on, for rings of other crates;
//! [`Device`] is the border to the disk, with a real and a fault-injecting implementation.
//!
//! Flow: `insert` copies a block into the write segment of an open slab and enters it in the index; the writer thread
//! writes full segments, seals full slabs with a footer and evicts slabs ahead of need; a read looks its blocks up,
//! plans as few direct reads as it can, and checks every byte against a checksum that is seeded with the key.
//!
//! Trade: eviction, flushes and recovery work on whole slabs, which makes writes large and the restart fast; the price
//! is that a crash loses the slabs that are open or being sealed. docs/FORMAT-SLABS.md has the bytes.

mod budget;
mod checksum;
mod device;
mod error;
mod eviction_queues;
mod format;
mod geometry;
mod ghost;
mod health;
mod index;
mod key;
mod log;
mod log_state;
mod open;
mod options;
mod page_tables;
mod planned_read;
mod read_plan;
mod reader;
mod recovery;
mod segment;
mod shared;
mod slabs;
mod stats;
mod store;
mod sys;
mod waiters;
mod writer;

pub use checksum::block_checksum;
#[cfg(feature = "sim")]
pub use device::sim;
pub use device::{Alignment, Completion, Device, IoQueue, QueueShape, ReadOp, SlotId, WriteOp};
pub use error::{InsertError, KeyError, OpenError};
pub use key::{BLOCK_BYTES, BlockIndex, KEY_BYTES_MAX, ObjectKey};
#[cfg(feature = "sim")]
pub use options::Planted;
pub use options::{DeviceSpec, Options};
pub use planned_read::{PlannedRead, Step};
pub use read_plan::{READ_BYTES_MAX, Run};
pub use reader::{Done, ReadOutcome, Reader, ReaderShape, Submitted};
pub use recovery::Recovery;
pub use stats::Stats;
pub use store::SlabStore;
pub use sys::AlignedBuf;
