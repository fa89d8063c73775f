//! [`Place`]: a directory of the mount with all that is needed to list it.

use super::entry::Number;
use super::tree::{Origin, PlaceIndex, Tree};
use crate::config::TreePath;

#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) number: Number,
    pub(super) path: TreePath,
    /// Set for the directories that the mount's table makes.
    pub(super) index: Option<PlaceIndex>,
    /// Where its names come from; `None` for a synthetic directory above all stores.
    pub(super) origin: Option<Origin>,
}

impl Place {
    pub(super) fn new(tree: &Tree, path: TreePath, number: Number) -> Self {
        let (index, origin) = tree.at(&path);
        Self { number, path, index, origin }
    }

    /// A directory in this one; `None` when its path would be too long.
    pub(super) fn child(&self, name: &str, number: Number) -> Option<Self> {
        let path = self.path.join(name).ok()?;
        let origin = self.origin.as_ref().map(|origin| origin.child(name));
        Some(Self { number, path, index: None, origin })
    }

    /// Whether the mount's table hides what the store has under a name.
    pub(super) fn shadows(&self, tree: &Tree, name: &str) -> bool {
        self.index.is_some_and(|index| tree.child(index, name).is_some())
    }
}
