//! [`ReplyDirectory`]: packs directory entries into one answer.

use std::ffi::OsStr;
use std::sync::Arc;

use super::pending::Pending;
use super::{Answer, Responder};
use crate::types::{DirOffset, Entry, Errno, FileKind, ReadDirArgs, Unique};

mod listing;

pub use listing::{Listing, Record};

/// One entry to add.
#[derive(Debug, Clone, Copy)]
pub struct DirRecord<'a> {
    /// Inode number that `readdir(3)` shows.
    pub ino: u64,
    /// Position after this entry: where a later `readdir` goes on. Never 0.
    pub next: DirOffset,
    /// Kind of the node.
    pub kind: FileKind,
    /// The name: not empty, at most 1024 bytes, without `/` and NUL.
    pub name: &'a OsStr,
    /// Attributes and node, used when the caller asked for them (`plus`); `None` for `.` and `..` and whenever the
    /// kernel shall look the name up itself.
    pub entry: Option<&'a Entry>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Added {
    /// It is in the answer, and the kernel gets no reference.
    Name,
    /// It is in the answer with its attributes: it takes one reference on its node, as `lookup` does.
    Reference,
    /// There is no room: answer now. The same entry comes first when the kernel asks again.
    Full,
}

/// Answers `readdir`.
#[derive(Debug)]
#[must_use = "a reply that is dropped answers EIO"]
pub struct ReplyDirectory {
    pending: Pending,
    pub(super) listing: Listing,
}

impl ReplyDirectory {
    /// A handle for one request. For transports and tests.
    pub fn new(request: Unique, responder: Arc<dyn Responder>, args: &ReadDirArgs) -> ReplyDirectory {
        ReplyDirectory {
            pending: Pending::new(request, responder),
            listing: Listing::new(args.size_bytes as usize, args.plus),
        }
    }

    /// The request that this answers.
    pub fn unique(&self) -> Unique {
        self.pending.unique()
    }

    /// Adds an entry if there is room for it.
    pub fn add(&mut self, record: &DirRecord<'_>) -> Added {
        self.listing.add(record)
    }

    /// Answers with what was added; nothing means the end of the directory.
    pub fn ok(self) {
        self.pending.answer(&Answer::Listing(&self.listing));
    }

    /// Answers with an error. Entries that were added are not sent: references that they took must be given back.
    pub fn error(self, errno: Errno) {
        self.pending.answer(&Answer::Error(errno));
    }
}
