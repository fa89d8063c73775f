//! Attributes, extended attributes, symbolic links and space.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use fuse_fast::reply::{Reply, ReplyData, ReplyXattr};
use fuse_fast::types::{SetAttributes, SetTime};
use fuse_fast::{Attributes, Entry, Errno, NodeId, StatFs, Timestamp};
use staging::{AttributeChange, Kind, Moment, NodeNumber, XattrMode};

use super::ReadWriteTree;
use crate::errno::of_overlay;
use crate::filesystem::answering::answer;
use crate::filesystem::attributes::IO_BYTES;
use crate::overlay::{OverlayError, Shown, moment};

/// Unit of the figures of `statfs`.
const SPACE_UNIT_BYTES: u32 = 4096;

impl ReadWriteTree {
    pub(super) fn entry(&self, shown: &Shown, valid_for: Duration) -> Entry {
        Entry::new(NodeId(shown.number()), self.shown_attributes(shown), valid_for)
    }

    pub(super) fn attributes(&self, node: NodeId) -> Result<Attributes, Errno> {
        let shown = self.overlay().node(node.0).ok_or(Errno::ESTALE)?;
        Ok(self.shown_attributes(&shown))
    }

    fn shown_attributes(&self, shown: &Shown) -> Attributes {
        let presentation = &self.shared.tree.presentation;
        match shown {
            Shown::Clean(node) => presentation.attributes(node),
            Shown::Staged(view) => presentation.staged(view, self.overlay().is_linked(view.number)),
        }
    }

    pub(super) fn set_attributes(&self, node: NodeId, change: &SetAttributes, reply: Reply<Attributes>) {
        let (fs, change) = (self.clone(), *change);
        answer(&self.shared.tree.runtime, reply, async move {
            fs.change_attributes(node, &change).await.map_err(|error| of_overlay(&error))
        });
    }

    /// The size first: a truncation sets the time that a time given with it overrides.
    async fn change_attributes(
        &self,
        node: NodeId,
        change: &SetAttributes,
    ) -> Result<Attributes, OverlayError> {
        if let Some(size_bytes) = change.size_bytes {
            self.truncate(node, change.handle, size_bytes).await?;
        }
        if change.kill_suid_sgid {
            self.clear_set_id_bits(node.0)?;
        }
        let owner_changes = change.uid.is_some() || change.gid.is_some();
        let rest = AttributeChange {
            mode: change.mode.map(|mode| (mode & 0o7777) as u16),
            uid: change.uid,
            gid: change.gid,
            atime: change.atime.map(time),
            mtime: change.mtime.map(time),
        };
        if rest == AttributeChange::default() && change.size_bytes.is_some() {
            let shown = self.overlay().node(node.0).ok_or(OverlayError::Stale)?;
            return Ok(self.shown_attributes(&shown));
        }
        let view = self.overlay().set_attributes(node.0, rest, owner_changes).await?;
        Ok(self.shown_attributes(&Shown::Staged(view)))
    }

    pub(super) fn read_link(&self, node: NodeId, reply: ReplyData) {
        match self.overlay().staging().node(NodeNumber(node.0)).map(|view| view.kind) {
            Some(Kind::Symlink { target }) => reply.bytes(target.as_bytes()),
            Some(Kind::File { .. } | Kind::Directory { .. }) | None => reply.error(Errno::EINVAL),
        }
    }

    pub(super) fn get_xattr(&self, node: NodeId, name: &OsStr, reply: ReplyXattr) {
        let Some(name) = name.to_str() else { return reply.error(Errno::ENODATA) };
        match self.overlay().xattr(node.0, name) {
            Ok(Some(value)) => reply.value(&value),
            Ok(None) => reply.error(Errno::ENODATA),
            Err(error) => reply.error(of_overlay(&error)),
        }
    }

    pub(super) fn list_xattrs(&self, node: NodeId, reply: ReplyXattr) {
        match self.overlay().xattr_names(node.0) {
            Ok(names) => {
                let list: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
                reply.value(&list);
            }
            Err(error) => reply.error(of_overlay(&error)),
        }
    }

    pub(super) fn set_xattr(&self, node: NodeId, name: &OsStr, value: &[u8], flags: u32, reply: Reply<()>) {
        let Some(name) = name.to_str().map(str::to_owned) else {
            return reply.error(of_overlay(&OverlayError::NotText));
        };
        let mode = match i32::try_from(flags) {
            Ok(libc::XATTR_CREATE) => XattrMode::Create,
            Ok(libc::XATTR_REPLACE) => XattrMode::Replace,
            Ok(_) | Err(_) => XattrMode::Set,
        };
        let (fs, value) = (self.clone(), value.to_vec());
        answer(&self.shared.tree.runtime, reply, async move {
            let set = fs.overlay().set_xattr(node.0, &name, &value, mode).await;
            set.map_err(|error| of_overlay(&error))
        });
    }

    pub(super) fn remove_xattr(&self, node: NodeId, name: &OsStr, reply: Reply<()>) {
        let Some(name) = name.to_str().map(str::to_owned) else { return reply.error(Errno::ENODATA) };
        let fs = self.clone();
        answer(&self.shared.tree.runtime, reply, async move {
            fs.overlay().remove_xattr(node.0, &name).await.map_err(|error| of_overlay(&error))
        });
    }

    /// What may still be written before it has to reach the store.
    pub(super) fn space(&self) -> StatFs {
        let room = self.overlay().room();
        let blocks = |bytes: u64| bytes / u64::from(SPACE_UNIT_BYTES);
        StatFs {
            blocks: blocks(room.total_bytes),
            blocks_free: blocks(room.free_bytes),
            blocks_available: blocks(room.free_bytes),
            files: room.files_total,
            files_free: room.files_free,
            block_bytes: IO_BYTES,
            name_bytes_max: 255,
            fragment_bytes: SPACE_UNIT_BYTES,
        }
    }
}

fn time(set: SetTime) -> Moment {
    match set {
        SetTime::Now => moment(SystemTime::now()),
        SetTime::At(Timestamp { seconds, nanos }) => Moment { secs: seconds, nanos },
    }
}
