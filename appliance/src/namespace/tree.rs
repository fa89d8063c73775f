//! [`Tree`]: which store lies where in the mount.
//!
//! Every branch point and every directory above one is a *place*. A place always exists, also when no store has a
//! directory there (it is synthetic then), and hides what the store above has under its name. Fixed for the life of a
//! mount, and small: one place for each name in the mount's table.

use std::collections::BTreeMap;

use ufs::Key;

use super::error::NamespaceError;
use crate::config::TreePath;
use crate::store::StoreIndex;

/// A place's index in the tree; 0 is the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PlaceIndex(pub u16);

impl PlaceIndex {
    pub(super) const ROOT: Self = Self(0);
}

/// A directory that the mount's table makes.
struct Place {
    path: TreePath,
    store: Option<StoreIndex>,
    children: BTreeMap<Box<str>, PlaceIndex>,
}

/// Where a directory's own names come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) store: StoreIndex,
    /// Key of the directory there: empty, or ending in `/`.
    pub(super) directory: String,
}

impl Origin {
    /// The key of a file in the directory; `None` when it would be too long for any store.
    pub(super) fn file_key(&self, name: &str) -> Option<Key> {
        Key::new(format!("{}{name}", self.directory)).ok()
    }

    /// The origin of a directory in the directory.
    pub(super) fn child(&self, name: &str) -> Self {
        Self { store: self.store, directory: format!("{}{name}/", self.directory) }
    }

    pub(super) fn directory_key(&self) -> Option<Key> {
        Key::new(self.directory.as_str()).ok()
    }
}

/// The mount's table.
pub(super) struct Tree {
    places: Vec<Place>,
}

impl Tree {
    pub(super) fn new(
        branches: &[(TreePath, StoreIndex)],
        store_count: usize,
    ) -> Result<Self, NamespaceError> {
        let mut tree = Self { places: vec![Place::new(TreePath::root())] };
        for (path, store) in branches {
            let refuse = |reason| NamespaceError::Tree { reason, path: path.to_string() };
            if usize::from(store.0) >= store_count {
                return Err(refuse("a branch names a store that is not there"));
            }
            let index = tree.make(path).ok_or_else(|| refuse("more than 65,535 places"))?;
            let place = &mut tree.places[usize::from(index.0)];
            if place.store.replace(*store).is_some() {
                return Err(refuse("two branches"));
            }
        }
        Ok(tree)
    }

    /// Makes the places from the root down to a path.
    fn make(&mut self, path: &TreePath) -> Option<PlaceIndex> {
        let mut at = PlaceIndex::ROOT;
        for name in path.names() {
            at = match self.child(at, name) {
                Some(child) => child,
                None => {
                    let child = PlaceIndex(u16::try_from(self.places.len()).ok()?);
                    let path = self.places[usize::from(at.0)].path.join(name).ok()?;
                    self.places.push(Place::new(path));
                    self.places[usize::from(at.0)].children.insert(name.into(), child);
                    child
                }
            };
        }
        Some(at)
    }

    /// The place that a name in a place leads to.
    pub(super) fn child(&self, at: PlaceIndex, name: &str) -> Option<PlaceIndex> {
        self.places[usize::from(at.0)].children.get(name).copied()
    }

    /// The places right below one, in order of their names.
    pub(super) fn children(&self, at: PlaceIndex) -> impl Iterator<Item = (&str, PlaceIndex)> {
        self.places[usize::from(at.0)].children.iter().map(|(name, index)| (&**name, *index))
    }

    pub(super) fn path(&self, at: PlaceIndex) -> &TreePath {
        &self.places[usize::from(at.0)].path
    }

    pub(super) fn indices(&self) -> impl Iterator<Item = PlaceIndex> {
        (0..self.places.len() as u16).map(PlaceIndex)
    }

    /// Places strictly below a path that begin another store.
    pub(super) fn branches_below(&self, path: &TreePath) -> impl Iterator<Item = PlaceIndex> {
        self.indices().filter(move |index| {
            let place = &self.places[usize::from(index.0)];
            place.store.is_some() && place.path != *path && place.path.starts_with(path)
        })
    }

    /// The place at a path, if it is one, and the store's directory there.
    pub(super) fn at(&self, path: &TreePath) -> (Option<PlaceIndex>, Option<Origin>) {
        let mut place = Some(PlaceIndex::ROOT);
        let mut origin = self.own_origin(PlaceIndex::ROOT);
        for name in path.names() {
            place = place.and_then(|at| self.child(at, name));
            origin =
                place.and_then(|at| self.own_origin(at)).or_else(|| origin.map(|above| above.child(name)));
        }
        (place, origin)
    }

    fn own_origin(&self, at: PlaceIndex) -> Option<Origin> {
        let store = self.places[usize::from(at.0)].store?;
        Some(Origin { store, directory: String::new() })
    }

    /// The branches as text, for the name of the mount in the database.
    pub(super) fn describe(&self, store_identity: impl Fn(StoreIndex) -> String) -> String {
        let branches = self.places.iter().filter_map(|place| Some((&place.path, place.store?)));
        branches.map(|(path, store)| format!("\0{path}\0{}", store_identity(store))).collect()
    }
}

impl Place {
    fn new(path: TreePath) -> Self {
        Self { path, store: None, children: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect("a valid path")
    }

    fn tree(branches: &[(&str, u16)]) -> Tree {
        let branches: Vec<_> = branches.iter().map(|(at, store)| (path(at), StoreIndex(*store))).collect();
        Tree::new(&branches, 3).expect("a valid tree")
    }

    fn origin(store: u16, directory: &str) -> Option<Origin> {
        Some(Origin { store: StoreIndex(store), directory: directory.into() })
    }

    #[test]
    fn the_deepest_branch_has_the_path() {
        let tree = tree(&[("", 0), ("a/b", 1)]);
        assert_eq!(tree.at(&path("a")), (Some(PlaceIndex(1)), origin(0, "a/")));
        assert_eq!(tree.at(&path("a/b")), (Some(PlaceIndex(2)), origin(1, "")));
        assert_eq!(tree.at(&path("a/b/c/d")), (None, origin(1, "c/d/")));
        assert_eq!(tree.at(&path("a/x")), (None, origin(0, "a/x/")));
    }

    #[test]
    fn places_without_a_store_are_synthetic() {
        let tree = tree(&[("a/b", 1), ("a/c", 2)]);
        assert_eq!(tree.at(&path("")), (Some(PlaceIndex::ROOT), None));
        assert_eq!(tree.at(&path("a")), (Some(PlaceIndex(1)), None));
        assert_eq!(tree.at(&path("z")), (None, None));
        assert_eq!(tree.children(PlaceIndex(1)).map(|(name, _)| name).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(tree.branches_below(&path("a")).count(), 2);
        assert_eq!(tree.branches_below(&path("a/b")).count(), 0);
    }

    #[test]
    fn a_path_has_one_store_that_exists() {
        let twice = [(path("a"), StoreIndex(0)), (path("/a/"), StoreIndex(1))];
        assert!(matches!(Tree::new(&twice, 2), Err(NamespaceError::Tree { .. })));
        assert!(matches!(Tree::new(&[(path("a"), StoreIndex(2))], 2), Err(NamespaceError::Tree { .. })));
    }
}
