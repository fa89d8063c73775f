//! The value types of the [`Ufs`](crate::Ufs) interface.

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Key, Result};

/// A stream of an object's bytes, in order. Chunk sizes are the transport's own.
pub type Body = BoxStream<'static, Result<Bytes>>;

/// What names one immutable state of an object's bytes: the ETag without quotes on S3,
/// inode + size + mtime (+ ctime) on `file://`. Opaque; compared byte for byte; at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(Box<str>);

impl Version {
    /// Wraps the store's own version text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The version's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the store says about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Length of the object.
    pub size_bytes: u64,
    /// Last change as the store tells it.
    pub modified: SystemTime,
    /// The version of the bytes.
    pub version: Version,
}

/// A half-open range of byte offsets into an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One behind the last byte.
    pub end: u64,
}

impl ByteRange {
    /// The range `start..end`.
    pub fn new(range: Range<u64>) -> Self {
        Self { start: range.start, end: range.end }
    }

    /// Number of bytes; 0 for an empty or reversed range.
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the range covers no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An object with its metadata.
    Object {
        /// Full key, relative to the store's root.
        key: Key,
        /// As `stat` would give it.
        meta: Meta,
    },
    /// A directory or common prefix; its key ends in `/`.
    Directory {
        /// Full key, relative to the store's root, with a trailing `/`.
        key: Key,
    },
}

impl Entry {
    /// The full key.
    pub fn key(&self) -> &Key {
        match self {
            Self::Object { key, .. } | Self::Directory { key } => key,
        }
    }
}

/// How deep a listing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListDepth {
    /// Only the direct children of the directory.
    Children,
    /// Everything below the directory.
    Recursive,
}

/// Which page of which listing is wanted.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// The directory: the empty key for the root, else a key that ends in `/`.
    pub directory: Key,
    /// How deep to go.
    pub depth: ListDepth,
    /// Only keys behind this one in byte order; lets several listers share one directory. `None` from the start.
    pub start_after: Option<Key>,
    /// The `next` of the page before; `None` for the first page.
    pub continuation: Option<String>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// Entries in ascending byte order of the key.
    pub entries: Vec<Entry>,
    /// Token of the next page; `None` when this was the last.
    pub next: Option<String>,
}

/// One version of an object, to copy from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// The object.
    pub key: Key,
    /// The version that is meant.
    pub version: Version,
}

/// What must hold in the store for a write to take effect; otherwise [`crate::Error::PreconditionFailed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutCondition {
    /// Replace whatever is there.
    Always,
    /// Only where no object has this key (`If-None-Match: *`).
    IfAbsent,
    /// Only over this version (`If-Match`).
    IfVersion(Version),
}

/// A store's name of an unfinished multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadId(pub String);

/// A part's place in its upload, from 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(pub u16);

/// A part that the store has confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedPart {
    /// Its place.
    pub number: PartNumber,
    /// What the store calls its bytes (the part's ETag).
    pub etag: String,
    /// Its length.
    pub size_bytes: u64,
}

/// What a store can do beyond the basics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// `rename` works and is atomic.
    pub atomic_rename: bool,
    /// `PutCondition::IfAbsent` is enforced by the store itself.
    pub put_if_absent: bool,
    /// `PutCondition::IfVersion` is enforced by the store itself.
    pub put_if_version: bool,
    /// Directories exist on their own, also when empty.
    pub real_directories: bool,
    /// The shortest part but the last of a multipart upload.
    pub part_size_bytes_min: u64,
}
