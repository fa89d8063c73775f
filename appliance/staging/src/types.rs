//! The nouns of the staged tree as its users see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Extended attributes of one node; bounded by [`XATTR_BYTES_MAX`].
pub type Xattrs = BTreeMap<Box<str>, Box<[u8]>>;

/// Longest name of an entry, as Linux has it.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest target of a symlink, as Linux has it.
pub const TARGET_BYTES_MAX: usize = 4095;
/// Greatest sum of names and values of the extended attributes of one node. S3 takes 2 KiB of object metadata; what is
/// beyond stays on this host, and the sum has to fit a record of the journal in any case.
pub const XATTR_BYTES_MAX: usize = 64 * 1024;

/// Number of a node, for as long as the staged tree or the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeNumber(pub u64);

impl NodeNumber {
    /// The root of the mount: always there, always a shadow.
    pub const ROOT: Self = Self(1);
    /// Set in the numbers of nodes that were born here; adopted ones keep the number of the namespace, which has it clear.
    pub const BORN_HERE: u64 = 1 << 63;

    /// Was the node made here, rather than found in a store?
    pub fn is_born_here(self) -> bool {
        self.0 & Self::BORN_HERE != 0
    }
}

/// Place of a publish event in the order of all changes of a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventSeq(pub u64);

/// A moment of wall time, for attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// Seconds since 1970, may be negative.
    pub secs: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

/// What `stat` shows beside kind and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission bits with suid, sgid and sticky: 0o7777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access. Kept as it was set; reads do not change it.
    pub atime: Moment,
    /// Last change of the content.
    pub mtime: Moment,
    /// Last change of the node.
    pub ctime: Moment,
}

/// What to change of a node's attributes; `None` stays. `ctime` becomes the time of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributeChange {
    /// Permission bits.
    pub mode: Option<u16>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last access.
    pub atime: Option<Moment>,
    /// Last change of the content.
    pub mtime: Option<Moment>,
}

/// How far a file has got on its way to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Taken; a power cut may lose it.
    Accepted,
    /// On this host's disk for sure.
    Local,
    /// On its way to the store.
    Uploading,
    /// The store confirmed it.
    Remote,
}

/// A version of an object that a store has or had. A directory is named by a key that ends in `/`, or is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Which store of the mount.
    pub store: u16,
    /// Key of the object in it.
    pub key: Box<str>,
    /// ETag or other version; `None` when it is not known, as after a crash in the middle of an upload.
    pub version: Option<Box<str>>,
    /// Size of the object.
    pub size_bytes: u64,
}

impl Base {
    /// Does it stand for a directory?
    pub fn is_directory(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// The directory that is above it by `rest`, a path that begins with a slash.
    pub(crate) fn directory_above(&self, rest: &str) -> Option<Base> {
        let directory = self.key.trim_end_matches('/').strip_suffix(rest)?;
        Some(Base { store: self.store, key: format!("{directory}/").into(), version: None, size_bytes: 0 })
    }

    /// Is it the same key of the same store, in whatever version?
    pub fn is_same_key(&self, other: &Base) -> bool {
        self.store == other.store && self.key == other.key
    }
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Length as `stat` shows it.
        size_bytes: u64,
    },
    /// A directory.
    Directory {
        /// Nothing of the store shows through: names that the tree does not have are absent.
        opaque: bool,
    },
    /// A symbolic link.
    Symlink {
        /// What `readlink` gives.
        target: Box<str>,
    },
}

/// A node as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its number.
    pub number: NodeNumber,
    /// File, directory or symlink.
    pub kind: Kind,
    /// Mode, owner, times.
    pub attributes: Attributes,
    /// How far it has got on its way to the store.
    pub durability: Durability,
    /// Version of the object in the store when the durability is [`Durability::Remote`] and it has one.
    pub version: Option<Box<str>>,
    /// Bytes on this host's disk.
    pub local_bytes: u64,
}

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewKind {
    /// An empty file.
    File,
    /// A directory that hides whatever the store has at its name.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Not empty, at most [`TARGET_BYTES_MAX`] bytes.
        target: Box<str>,
    },
}

/// A node to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// File, directory or symlink.
    pub kind: NewKind,
    /// Mode, owner, times.
    pub attributes: Attributes,
}

/// What the staged tree says about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// This node has it.
    Node(NodeView),
    /// It was removed or renamed here: absent, whatever the store says.
    Whiteout,
    /// Absent: its directory is opaque and does not have it.
    Absent,
    /// The namespace's business.
    Unknown,
}

/// A name in a directory of the staged tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameView {
    /// The name.
    pub name: Box<str>,
    /// The node, or `None` for a whiteout.
    pub node: Option<(NodeNumber, NodeType)>,
}

/// The kind of a node without its particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// How a rename treats its target, as `renameat2` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenameMode {
    /// The target is replaced.
    #[default]
    Replace,
    /// Fails when there is a target (`RENAME_NOREPLACE`).
    NoReplace,
    /// The two change places (`RENAME_EXCHANGE`).
    Exchange,
}

/// How `set_xattr` treats what is there, as `setxattr` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrMode {
    /// Creates or replaces.
    Set,
    /// Fails when it is there (`XATTR_CREATE`).
    Create,
    /// Fails when it is not there (`XATTR_REPLACE`).
    Replace,
}
