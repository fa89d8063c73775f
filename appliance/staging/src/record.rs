//! What the journal says: one *record* is the list of *changes* that one call makes, all or none of them.
//!
//! A change states what something is from now on, not what was done to it; so replaying needs no rules of file
//! systems, a snapshot is written in the same words, and doing a change twice does no harm. The exceptions are
//! [`Change::Wrote`] and [`Change::Truncated`], which happen too often to repeat all extents of a file.
//!
//! Encoding: postcard 1 of `Vec<Change>`; docs/FORMAT-JOURNAL.md has the bytes. The order of variants and fields is
//! the format: new variants go to the end, anything else is a new version.

use serde::{Deserialize, Serialize};

use crate::extents::Extents;
use crate::types::{Attributes, Base, EventSeq, Moment, NodeNumber, Xattrs};

/// What a node is, without its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NodeKind {
    File,
    Directory { opaque: bool },
    Symlink { target: Box<str> },
}

/// A node without its data and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeMeta {
    pub(crate) kind: NodeKind,
    pub(crate) attributes: Attributes,
    pub(crate) xattrs: Xattrs,
    /// Does the store have what is here, its attributes included?
    pub(crate) is_remote: bool,
    /// Its place in the order when it was last published; decides among the files of a directory that is renamed.
    pub(crate) placed: EventSeq,
}

/// The content of a file as a set of facts that a flush makes true at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileData {
    pub(crate) size_bytes: u64,
    /// The object that gaps come from.
    pub(crate) base: Option<Base>,
    /// Bytes of the base behind this were truncated away.
    pub(crate) base_bytes: u64,
    /// Bytes that the backing file has.
    pub(crate) local: Extents,
    /// Bytes that differ from the base; a subset of `local`.
    pub(crate) changed: Extents,
}

/// A name in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// `None` is a whiteout.
    pub(crate) node: Option<NodeNumber>,
    /// What the store has at this name, as far as is known.
    pub(crate) below: Option<Base>,
}

/// What has to happen in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EventAction {
    /// The path shows this node.
    Put { node: NodeNumber },
    /// The path shows nothing. `moved` is the node that was renamed away from it, which has to be put elsewhere first.
    Remove { below: Base, moved: Option<NodeNumber> },
}

/// A publish event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventRecord {
    /// In the mount, without a leading slash.
    pub(crate) path: Box<str>,
    /// Paths that it had before, which keep it in the order of their trees too.
    pub(crate) formerly: Vec<Box<str>>,
    pub(crate) action: EventAction,
    /// The whole content to put, when the node has got another one since and something in between may rely on this one.
    pub(crate) frozen: Option<Box<[u8]>>,
    /// A request that shows it in the store under this key may have been sent; its version is not known.
    pub(crate) sent_to: Option<Base>,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    Node {
        number: NodeNumber,
        meta: NodeMeta,
    },
    NodeGone {
        number: NodeNumber,
    },
    Entry {
        parent: NodeNumber,
        name: Box<str>,
        entry: Entry,
    },
    EntryGone {
        parent: NodeNumber,
        name: Box<str>,
    },
    /// What the file is, on the disk too.
    Data {
        number: NodeNumber,
        data: FileData,
    },
    /// What a power cut leaves of the file; written after its data were flushed. It may be further by now.
    Synced {
        number: NodeNumber,
        data: FileData,
    },
    /// The store has this version; `changed` is what was written since its upload began, which made the file so long.
    Published {
        number: NodeNumber,
        base: Base,
        changed: Extents,
        is_dirty: bool,
        size_bytes: u64,
    },
    /// Bytes were written and not flushed. Only for files with a base: others are what their backing file is.
    Wrote {
        number: NodeNumber,
        start: u64,
        end: u64,
    },
    Truncated {
        number: NodeNumber,
        size_bytes: u64,
    },
    Touched {
        number: NodeNumber,
        mtime: Moment,
    },
    Event {
        seq: EventSeq,
        event: EventRecord,
    },
    EventGone {
        seq: EventSeq,
    },
    /// Numbers up to these were given out. In snapshots, so that none is ever given out twice.
    Counters {
        node: u64,
        event: u64,
    },
    /// An upload that can be resumed.
    Upload {
        number: NodeNumber,
        upload: Option<UploadRecord>,
    },
}

/// An unfinished multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub(crate) upload_id: Box<str>,
    pub(crate) part_bytes: u64,
    /// The file's generation that its parts are of.
    pub(crate) generation: u64,
    pub(crate) path: Box<str>,
}
