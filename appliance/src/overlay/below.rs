//! Finding the namespace's directory under a staged one.

use staging::{Kind, NodeNumber};

use super::{Overlay, OverlayError};
use crate::config::TreePath;
use crate::namespace::{Ino, Node};

impl Overlay {
    /// The namespace's directory that shows through a directory; `None` when nothing does.
    ///
    /// A directory that was adopted since the start has one number in both trees. One that was adopted before has the
    /// number of that time, so its directory is looked up by its path once and kept referenced.
    pub(super) async fn below(&self, directory: u64) -> Result<Option<Ino>, OverlayError> {
        let number = NodeNumber(directory);
        let Some(view) = self.parts.staging.node(number) else { return Ok(Ino::new(directory)) };
        if !matches!(view.kind, Kind::Directory { opaque: false }) {
            return Ok(None);
        }
        let same = Ino::new(directory).filter(|ino| self.parts.namespace.contains(*ino));
        if let Some(ino) = same.or_else(|| self.below.lock().get(&number).copied()) {
            return Ok(Some(ino));
        }
        let Some(path) = self.path(number) else { return Ok(None) };
        let Some(ino) = self.reference_path(&path).await? else { return Ok(None) };
        if let Some(before) = self.below.lock().insert(number, ino) {
            self.parts.namespace.forget(before, 1);
        }
        Ok(Some(ino))
    }

    /// A directory that showed through is hidden from now on.
    pub(super) fn forget_below(&self, number: NodeNumber) {
        if let Some(ino) = self.below.lock().remove(&number) {
            self.parts.namespace.forget(ino, 1);
        }
    }

    /// Whether a namespace's directory is what shows through a staged one.
    pub(super) fn is_below(&self, number: NodeNumber, ino: Ino) -> bool {
        number.0 == ino.get() || self.below.lock().get(&number) == Some(&ino)
    }

    /// The path of a staged node; `None` when it has none any more.
    pub(super) fn path(&self, number: NodeNumber) -> Option<TreePath> {
        // The staged tree keeps names within the limits of a path's names; a path that is too long has no store's key.
        TreePath::new(&self.parts.staging.path(number)?).ok()
    }

    /// Looks a path up in the namespace alone, and keeps one reference on the directory that it leads to.
    async fn reference_path(&self, path: &TreePath) -> Result<Option<Ino>, OverlayError> {
        let mut at = Ino::ROOT;
        for name in path.names() {
            let found = self.parts.namespace.lookup(at, name).await;
            self.parts.namespace.forget(at, 1);
            match found?.map(|found| found.node) {
                Some(Node::Directory(directory)) => at = directory.ino,
                Some(Node::File(file)) => {
                    self.parts.namespace.forget(file.ino, 1);
                    return Ok(None);
                }
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }
}
