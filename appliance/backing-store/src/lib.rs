//! Large objects as files of their own.
//!
//! Job: keep large immutable objects on a local file system, offset for offset, so that the kernel can read them in
//! passthrough once they are complete; serve them block by block and verified while they are not; never use more
//! than a budget; come back after a crash without reading data.
//!
//! Parts: [`BackingStore`] knows what is there; [`Writer`] (one per thread) writes runs of blocks; [`Reader`] (one per
//! thread) reads and verifies; [`LentFile`] is a complete file in the kernel's hands; `index` finds and orders,
//! `space` counts, `recovery` opens, `scrub` reads complete files again in the background. docs/FORMAT-FILES.md has the
//! bytes.
//!
//! Flow: the first block of an object makes two sparse files, data and checksums. A run of blocks is written to the
//! first, then its checksums to the second, then it counts as present. The last block has the data made durable and
//! the checksums marked as sealed; from then on [`BackingStore::lend`] gives the file away.
//!
//! Trade: whole files are evicted, so what is half read of a huge object goes as a whole; what the kernel reads by
//! itself is not verified at that moment, which is what the scrubber is for.

mod entry;
mod error;
mod files;
mod format;
mod index;
mod lent;
mod options;
mod reader;
mod recovery;
mod scrub;
mod shared;
mod space;
mod stats;
mod store;
mod sys;
mod writer;

pub use error::OpenError;
pub use lent::LentFile;
pub use options::{OBJECT_BYTES_MIN, Options};
pub use reader::Reader;
pub use recovery::Recovery;
pub use stats::Stats;
pub use store::BackingStore;
pub use writer::{Run, Writer, Written};
