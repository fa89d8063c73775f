//! The changes of one call, gathered before any of them is made.

use crate::error::StageError;
use crate::record::{Change, Entry, EventAction, EventRecord, NodeMeta};
use crate::tree::{Body, EventState, Node, Tree};
use crate::types::{Base, EventSeq, Moment, NAME_BYTES_MAX, NodeNumber};

/// Changes and the events that they make.
pub(crate) struct Plan<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) changes: Vec<Change>,
    next_event: u64,
}

impl<'t> Plan<'t> {
    pub(crate) fn new(tree: &'t Tree) -> Self {
        Self { tree, changes: Vec::new(), next_event: tree.next_event }
    }

    pub(crate) fn node(&self, number: NodeNumber) -> Result<&'t Node, StageError> {
        self.tree.nodes.get(&number).ok_or(StageError::NotFound)
    }

    /// The entry at a name of a directory that can take names.
    pub(crate) fn entry(&self, parent: NodeNumber, name: &str) -> Result<Option<&'t Entry>, StageError> {
        if name.len() > NAME_BYTES_MAX {
            return Err(StageError::NameTooLong { bytes: name.len(), limit_bytes: NAME_BYTES_MAX });
        }
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(StageError::Invalid("a name of a directory entry"));
        }
        let directory = self.node(parent)?;
        match &directory.body {
            Body::Directory(_) if parent != NodeNumber::ROOT && directory.parent.is_none() => {
                Err(StageError::NotFound)
            }
            Body::Directory(entries) => Ok(entries.get(name)),
            _ => Err(StageError::NotADirectory),
        }
    }

    pub(crate) fn path_of(&self, parent: NodeNumber, name: &str) -> Result<Box<str>, StageError> {
        self.tree.path_of(parent, name).map(Into::into).ok_or(StageError::NotFound)
    }

    pub(crate) fn set_node(&mut self, number: NodeNumber, meta: NodeMeta) {
        self.changes.push(Change::Node { number, meta });
    }

    pub(crate) fn set_entry(&mut self, parent: NodeNumber, name: &str, entry: Entry) {
        self.changes.push(Change::Entry { parent, name: name.into(), entry });
    }

    /// The name is free; a whiteout stays when the store may have something there.
    pub(crate) fn vacate(&mut self, parent: NodeNumber, name: &str, below: Option<Base>) {
        match below {
            Some(_) => self.set_entry(parent, name, Entry { node: None, below }),
            None => self.changes.push(Change::EntryGone { parent, name: name.into() }),
        }
    }

    /// The names of a directory change.
    pub(crate) fn touch(&mut self, directory: NodeNumber, now: Moment) {
        self.changes.push(Change::Touched { number: directory, mtime: now });
    }

    /// A node gets another name, or loses it: that changes its `ctime`.
    pub(crate) fn rename_at(&mut self, number: NodeNumber, now: Moment) -> Result<(), StageError> {
        let planned = self.changes.iter_mut().rev().find_map(|change| match change {
            Change::Node { number: changed, meta } if *changed == number => Some(meta),
            _ => None,
        });
        if let Some(meta) = planned {
            meta.attributes.ctime = now;
            return Ok(());
        }
        let node = self.node(number)?;
        let mut meta = node.meta.clone();
        meta.attributes.ctime = now;
        if let Body::File(file) = &node.body {
            meta.attributes.mtime = file.content.lock().mtime;
        }
        self.set_node(number, meta);
        Ok(())
    }

    fn event(&mut self, path: Box<str>, formerly: Vec<Box<str>>, action: EventAction) -> EventSeq {
        let seq = EventSeq(self.next_event);
        self.next_event += 1;
        self.changes.push(Change::Event {
            seq,
            event: EventRecord { path, formerly, action, frozen: None, sent_to: None },
        });
        seq
    }

    /// The path has to show the node, from this place in the order on.
    pub(crate) fn put(&mut self, number: NodeNumber, path: Box<str>, formerly: Vec<Box<str>>) {
        self.event(path, formerly, EventAction::Put { node: number });
    }

    /// The path has to show nothing any more. When that waits to be done already, once is enough.
    pub(crate) fn remove(&mut self, path: Box<str>, below: Base, moved: Option<(NodeNumber, Box<str>)>) {
        if !self.tree.has_remove_of(&path, &below) {
            self.remove_again(path, below, moved);
        }
    }

    /// The same, in place of a remove that the plan takes back.
    pub(crate) fn remove_again(
        &mut self,
        path: Box<str>,
        below: Base,
        moved: Option<(NodeNumber, Box<str>)>,
    ) {
        let (moved, formerly) = match moved {
            Some((number, new_path)) => (Some(number), vec![new_path]),
            None => (None, Vec::new()),
        };
        self.event(path, formerly, EventAction::Remove { below, moved });
    }

    /// The node's puts are not wanted any more. Gives the object that they may have made all the same, when one was sent:
    /// then a worker that has it now ends it.
    pub(crate) fn drop_put(&mut self, node: &Node) -> Option<Base> {
        let mut sent_to = None;
        for seq in node.frozen.iter().copied().chain(node.event) {
            let Some(event) = self.tree.events.get(&seq) else { continue };
            if event.record.sent_to.is_none() || event.state == EventState::Waiting {
                self.changes.push(Change::EventGone { seq });
            }
            sent_to = event.record.sent_to.clone().or(sent_to);
        }
        sent_to
    }

    /// Paths that the node's waiting put had until now, to be kept in the order of their trees.
    pub(crate) fn former_paths(&self, node: &Node) -> Vec<Box<str>> {
        let Some(event) = node.event.and_then(|seq| self.tree.events.get(&seq)) else { return Vec::new() };
        std::iter::once(&event.record.path).chain(&event.record.formerly).cloned().collect()
    }
}
