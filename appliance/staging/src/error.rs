//! What can go wrong, in words for programs and for operators.

use std::io;
use std::path::PathBuf;

use crate::types::{EventSeq, NodeNumber};

/// A call that the staged tree refused or could not finish. Nothing was changed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// No such name or node.
    #[error("no such file or directory in the staged tree")]
    NotFound,
    /// The name is taken.
    #[error("the name is taken")]
    Exists,
    /// A directory was needed.
    #[error("not a directory")]
    NotADirectory,
    /// Anything but a directory was needed.
    #[error("is a directory")]
    IsADirectory,
    /// The directory has entries.
    #[error("the directory is not empty")]
    NotEmpty,
    /// A directory would become its own descendant, or the root would move.
    #[error("a directory cannot be moved into itself")]
    Loop,
    /// The call asks for something that makes no sense for this node.
    #[error("invalid: {0}")]
    Invalid(&'static str),
    /// Not for this kind of file.
    #[error("not supported: {0}")]
    NotSupported(&'static str),
    /// No such extended attribute.
    #[error("no such extended attribute")]
    NoXattr,
    /// The extended attribute is there already.
    #[error("the extended attribute is there already")]
    XattrExists,
    /// A bound of this crate.
    #[error("extended attributes of one file may have {limit_bytes} bytes")]
    XattrTooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// Longer than Linux allows.
    #[error("the name or target has {bytes} bytes, the limit is {limit_bytes}")]
    NameTooLong {
        /// What was given.
        bytes: usize,
        /// The bound.
        limit_bytes: usize,
    },
    /// The budget of bytes that the store does not have is used up.
    #[error("dirty_limit reached: {dirty_bytes} of {limit_bytes} bytes wait for the store")]
    DirtyLimit {
        /// Now.
        dirty_bytes: u64,
        /// The bound, `[writeback] dirty_limit`.
        limit_bytes: u64,
    },
    /// The budget of nodes is used up.
    #[error("files_max reached: the staged tree has {limit} files and directories")]
    FilesMax {
        /// The bound, `[writeback] files_max`.
        limit: usize,
    },
    /// The file grew too large.
    #[error("a file may have {limit_bytes} bytes")]
    FileTooLarge {
        /// The bound.
        limit_bytes: u64,
    },
    /// The file has as many separate ranges as one may have: fill its gaps from the base, and try again.
    #[error("the file has {limit} separate ranges, its gaps have to be filled first")]
    Fragmented {
        /// The bound.
        limit: usize,
    },
    /// Too many files would have to be renamed with their directory.
    #[error("{files} files would move with the directory, rename_max is {limit}")]
    RenameMax {
        /// How many.
        files: usize,
        /// The bound, `[writeback] rename_max`.
        limit: usize,
    },
    /// A flush failed or a record could not be written: what is on the disk is not known any more.
    #[error("writes are refused until a restart: an earlier write to the staging directory failed ({cause})")]
    Poisoned {
        /// What failed first.
        cause: Box<str>,
    },
    /// The disk said no.
    #[error("{action} in the staging directory: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The backing file is missing since before this start; it was reported then.
    #[error("the data of node {} is missing in the staging directory", .number.0)]
    DataMissing {
        /// Whose data.
        number: NodeNumber,
    },
    /// The event is done, gone, or not in a state for this.
    #[error("publish event {} is not in a state for this", .seq.0)]
    NoEvent {
        /// Which.
        seq: EventSeq,
    },
}

/// Why a staging directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk said no.
    #[error("{action} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another daemon has it.
    #[error("{path} is in use by another daemon", path = .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory was made for something else.
    #[error("{path} belongs to {found:?}, not to {expected:?}: choose another directory", path = .path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Written in it.
        found: String,
        /// Asked for.
        expected: String,
    },
    /// It was written by a version that this one does not know.
    #[error(
        "{path} has journal format {found}, this version reads {known}: let the version that wrote it drain it",
        path = .path.display()
    )]
    Version {
        /// The journal.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What this code reads.
        known: u32,
    },
    /// Bytes that had been flushed are damaged. Nothing was changed, so that it can be looked into.
    #[error(
        "{path} is damaged at byte {offset}, before data that was flushed ({detail}): the disk lost or changed it. \
         Copy the directory away for a rescue of the files in it, then remove it to start with an empty one",
        path = .path.display()
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// First byte that cannot be read.
        offset: u64,
        /// What is wrong there.
        detail: String,
    },
}
