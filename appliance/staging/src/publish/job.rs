//! What a worker sends.

use crate::content::{FileNode, UploadMark};
use crate::error::StageError;
use crate::extents::Extents;
use crate::record::{Change, EventAction, NodeKind, UploadRecord};
use crate::staging::Staging;
use crate::tree::{Body, EventState, Tree};
use crate::types::{Attributes, Base, EventSeq, NodeNumber, Xattrs};

/// A put to do.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its event.
    pub seq: EventSeq,
    /// The path to show it at.
    pub path: Box<str>,
    /// Whose content; open it to read the data.
    pub node: NodeNumber,
    /// What to send.
    pub kind: UploadKind,
    /// Goes along as object metadata.
    pub attributes: Attributes,
    /// Goes along as object metadata.
    pub xattrs: Xattrs,
    /// Goes along as object metadata: an object that has it is this very content from this host.
    pub token: String,
    /// A request to this object was sent and its answer was not recorded: if the object there carries a token of this
    /// host for this node, it went through, and the base may be gone by it. Ask the store before reading the base.
    pub sent_to: Option<Base>,
    /// An upload of the same bytes to the same path that was not finished.
    pub resumed: Option<Resumed>,
}

/// The content of a put.
#[derive(Clone, Debug)]
pub enum UploadKind {
    /// A file; it is synced.
    File {
        /// Bytes to send.
        size_bytes: u64,
        /// Bytes that differ from the base; all others can be copied from it inside the store.
        changed: Extents,
        /// Bytes that are on this host.
        local: Extents,
        /// What the store has of it, maybe under another key.
        base: Option<Base>,
        /// Bytes of the base that count.
        base_bytes: u64,
    },
    /// A small file as it was at this place in the order; it has been written again since.
    Frozen {
        /// All of it.
        bytes: Box<[u8]>,
    },
    /// A directory marker.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Its target.
        target: Box<str>,
    },
}

/// A multipart upload to go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The store's name of it.
    pub upload_id: Box<str>,
    /// Size of its parts.
    pub part_bytes: u64,
}

impl Staging {
    /// Says what to send for a taken put. Syncs the file first, so it blocks. What is written from now on is noted, and
    /// decides in [`Staging::begin_publish`] and [`Staging::published`].
    pub fn begin_upload(&self, seq: EventSeq) -> Result<Upload, StageError> {
        let shared = &self.shared;
        let number = put_of(&shared.tree.lock(), seq)?;
        let is_frozen = frozen(&shared.tree.lock(), seq).is_some();
        let file = shared.tree.lock().file(number).ok().cloned();
        if let Some(file) = file.as_ref().filter(|_| !is_frozen) {
            // A worker needs no more than one try: what is written meanwhile is noted below, and is not torn by it.
            let record = shared.sync_file(number, file)?;
            shared.flush(record)?;
        }
        let mut tree = shared.tree.lock();
        put_of(&tree, seq)?;
        let node = tree.nodes.get(&number).ok_or(StageError::NoEvent { seq })?;
        let meta_generation = node.meta_generation;
        let (attributes, xattrs) = (node.meta.attributes, node.meta.xattrs.clone());
        let kind = match (&node.body, &node.meta.kind) {
            (Body::File(_), _) if let Some(bytes) = frozen(&tree, seq) => {
                UploadKind::Frozen { bytes: bytes.into() }
            }
            (Body::File(file), _) => mark(file, seq),
            (_, NodeKind::Symlink { target }) => UploadKind::Symlink { target: target.clone() },
            _ => UploadKind::Directory,
        };
        let resumed = resumable(&tree, number, seq);
        let generation = tree.file(number).map_or(meta_generation, |file| file.content.lock().generation);
        let token = format!("{}-{:x}-{generation:x}-{meta_generation:x}", hex(&shared.uuid), number.0);
        let event = tree.events.get_mut(&seq).ok_or(StageError::NoEvent { seq })?;
        event.taken_meta_generation = meta_generation;
        let (path, sent_to) = (event.record.path.clone(), event.record.sent_to.clone());
        Ok(Upload { seq, path, node: number, kind, attributes, xattrs, token, sent_to, resumed })
    }
}

/// The content that the event has of its own.
fn frozen(tree: &Tree, seq: EventSeq) -> Option<&[u8]> {
    tree.events.get(&seq)?.record.frozen.as_deref()
}

/// The node of a taken put.
fn put_of(tree: &Tree, seq: EventSeq) -> Result<NodeNumber, StageError> {
    let event = tree.events.get(&seq).filter(|event| event.state == EventState::Taken);
    match event.map(|event| &event.record.action) {
        Some(EventAction::Put { node }) => Ok(*node),
        _ => Err(StageError::NoEvent { seq }),
    }
}

/// From now on it is noted what is written to the file.
fn mark(file: &FileNode, seq: EventSeq) -> UploadKind {
    let mut content = file.content.lock();
    let data = &content.now;
    let size_bytes = data.size_bytes;
    let kind = UploadKind::File {
        size_bytes,
        changed: data.changed.clone(),
        local: data.local.clone(),
        base: data.base.clone(),
        base_bytes: data.base_bytes,
    };
    content.event_generation = content.generation;
    content.is_in_written = false;
    let generation = content.generation;
    content.upload = Some(UploadMark {
        seq,
        generation,
        size_bytes,
        changed: Extents::default(),
        is_torn: false,
        is_ending: false,
    });
    kind
}

fn resumable(tree: &Tree, number: NodeNumber, seq: EventSeq) -> Option<Resumed> {
    let content = tree.file(number).ok()?.content.lock();
    let path = &tree.events.get(&seq)?.record.path;
    let record = content.resumable.as_ref()?;
    let is_same = record.path == *path && record.generation == content.generation;
    is_same.then(|| Resumed { upload_id: record.upload_id.clone(), part_bytes: record.part_bytes })
}

pub(super) fn upload_record(
    tree: &Tree,
    seq: EventSeq,
    upload_id: &str,
    part_bytes: u64,
) -> Result<Change, StageError> {
    let number = put_of(tree, seq)?;
    let content = tree.file(number).map_err(StageError::Invalid)?.content.lock();
    let generation =
        content.upload.as_ref().filter(|upload| upload.seq == seq).map(|upload| upload.generation);
    let generation = generation.ok_or(StageError::NoEvent { seq })?;
    let path = tree.events.get(&seq).ok_or(StageError::NoEvent { seq })?.record.path.clone();
    let upload = UploadRecord { upload_id: upload_id.into(), part_bytes, generation, path };
    Ok(Change::Upload { number, upload: Some(upload) })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
