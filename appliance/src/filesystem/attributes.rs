//! How nodes look to `stat`.

use std::time::Duration;

use fuse_fast::{Attributes, Entry, FileKind, NodeId, StatFs, Timestamp};

use staging::{Durability, Kind, Moment, NodeView};

use crate::namespace::Node;

/// `st_blksize`: what programs that ask use as their buffer. One kernel request carries this much.
pub(super) const IO_BYTES: u32 = 1 << 20;

/// Owner and permissions that a mount shows for everything in it: stores have none of their own.
#[derive(Clone, Copy, Debug)]
pub struct Presentation {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits of files.
    pub file_mode: u16,
    /// Permission bits of directories.
    pub dir_mode: u16,
}

impl Presentation {
    /// A name that leads to a node, good for `valid_for`.
    pub(super) fn entry(&self, node: &Node, valid_for: Duration) -> Entry {
        Entry::new(NodeId(node.ino().get()), self.attributes(node), valid_for)
    }

    /// Attributes of a node. The kernel may keep them for ever: an inode is one version of an object.
    pub(super) fn attributes(&self, node: &Node) -> Attributes {
        let (size_bytes, modified, permissions, links) = match node {
            Node::File(file) => (file.size_bytes, file.modified, self.file_mode, 1),
            Node::Directory(directory) => (0, directory.modified, self.dir_mode, 2),
        };
        let time = Timestamp::from(modified);
        Attributes {
            ino: node.ino().get(),
            size_bytes,
            blocks_512: size_bytes.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            kind: kind(node),
            permissions,
            links,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            block_size_bytes: IO_BYTES,
            valid: Duration::MAX,
        }
    }

    /// Attributes of a staged node, which may have lost its name. The kernel may keep them for ever: whatever changes them
    /// comes through it.
    pub(super) fn staged(&self, view: &NodeView, is_linked: bool) -> Attributes {
        let (kind, size_bytes, links) = match &view.kind {
            Kind::File { size_bytes } => (FileKind::Regular, *size_bytes, 1),
            Kind::Directory { .. } => (FileKind::Directory, 0, 2),
            Kind::Symlink { target } => (FileKind::Symlink, target.len() as u64, 1),
        };
        let attributes = &view.attributes;
        Attributes {
            ino: view.number.0,
            size_bytes,
            blocks_512: space_bytes(view, size_bytes).div_ceil(512),
            atime: timestamp(attributes.atime),
            mtime: timestamp(attributes.mtime),
            ctime: timestamp(attributes.ctime),
            kind,
            permissions: attributes.mode,
            links: if is_linked { links } else { 0 },
            uid: attributes.uid,
            gid: attributes.gid,
            rdev: 0,
            block_size_bytes: IO_BYTES,
            valid: Duration::MAX,
        }
    }
}

/// The space that a file shows. What the store has counts as there: programs take a file that has a size and no blocks for
/// one large hole.
fn space_bytes(view: &NodeView, size_bytes: u64) -> u64 {
    let is_all_here = view.number.is_born_here() && view.durability != Durability::Remote;
    if is_all_here { view.local_bytes } else { size_bytes }
}

fn timestamp(moment: Moment) -> Timestamp {
    Timestamp { seconds: moment.secs, nanos: moment.nanos }
}

/// What a node is.
pub(super) fn kind(node: &Node) -> FileKind {
    match node {
        Node::File(_) => FileKind::Regular,
        Node::Directory(_) => FileKind::Directory,
    }
}

/// A store has no size of its own: the figures of an empty file system of 1 PiB, as network file systems without
/// quotas show it, so that programs which look for free space before they read are content.
pub(super) fn statfs() -> StatFs {
    const PIB: u64 = 1 << 50;
    let blocks = PIB / u64::from(IO_BYTES);
    StatFs {
        blocks,
        blocks_free: 0,
        blocks_available: 0,
        files: 0,
        files_free: 0,
        block_bytes: IO_BYTES,
        name_bytes_max: 255,
        fragment_bytes: IO_BYTES,
    }
}
