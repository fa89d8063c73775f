//! Modes, owners, times and extended attributes.

use std::collections::BTreeMap;

use staging::{AttributeChange, Durability, Kind, NodeView, XattrMode};

use super::{Overlay, OverlayError, Shown};
use crate::namespace::{Ino, Node};

/// How far a file has got: `accepted`, `local`, `uploading` or `remote`.
pub(super) const DURABILITY_XATTR: &str = "user.forebay.durability";
/// The store's version of a file that is `remote`.
pub(super) const ETAG_XATTR: &str = "user.forebay.etag";
/// What the names of the kept attributes begin with.
const USER_PREFIX: &str = "user.";

impl Overlay {
    /// Changes attributes, after adoption if need be, and gives the node as it is then. The size is changed through the
    /// open file.
    ///
    /// A change of owner clears the set-user-id bit, and the set-group-id bit where the group may execute (chown(2)): the
    /// kernel leaves that to us (`FUSE_HANDLE_KILLPRIV_V2`).
    pub async fn set_attributes(
        &self,
        number: u64,
        mut change: AttributeChange,
        owner_changes: bool,
    ) -> Result<NodeView, OverlayError> {
        let number = self.adopt(number).await?;
        let staging = &self.parts.staging;
        let view = staging.node(number).ok_or(OverlayError::Stale)?;
        if owner_changes && !matches!(view.kind, Kind::Directory { .. }) && change.mode.is_none() {
            change.mode = without_set_id_bits(view.attributes.mode);
        }
        staging.set_attributes(number, change)?;
        staging.node(number).ok_or(OverlayError::Stale)
    }

    /// The value of an extended attribute; `None` when there is none of the name.
    pub fn xattr(&self, number: u64, name: &str) -> Result<Option<Box<[u8]>>, OverlayError> {
        let shown = self.node(number).ok_or(OverlayError::Stale)?;
        match name {
            DURABILITY_XATTR => Ok(Some(durability(&shown).as_bytes().into())),
            ETAG_XATTR => Ok(self.version(&shown).map(|version| version.as_bytes().into())),
            _ => Ok(self.xattrs(&shown)?.remove(name)),
        }
    }

    /// Names of the extended attributes that are kept. Those that are made up are not told, so that copies leave them out.
    pub fn xattr_names(&self, number: u64) -> Result<Vec<Box<str>>, OverlayError> {
        let shown = self.node(number).ok_or(OverlayError::Stale)?;
        Ok(self.xattrs(&shown)?.into_keys().collect())
    }

    fn xattrs(&self, shown: &Shown) -> Result<BTreeMap<Box<str>, Box<[u8]>>, OverlayError> {
        match shown {
            Shown::Clean(_) => Ok(BTreeMap::new()),
            Shown::Staged(view) => Ok(self.parts.staging.xattrs(view.number)?),
        }
    }

    /// Sets an extended attribute, after adoption if need be.
    pub async fn set_xattr(
        &self,
        number: u64,
        name: &str,
        value: &[u8],
        mode: XattrMode,
    ) -> Result<(), OverlayError> {
        check_settable(name)?;
        let number = self.adopt(number).await?;
        Ok(self.parts.staging.set_xattr(number, name, value, mode)?)
    }

    /// Removes an extended attribute, after adoption if need be.
    pub async fn remove_xattr(&self, number: u64, name: &str) -> Result<(), OverlayError> {
        check_settable(name)?;
        let number = self.adopt(number).await?;
        Ok(self.parts.staging.remove_xattr(number, name)?)
    }

    fn version(&self, shown: &Shown) -> Option<Box<str>> {
        match shown {
            Shown::Staged(view) => view.version.clone(),
            Shown::Clean(Node::Directory(_)) => None,
            Shown::Clean(Node::File(file)) => {
                let object = self.parts.namespace.object(Ino::new(file.ino.get())?)?;
                Some(object.version.as_str().into())
            }
        }
    }
}

fn durability(shown: &Shown) -> &'static str {
    match shown {
        Shown::Clean(_) => "remote",
        Shown::Staged(view) => match view.durability {
            Durability::Accepted => "accepted",
            Durability::Local => "local",
            Durability::Uploading => "uploading",
            Durability::Remote => "remote",
        },
    }
}

fn check_settable(name: &str) -> Result<(), OverlayError> {
    match name {
        DURABILITY_XATTR | ETAG_XATTR => Err(OverlayError::VirtualXattr { name: name.to_owned() }),
        _ if name.starts_with(USER_PREFIX) => Ok(()),
        _ => Err(OverlayError::XattrKind),
    }
}

/// The mode without the bits that a write, truncation or change of owner clears; `None` when none of them is set.
pub(crate) fn without_set_id_bits(mode: u16) -> Option<u16> {
    let (suid, sgid, group_executes) = (libc::S_ISUID as u16, libc::S_ISGID as u16, libc::S_IXGRP as u16);
    let cleared = if mode & group_executes != 0 { suid | sgid } else { suid };
    (mode & cleared != 0).then_some(mode & !cleared)
}
