//! What a read-write mount has and its stores do not have yet.
//!
//! Job: take changes of names, attributes and data at the speed of the local disk, keep them over kills and power cuts
//! as POSIX promises, and say in which order the store has to be told. It knows no FUSE, no store and no async runtime.
//!
//! Parts: [`Staging`] is one mount's tree, [`StagedFile`] an open file of it. Inside, `tree` is the state in memory and
//! `journal` the same on disk; `names`, `data` and `publish` are the three kinds of calls; `content` and [`Extents`] say
//! which bytes of a file are where; `publish_order` decides what may be published; `space` what may still be written.
//!
//! Flow of a change: it is planned against the tree, appended to the journal as one record, and then made, all
//! under one lock. Recovery makes the same changes from the records. Data go into one sparse backing file a node, outside of
//! that lock. A flush of the journal is asked for by `fsync` alone, and shared by all who wait.
//!
//! Trade: all names that the store lacks are in memory (bounded by `files_max`), so a change of a name is a hash look-up
//! and one `pwrite`; in return a start reads the journal, and a rename of a directory costs a record of its files.
//!
//! docs/decisions/010 is the design, docs/FORMAT-JOURNAL.md the bytes.

mod content;
mod data;
mod disk;
mod error;
mod evict;
mod extents;
mod journal;
mod left_over;
mod names;
mod open;
mod options;
mod plan;
mod poison;
mod publish;
mod publish_order;
mod record;
mod schedule;
mod shared;
mod snapshot;
mod space;
mod staging;
mod tree;
mod types;

pub use content::EXTENTS_MAX;
pub use data::{AllocateMode, FILE_BYTES_MAX, Segment, StagedFile};
#[cfg(feature = "sim")]
pub use disk::sim;
pub use disk::{Disk, DiskFile};
pub use error::{OpenError, StageError};
pub use extents::Extents;
pub use left_over::{LeftOver, left_over};
pub use names::Place;
pub use open::{MissingData, Recovery};
pub use options::{Clock, Delay, DelayRule, Options};
pub use publish::{Action, EventView, Outcome, Resumed, Turn, Upload, UploadKind};
pub use space::Admission;
pub use staging::{Staging, Stats};
pub use types::{
    AttributeChange, Attributes, Base, Durability, EventSeq, Kind, Lookup, Moment, NAME_BYTES_MAX, NameView,
    NewKind, NewNode, NodeNumber, NodeType, NodeView, RenameMode, TARGET_BYTES_MAX, XATTR_BYTES_MAX,
    XattrMode, Xattrs,
};
