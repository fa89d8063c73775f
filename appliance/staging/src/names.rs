//! Names and attributes: create, remove, rename, xattrs. Each call is one record.

mod rename;

pub use rename::Place;

use crate::error::StageError;
use crate::journal::Room;
use crate::plan::Plan;
use crate::record::{Change, Entry, FileData, NodeKind, NodeMeta};
use crate::shared::Shared;
use crate::staging::Staging;
use crate::tree::{Body, Node, Tree};
use crate::types::{
    AttributeChange, Attributes, Base, EventSeq, Lookup, NameView, NewKind, NewNode, NodeNumber, NodeView,
    TARGET_BYTES_MAX, XATTR_BYTES_MAX, XattrMode, Xattrs,
};

impl Staging {
    /// What the tree says about a name of a directory that it has. Names of other directories are unknown.
    pub fn lookup(&self, parent: NodeNumber, name: &str) -> Lookup {
        let tree = self.shared.tree.lock();
        let Some(node) = tree.nodes.get(&parent) else { return Lookup::Unknown };
        match tree.entry(parent, name) {
            Some(Entry { node: Some(number), .. }) => {
                tree.view(*number, self.shared.journal.flushed()).map_or(Lookup::Unknown, Lookup::Node)
            }
            Some(_) => Lookup::Whiteout,
            None if node.meta.kind == (NodeKind::Directory { opaque: true }) => Lookup::Absent,
            None => Lookup::Unknown,
        }
    }

    /// The node of this number.
    pub fn node(&self, number: NodeNumber) -> Option<NodeView> {
        self.shared.tree.lock().view(number, self.shared.journal.flushed())
    }

    /// All names of a directory with their nodes or whiteouts, in order; `None` when the tree does not have it.
    pub fn entries(&self, directory: NodeNumber) -> Option<Vec<NameView>> {
        let tree = self.shared.tree.lock();
        let entries = tree.entries(directory)?.iter();
        Some(entries.map(|(name, entry)| name_view(&tree, name, entry)).collect())
    }

    /// Path of a node in the mount, without a leading slash; empty for the root, `None` when it has no name.
    pub fn path(&self, number: NodeNumber) -> Option<String> {
        self.shared.tree.lock().path(number)
    }

    /// Directory and name of a node.
    pub fn parent(&self, number: NodeNumber) -> Option<(NodeNumber, Box<str>)> {
        self.shared.tree.lock().nodes.get(&number)?.parent.clone()
    }

    /// The kernel refers to a node `count` times more. False when the tree does not have it.
    pub fn reference(&self, number: NodeNumber, count: u64) -> bool {
        self.shared.tree.lock().nodes.get_mut(&number).map(|node| node.references += count).is_some()
    }

    /// The kernel gave references back. Gives how many of them were not taken here: a directory that was adopted may
    /// have others from the namespace.
    pub fn forget(&self, number: NodeNumber, count: u64) -> u64 {
        let mut tree = self.shared.tree.lock();
        let Some(node) = tree.nodes.get_mut(&number) else { return count };
        let rest = count.saturating_sub(node.references);
        node.references = node.references.saturating_sub(count);
        self.shared.drop_if_useless(&mut tree, number);
        rest
    }

    /// Lets go of a name that leads to a copy of a version which the store does not have any more. No event is made: what
    /// the store has now shows at the name. Does nothing when the node has changes, or may get some.
    pub fn drop_copy(&self, parent: NodeNumber, name: &str, number: NodeNumber) -> Result<(), StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let is_copy = tree.entry(parent, name).is_some_and(|entry| entry.node == Some(number))
            && tree.nodes.get(&number).is_some_and(Node::is_idle_copy);
        if is_copy {
            let changes = vec![Change::EntryGone { parent, name: name.into() }];
            self.shared.commit(&mut tree, changes, Room::Frees)?;
            self.shared.drop_if_useless(&mut tree, number);
        }
        Ok(())
    }

    /// Takes over a directory of the namespace, so that names below it can change. `base` is its key in its store.
    pub fn adopt_directory(
        &self,
        parent: NodeNumber,
        name: &str,
        number: NodeNumber,
        base: Base,
        attributes: Attributes,
    ) -> Result<NodeView, StageError> {
        self.adopt(parent, name, number, base, attributes, NodeKind::Directory { opaque: false })
    }

    /// Takes over a file of the namespace, unchanged and without its data, so that it can change.
    pub fn adopt_file(
        &self,
        parent: NodeNumber,
        name: &str,
        number: NodeNumber,
        base: Base,
        attributes: Attributes,
    ) -> Result<NodeView, StageError> {
        self.adopt(parent, name, number, base, attributes, NodeKind::File)
    }

    fn adopt(
        &self,
        parent: NodeNumber,
        name: &str,
        number: NodeNumber,
        base: Base,
        attributes: Attributes,
        kind: NodeKind,
    ) -> Result<NodeView, StageError> {
        let mut tree = self.shared.tree_to_change()?;
        self.shared.check_files_max(&tree)?;
        let mut plan = Plan::new(&tree);
        if plan.entry(parent, name)?.is_some() || tree.nodes.contains_key(&number) {
            return Err(StageError::Exists);
        }
        let is_file = kind == NodeKind::File;
        plan.changes.push(Change::NodeGone { number });
        plan.set_node(
            number,
            NodeMeta { kind, attributes, xattrs: Xattrs::new(), is_remote: true, placed: EventSeq(0) },
        );
        if is_file {
            let (size_bytes, base) = (base.size_bytes, Some(base.clone()));
            let data = FileData { size_bytes, base, base_bytes: size_bytes, ..FileData::default() };
            plan.changes.push(Change::Data { number, data });
        }
        plan.set_entry(parent, name, Entry { node: Some(number), below: Some(base) });
        let changes = plan.changes;
        self.shared.commit(&mut tree, changes, Room::Grows)?;
        self.shared.view(&tree, number)
    }

    /// Makes a file, directory or symlink. `below` is what the store has at this name although it is absent here.
    pub fn create(
        &self,
        parent: NodeNumber,
        name: &str,
        new: NewNode,
        below: Option<Base>,
    ) -> Result<NodeView, StageError> {
        let mut tree = self.shared.tree_to_change()?;
        self.shared.check_files_max(&tree)?;
        let number = NodeNumber(NodeNumber::BORN_HERE | tree.next_node);
        let mut plan = Plan::new(&tree);
        let below = match plan.entry(parent, name)? {
            Some(entry) if entry.node.is_some() => return Err(StageError::Exists),
            Some(whiteout) => whiteout.below.clone(),
            None => below,
        };
        let is_file = matches!(new.kind, NewKind::File);
        let kind = node_kind(new.kind)?;
        let attributes = new.attributes;
        plan.set_node(
            number,
            NodeMeta { kind, attributes, xattrs: Xattrs::new(), is_remote: false, placed: EventSeq(0) },
        );
        plan.set_entry(parent, name, Entry { node: Some(number), below });
        plan.touch(parent, self.shared.moment());
        if !is_file {
            let path = plan.path_of(parent, name)?;
            plan.put(number, path, Vec::new());
        }
        let changes = plan.changes;
        self.shared.commit(&mut tree, changes, Room::Grows)?;
        self.shared.view(&tree, number)
    }

    /// Removes a file or symlink. `below` is what the store has at a name that the tree does not have yet.
    pub fn unlink(&self, parent: NodeNumber, name: &str, below: Option<Base>) -> Result<(), StageError> {
        self.remove_name(parent, name, below, |plan, number| {
            if plan.node(number)?.is_directory() { Err(StageError::IsADirectory) } else { Ok(()) }
        })
    }

    /// Removes a directory that has no names here. That the store shows none through it is the caller's to know.
    /// `below` is the directory's key when the store has it and the tree does not.
    pub fn remove_directory(
        &self,
        parent: NodeNumber,
        name: &str,
        below: Option<Base>,
    ) -> Result<(), StageError> {
        self.remove_name(parent, name, below, |plan, number| check_empty(plan.node(number)?))
    }

    fn remove_name(
        &self,
        parent: NodeNumber,
        name: &str,
        below: Option<Base>,
        check: impl FnOnce(&Plan<'_>, NodeNumber) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let mut plan = Plan::new(&tree);
        let path = plan.path_of(parent, name)?;
        let (number, mut below) = match plan.entry(parent, name)? {
            Some(Entry { node: Some(number), below }) => (Some(*number), below.clone()),
            Some(_) => return Err(StageError::NotFound),
            None if below.is_some() => (None, below),
            None => return Err(StageError::NotFound),
        };
        let now = self.shared.moment();
        if let Some(number) = number {
            check(&plan, number)?;
            let node = plan.node(number)?;
            below = plan.drop_put(node).or(below).or_else(|| tree.remains_below(&path));
            if node.is_held() {
                plan.rename_at(number, now)?;
            }
        }
        plan.touch(parent, now);
        plan.vacate(parent, name, below.clone());
        if let Some(below) = below {
            plan.remove(path, below, None);
        }
        let changes = plan.changes;
        self.shared.commit(&mut tree, changes, Room::Frees)?;
        if let Some(number) = number {
            self.shared.drop_if_useless(&mut tree, number);
        }
        Ok(())
    }

    /// Changes mode, owner or times.
    pub fn set_attributes(
        &self,
        number: NodeNumber,
        change: AttributeChange,
    ) -> Result<NodeView, StageError> {
        let now = self.shared.moment();
        self.change_meta(
            number,
            change.mtime.is_some() || change.mode.is_some() || change.uid.is_some() || change.gid.is_some(),
            |meta| {
                let attributes = &mut meta.attributes;
                attributes.mode = change.mode.unwrap_or(attributes.mode);
                attributes.uid = change.uid.unwrap_or(attributes.uid);
                attributes.gid = change.gid.unwrap_or(attributes.gid);
                attributes.atime = change.atime.unwrap_or(attributes.atime);
                attributes.mtime = change.mtime.unwrap_or(attributes.mtime);
                attributes.ctime = now;
                Ok(())
            },
        )?;
        self.node(number).ok_or(StageError::NotFound)
    }

    /// An extended attribute.
    pub fn xattr(&self, number: NodeNumber, name: &str) -> Result<Box<[u8]>, StageError> {
        let tree = self.shared.tree.lock();
        let node = tree.nodes.get(&number).ok_or(StageError::NotFound)?;
        node.meta.xattrs.get(name).cloned().ok_or(StageError::NoXattr)
    }

    /// All extended attributes.
    pub fn xattrs(&self, number: NodeNumber) -> Result<Xattrs, StageError> {
        let tree = self.shared.tree.lock();
        tree.nodes.get(&number).map(|node| node.meta.xattrs.clone()).ok_or(StageError::NotFound)
    }

    /// Sets an extended attribute.
    pub fn set_xattr(
        &self,
        number: NodeNumber,
        name: &str,
        value: &[u8],
        mode: XattrMode,
    ) -> Result<(), StageError> {
        let now = self.shared.moment();
        self.change_meta(number, true, |meta| {
            match (mode, meta.xattrs.contains_key(name)) {
                (XattrMode::Create, true) => return Err(StageError::XattrExists),
                (XattrMode::Replace, false) => return Err(StageError::NoXattr),
                _ => {}
            }
            meta.xattrs.insert(name.into(), value.into());
            meta.attributes.ctime = now;
            let bytes: usize = meta.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
            let limit_bytes = XATTR_BYTES_MAX;
            if bytes > limit_bytes { Err(StageError::XattrTooLarge { limit_bytes }) } else { Ok(()) }
        })
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(&self, number: NodeNumber, name: &str) -> Result<(), StageError> {
        let now = self.shared.moment();
        self.change_meta(number, true, |meta| {
            meta.attributes.ctime = now;
            meta.xattrs.remove(name).map(|_| ()).ok_or(StageError::NoXattr)
        })
    }

    /// `is_published`: the store keeps what changes, so it is a change to publish.
    fn change_meta(
        &self,
        number: NodeNumber,
        is_published: bool,
        change: impl FnOnce(&mut NodeMeta) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let mut plan = Plan::new(&tree);
        let node = plan.node(number)?;
        let mut meta = node.meta.clone();
        if let Body::File(file) = &node.body {
            meta.attributes.mtime = file.content.lock().mtime;
        }
        change(&mut meta)?;
        let is_root = number == NodeNumber::ROOT;
        let needs_put = is_published && !is_root && node.meta.is_remote;
        meta.is_remote &= !is_published || is_root;
        plan.set_node(number, meta);
        if needs_put
            && node.event.is_none()
            && let Some(path) = tree.path(number)
        {
            plan.put(number, path.into(), Vec::new());
        }
        let changes = plan.changes;
        self.shared.commit(&mut tree, changes, Room::Grows)?;
        if is_published {
            self.shared.note_meta_change(&mut tree, number);
        }
        Ok(())
    }

    /// All names and attributes that were changed until now survive a power cut when this returns. Blocks.
    pub fn sync_names(&self) -> Result<(), StageError> {
        self.shared.flush(self.shared.journal.last())
    }
}

impl Shared {
    fn view(&self, tree: &Tree, number: NodeNumber) -> Result<NodeView, StageError> {
        tree.view(number, self.journal.flushed()).ok_or(StageError::NotFound)
    }

    fn check_files_max(&self, tree: &Tree) -> Result<(), StageError> {
        let limit = self.options.files_max;
        if tree.nodes.len() >= limit { Err(StageError::FilesMax { limit }) } else { Ok(()) }
    }

    /// Drops a node that has no name and that nobody holds.
    pub(crate) fn drop_if_useless(&self, tree: &mut Tree, number: NodeNumber) {
        let is_useless = |node: &Node| number != NodeNumber::ROOT && node.parent.is_none() && !node.is_held();
        if tree.nodes.get(&number).is_some_and(is_useless) {
            self.drop_node(tree, number);
        }
    }

    fn note_meta_change(&self, tree: &mut Tree, number: NodeNumber) {
        let now = self.now();
        let Some(node) = tree.nodes.get_mut(&number) else { return };
        node.meta_generation += 1;
        let waiting = node.event;
        if let Some(event) = waiting.and_then(|seq| tree.events.get_mut(&seq)) {
            event.changed = now;
        }
        waiting.into_iter().for_each(|seq| tree.reschedule(seq));
    }
}

/// Fails unless it is a directory without nodes in it.
fn check_empty(node: &Node) -> Result<(), StageError> {
    match &node.body {
        Body::Directory(entries) if entries.values().any(|entry| entry.node.is_some()) => {
            Err(StageError::NotEmpty)
        }
        Body::Directory(_) => Ok(()),
        _ => Err(StageError::NotADirectory),
    }
}

fn node_kind(kind: NewKind) -> Result<NodeKind, StageError> {
    Ok(match kind {
        NewKind::File => NodeKind::File,
        NewKind::Directory => NodeKind::Directory { opaque: true },
        NewKind::Symlink { target } if target.is_empty() => return Err(StageError::NotFound),
        NewKind::Symlink { target } if target.len() > TARGET_BYTES_MAX => {
            return Err(StageError::NameTooLong { bytes: target.len(), limit_bytes: TARGET_BYTES_MAX });
        }
        NewKind::Symlink { target } => NodeKind::Symlink { target },
    })
}

fn name_view(tree: &Tree, name: &str, entry: &Entry) -> NameView {
    let node = entry.node.and_then(|number| Some((number, tree.nodes.get(&number)?.node_type())));
    NameView { name: name.into(), node }
}
