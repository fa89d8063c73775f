//! Adoption: a clean node becomes part of the staged tree before it changes.
//!
//! It keeps its number, so the kernel notices nothing. A file brings its object along as its base, and the kernel's
//! references; a directory leaves both with the namespace, whose names go on to show through it.

use std::collections::VecDeque;
use std::time::SystemTime;

use staging::{Attributes, Base, Kind, Lookup, Moment, NodeNumber, NodeView};

use super::{ATTEMPTS_MAX, Locked, Overlay, OverlayError};
use crate::config::TreePath;
use crate::namespace::{Child, Ino, Node, ObjectRef};

/// What the namespace has under a name, found out before the names are locked.
pub(super) enum Before {
    /// The staged tree decides.
    Decided,
    /// Nothing.
    Nothing,
    /// This.
    Clean(Child),
}

/// A name in a staged directory, settled while the names are locked.
pub(super) struct Settled {
    pub(super) directory: NodeNumber,
    pub(super) node: Option<NodeView>,
}

impl Overlay {
    /// Finds out what the namespace has under a name.
    pub(super) async fn before(&self, parent: u64, name: &str) -> Result<Before, OverlayError> {
        match self.parts.staging.lookup(NodeNumber(parent), name) {
            Lookup::Node(_) | Lookup::Whiteout | Lookup::Absent => return Ok(Before::Decided),
            Lookup::Unknown => {}
        }
        let Some(ino) = self.below(parent).await? else { return Ok(Before::Nothing) };
        let child = self.parts.namespace.find(ino, name).await?;
        Ok(child.map_or(Before::Nothing, Before::Clean))
    }

    /// Adopts a directory and what is clean under a name in it. `None`: the staged tree has changed the name since
    /// [`before`](Self::before) was asked.
    pub(super) fn settle(
        &self,
        locked: &Locked<'_>,
        parent: u64,
        name: &str,
        before: &Before,
    ) -> Result<Option<Settled>, OverlayError> {
        let directory = self.adopt_directory(locked, parent)?;
        let node = match (self.parts.staging.lookup(directory, name), before) {
            (Lookup::Node(view), _) => Some(view),
            (Lookup::Whiteout | Lookup::Absent, _) | (Lookup::Unknown, Before::Nothing) => None,
            (Lookup::Unknown, Before::Decided) => return Ok(None),
            (Lookup::Unknown, Before::Clean(child)) => Some(self.adopt_child(locked, directory, child)?),
        };
        Ok(Some(Settled { directory, node }))
    }

    /// Adopts a node that the kernel references, and gives its number in the staged tree.
    pub async fn adopt(&self, number: u64) -> Result<NodeNumber, OverlayError> {
        for _attempt in 0..ATTEMPTS_MAX {
            if self.parts.staging.node(NodeNumber(number)).is_some() {
                return Ok(NodeNumber(number));
            }
            let ino = Ino::new(number).ok_or(OverlayError::Stale)?;
            let mut ancestry = self.parts.namespace.ancestry(ino).ok_or(OverlayError::Stale)?;
            let last = ancestry.pop().ok_or(OverlayError::Stale)?;
            if matches!(last.node, Node::Directory(_)) {
                return self.adopt_directory(&self.lock(), number);
            }
            let parent = ancestry.last().map_or(Ino::ROOT, |ancestor| ancestor.node.ino());
            let child = self.parts.namespace.find(parent, &last.name).await?;
            // Who writes to a version that the store no longer has would overwrite the newer one.
            let child = child.filter(|child| child.node.ino() == ino).ok_or(OverlayError::Stale)?;
            let locked = self.lock();
            if self.parts.staging.node(NodeNumber(number)).is_some() {
                return Ok(NodeNumber(number));
            }
            let directory = self.adopt_directory(&locked, parent.get())?;
            if self.parts.staging.lookup(directory, &last.name) == Lookup::Unknown {
                return Ok(self.adopt_child(&locked, directory, &child)?.number);
            }
        }
        Err(OverlayError::Contended { attempts: ATTEMPTS_MAX })
    }

    /// Adopts a directory and those above it.
    pub(super) fn adopt_directory(
        &self,
        locked: &Locked<'_>,
        number: u64,
    ) -> Result<NodeNumber, OverlayError> {
        if self.parts.staging.node(NodeNumber(number)).is_some() {
            return Ok(NodeNumber(number));
        }
        let ino = Ino::new(number).ok_or(OverlayError::Stale)?;
        let mut at = NodeNumber::ROOT;
        for ancestor in self.parts.namespace.ancestry(ino).ok_or(OverlayError::Stale)? {
            let ino = ancestor.node.ino();
            at = match self.parts.staging.lookup(at, &ancestor.name) {
                Lookup::Node(view) if self.is_below(view.number, ino) => view.number,
                Lookup::Unknown => {
                    let child = Child { name: ancestor.name, node: ancestor.node, object: None };
                    self.adopt_child(locked, at, &child)?.number
                }
                // The directory was removed or replaced; whoever is still in it can make nothing there.
                Lookup::Node(_) | Lookup::Whiteout | Lookup::Absent => return Err(OverlayError::NotFound),
            };
        }
        Ok(at)
    }

    fn adopt_child(
        &self,
        _locked: &Locked<'_>,
        directory: NodeNumber,
        child: &Child,
    ) -> Result<NodeView, OverlayError> {
        let number = NodeNumber(child.node.ino().get());
        let attributes = self.attributes_of(&child.node);
        let staging = &self.parts.staging;
        match (&child.node, &child.object) {
            (Node::Directory(_), _) => {
                let base = self.directory_base(directory, &child.name)?;
                Ok(staging.adopt_directory(directory, &child.name, number, base, attributes)?)
            }
            (Node::File(file), Some(object)) => {
                let view = staging.adopt_file(directory, &child.name, number, base(object), attributes)?;
                staging.reference(number, self.parts.namespace.hand_over(file.ino));
                Ok(view)
            }
            (Node::File(_), None) => Err(OverlayError::KeyTooLong),
        }
    }

    /// What a store has of a clean directory. One of the mount's table is never removed from a store, so that its key does
    /// not matter.
    fn directory_base(&self, parent: NodeNumber, name: &str) -> Result<Base, OverlayError> {
        let (store, key) = match self.origin(parent, name) {
            Ok(origin) => (origin.store.0, format!("{}/", origin.key.as_str())),
            Err(OverlayError::Place) => (0, String::new()),
            Err(error) => return Err(error),
        };
        Ok(Base { store, key: key.into(), version: None, size_bytes: 0 })
    }

    /// Adopts everything below a directory, so that nothing of the store has to show through it any more and it can
    /// be moved. Does nothing for an opaque directory.
    pub(super) async fn adopt_below(&self, directory: NodeNumber) -> Result<(), OverlayError> {
        let limit = self.parts.rename_max;
        let (mut waiting, mut count) = (VecDeque::from([directory]), 0);
        while let Some(number) = waiting.pop_front() {
            if self.below(number.0).await?.is_some() {
                let path = self.path(number).ok_or(OverlayError::NotFound)?;
                let children = self.children(&path, limit - count).await?;
                count += children.len();
                self.adopt_children(number, &children)?;
            }
            for entry in self.parts.staging.entries(number).unwrap_or_default() {
                if let Some((child, staging::NodeType::Directory)) = entry.node {
                    waiting.push_back(child);
                }
            }
        }
        Ok(())
    }

    async fn children(&self, path: &TreePath, limit: usize) -> Result<Vec<Child>, OverlayError> {
        let mut children = Vec::new();
        let each = &mut |child| {
            children.push(child);
            children.len() <= limit
        };
        self.parts.namespace.scan(path, each).await?;
        match children.len() > limit {
            true => Err(OverlayError::TooManyNames { limit: self.parts.rename_max }),
            false => Ok(children),
        }
    }

    fn adopt_children(&self, directory: NodeNumber, children: &[Child]) -> Result<(), OverlayError> {
        let locked = self.lock();
        for child in children {
            if self.parts.staging.lookup(directory, &child.name) == Lookup::Unknown {
                self.adopt_child(&locked, directory, child)?;
            }
        }
        Ok(())
    }

    /// What a clean node shows, as the staged tree keeps it.
    fn attributes_of(&self, node: &Node) -> Attributes {
        let presentation = &self.parts.presentation;
        let (modified, mode) = match node {
            Node::File(file) => (file.modified, presentation.file_mode),
            Node::Directory(directory) => (directory.modified, presentation.dir_mode),
        };
        let time = moment(modified);
        Attributes {
            mode,
            uid: presentation.uid,
            gid: presentation.gid,
            atime: time,
            mtime: time,
            ctime: time,
        }
    }
}

/// A moment of wall time as the staged tree keeps it.
pub(crate) fn moment(time: SystemTime) -> Moment {
    let time = fuse_fast::Timestamp::from(time);
    Moment { secs: time.seconds, nanos: time.nanos }
}

fn base(object: &ObjectRef) -> Base {
    Base {
        store: object.store.0,
        key: object.key.as_str().into(),
        version: Some(object.version.as_str().into()),
        size_bytes: object.size_bytes,
    }
}

/// Whether names of the store show through a staged node.
pub(super) fn shows_through(view: &NodeView) -> bool {
    matches!(view.kind, Kind::Directory { opaque: false })
}
