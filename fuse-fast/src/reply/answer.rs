//! [`Answer`]: what a transport has to deliver, without its encoding.

use std::io::IoSlice;

use super::Listing;
use crate::types::{
    Attributes, Created, Entry, Errno, FileLock, FileOffset, Opened, OpenedDir, StatFs, StatxAttributes,
    Written,
};

/// An answer to a request.
#[derive(Debug)]
pub enum Answer<'a> {
    /// The request failed.
    Error(Errno),
    /// Done; there is nothing more to say.
    Done,
    /// A name.
    Entry(&'a Entry),
    /// Attributes of a node.
    Attributes(&'a Attributes),
    /// Attributes with the time of birth.
    Statx(&'a StatxAttributes),
    /// An open file.
    Opened(&'a Opened),
    /// An open directory.
    OpenedDir(&'a OpenedDir),
    /// A new name and its open file.
    Created(&'a Created),
    /// Sizes and limits.
    StatFs(&'a StatFs),
    /// Bytes, in order.
    Data(&'a [IoSlice<'a>]),
    /// Part of a directory.
    Listing(&'a Listing),
    /// Length of an extended attribute or of the list of names.
    XattrSize(u32),
    /// Bytes taken.
    Written(Written),
    /// A position in a file.
    Offset(FileOffset),
    /// A lock.
    Lock(&'a FileLock),
}

mod sealed {
    pub trait Sealed {}
}

/// A value that [`Reply::ok`](super::Reply::ok) takes. The set is closed: it is the set of answers of the protocol.
pub trait Body: sealed::Sealed {
    /// The value as an answer.
    fn answer(&self) -> Answer<'_>;
}

macro_rules! bodies {
    ($($type:ty => |$value:ident| $answer:expr,)*) => {
        $(
            impl sealed::Sealed for $type {}
            impl Body for $type {
                fn answer(&self) -> Answer<'_> {
                    let $value = self;
                    $answer
                }
            }
        )*
    };
}

bodies! {
    () => |_done| Answer::Done,
    Entry => |entry| Answer::Entry(entry),
    Attributes => |attributes| Answer::Attributes(attributes),
    StatxAttributes => |attributes| Answer::Statx(attributes),
    Opened => |opened| Answer::Opened(opened),
    OpenedDir => |opened| Answer::OpenedDir(opened),
    Created => |created| Answer::Created(created),
    StatFs => |statfs| Answer::StatFs(statfs),
    Written => |written| Answer::Written(*written),
    FileOffset => |offset| Answer::Offset(*offset),
    FileLock => |lock| Answer::Lock(lock),
}
