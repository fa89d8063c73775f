//! One name in a directory: staged, clean or absent.

use std::time::Duration;

use staging::{Durability, Kind, Lookup, NodeNumber, NodeView};

use super::{Overlay, OverlayError, Shown};
use crate::namespace::{Found, Node};

/// A name's node; the caller holds one reference on it.
#[derive(Clone, Debug)]
pub struct Referenced {
    /// The node.
    pub shown: Shown,
    /// How long the kernel may believe this.
    pub valid_for: Duration,
}

impl Overlay {
    /// Finds a name and takes one reference on its node.
    pub async fn lookup(&self, parent: u64, name: &str) -> Result<Option<Referenced>, OverlayError> {
        match self.parts.staging.lookup(NodeNumber(parent), name) {
            Lookup::Node(view) if is_copy(&view) => self.give_way(parent, name, &view).await?,
            Lookup::Node(_) | Lookup::Whiteout | Lookup::Absent | Lookup::Unknown => {}
        }
        if let Some(answer) = self.decided(parent, name) {
            return Ok(answer);
        }
        let Some(ino) = self.below(parent).await? else { return Ok(None) };
        let found = self.parts.namespace.lookup(ino, name).await?;
        Ok(self.merged(parent, name, found))
    }

    /// How long the kernel may believe that a name is absent or leads to a staged node.
    pub fn valid_for(&self) -> Duration {
        self.parts.namespace.negative_valid_for()
    }

    /// What the staged tree alone says.
    fn decided(&self, parent: u64, name: &str) -> Option<Option<Referenced>> {
        let _names = self.names.read();
        match self.parts.staging.lookup(NodeNumber(parent), name) {
            Lookup::Node(view) => Some(Some(self.referenced(view))),
            Lookup::Whiteout | Lookup::Absent => Some(None),
            Lookup::Unknown => None,
        }
    }

    fn referenced(&self, view: NodeView) -> Referenced {
        self.parts.staging.reference(view.number, 1);
        Referenced { shown: Shown::Staged(view), valid_for: self.valid_for() }
    }

    /// The namespace's answer, unless the staged tree has come to know better meanwhile.
    fn merged(&self, parent: u64, name: &str, found: Option<Found>) -> Option<Referenced> {
        let _names = self.names.read();
        let staged = self.parts.staging.lookup(NodeNumber(parent), name);
        let Some(found) = found else {
            return match staged {
                Lookup::Node(view) => Some(self.referenced(view)),
                Lookup::Whiteout | Lookup::Absent | Lookup::Unknown => None,
            };
        };
        let ino = found.node.ino();
        // A file that is staged under another name is not under this one, whatever an older listing says.
        let moved =
            matches!(found.node, Node::File(_)) && self.parts.staging.node(NodeNumber(ino.get())).is_some();
        if staged == Lookup::Unknown && !moved {
            return Some(Referenced { shown: Shown::Clean(found.node), valid_for: found.valid_for });
        }
        self.parts.namespace.forget(ino, 1);
        match staged {
            Lookup::Node(view) => Some(self.referenced(view)),
            Lookup::Whiteout | Lookup::Absent | Lookup::Unknown => None,
        }
    }

    /// A staged file that its store has is a cached copy: when the store has another version by now, or nothing, the copy
    /// gives way. While the store cannot be asked it stays.
    async fn give_way(&self, parent: u64, name: &str, view: &NodeView) -> Result<(), OverlayError> {
        let Some(ino) = self.below(parent).await? else { return Ok(()) };
        let now = match self.parts.namespace.find(ino, name).await {
            Ok(now) => now.and_then(|child| child.object),
            Err(error) => {
                tracing::debug!(name, %error, "a copy stays, its store cannot be asked");
                return Ok(());
            }
        };
        let version = now.as_ref().map(|object| object.version.as_str());
        if version != view.version.as_deref() {
            let _names = self.lock();
            self.parts.staging.drop_copy(NodeNumber(parent), name, view.number)?;
        }
        Ok(())
    }
}

/// Whether a node is nothing but a copy of what its store has.
fn is_copy(view: &NodeView) -> bool {
    view.durability == Durability::Remote
        && view.version.is_some()
        && !matches!(view.kind, Kind::Directory { .. })
}
