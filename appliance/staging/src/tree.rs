//! The staged tree in memory: what the journal's changes add up to.
//!
//! [`Tree::apply`] is the only way that names, nodes and events change; a running daemon and a recovery call it alike.
//! The questions that changes are made of ("may this be renamed?") are asked in `names` and `publish`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;

use crate::content::FileNode;
use crate::journal::RecordSeq;
use crate::options::DelayRule;
use crate::publish_order::{Footprint, PublishOrder};
use crate::record::{Change, Entry, EventAction, EventRecord, NodeKind, NodeMeta};
use crate::schedule::Schedule;
use crate::space::Space;
use crate::types::{Attributes, Base, Durability, EventSeq, Kind, Moment, NodeNumber, NodeType, NodeView};

pub(crate) struct Tree {
    pub(crate) nodes: HashMap<NodeNumber, Node>,
    pub(crate) events: BTreeMap<EventSeq, Event>,
    pub(crate) order: PublishOrder,
    pub(crate) schedule: Schedule,
    /// Puts of nodes that had another path: only these can need an object under another key than their own.
    pub(crate) moved_puts: BTreeSet<EventSeq>,
    /// Paths of removes that wait.
    removes: BTreeSet<(Box<str>, EventSeq)>,
    pub(crate) next_node: u64,
    pub(crate) next_event: u64,
    /// Files with changes that no event speaks of yet, and since when.
    pub(crate) written: BTreeMap<NodeNumber, Instant>,
    /// Changes come from a journal, and files are not what they will be when their backing files were looked at.
    pub(crate) is_replaying: bool,
    tree_depth: usize,
    space: Arc<Space>,
}

pub(crate) struct Node {
    pub(crate) meta: NodeMeta,
    pub(crate) body: Body,
    /// Its name; `None` when it was unlinked, or is the root.
    pub(crate) parent: Option<(NodeNumber, Box<str>)>,
    /// How often the kernel refers to it.
    pub(crate) references: u64,
    /// Its put, when one is waiting and is not sent to an older name.
    pub(crate) event: Option<EventSeq>,
    /// Puts of contents that it had before, each at its place.
    pub(crate) frozen: Vec<EventSeq>,
    /// Rises with each change of attributes.
    pub(crate) meta_generation: u64,
    /// The record that changed it last.
    pub(crate) recorded: RecordSeq,
}

pub(crate) enum Body {
    File(Arc<FileNode>),
    Directory(BTreeMap<Box<str>, Entry>),
    Symlink,
}

/// A publish event that waits.
pub(crate) struct Event {
    pub(crate) record: EventRecord,
    pub(crate) footprint: Footprint,
    pub(crate) state: EventState,
    /// When it was made.
    pub(crate) since: Instant,
    /// When its node was last closed, synced or changed.
    pub(crate) changed: Instant,
    /// Not to be tried again before.
    pub(crate) not_before: Option<Instant>,
    /// When somebody asked for it at once.
    pub(crate) hastened: Option<Instant>,
    /// Size of the file at that moment.
    pub(crate) size_bytes: u64,
    /// Attributes that the upload took along.
    pub(crate) taken_meta_generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventState {
    Waiting,
    /// A worker has it.
    Taken,
}

impl Tree {
    pub(crate) fn new(tree_depth: usize, delay: DelayRule, space: Arc<Space>, root: Attributes) -> Self {
        let meta = NodeMeta {
            kind: NodeKind::Directory { opaque: false },
            attributes: root,
            xattrs: BTreeMap::new(),
            is_remote: true,
            placed: EventSeq(0),
        };
        let mut root = Node::new(meta, Body::Directory(BTreeMap::new()));
        root.references = 1;
        Self {
            nodes: HashMap::from([(NodeNumber::ROOT, root)]),
            events: BTreeMap::new(),
            order: PublishOrder::default(),
            schedule: Schedule::new(delay),
            moved_puts: BTreeSet::new(),
            removes: BTreeSet::new(),
            next_node: 1,
            next_event: 1,
            written: BTreeMap::new(),
            is_replaying: true,
            tree_depth,
            space,
        }
    }

    /// Makes a change true. `Err` says what it contradicts, which only a damaged journal can.
    pub(crate) fn apply(&mut self, change: Change, now: Instant, seq: RecordSeq) -> Result<(), &'static str> {
        match change {
            Change::Node { number, meta } => self.set_node(number, meta, seq),
            Change::NodeGone { number } => self.remove_node(number),
            Change::Entry { parent, name, entry } => return self.set_entry(parent, name, entry),
            Change::EntryGone { parent, name } => return self.remove_entry(parent, &name),
            Change::Data { number, data } => {
                if !(data.local.is_well_formed() && data.changed.is_well_formed()) {
                    return Err("extents out of order");
                }
                self.file(number)?.update(|content| {
                    content.is_dirty = !data.changed.is_empty()
                        || data.base.as_ref().is_none_or(|base| base.size_bytes != data.size_bytes);
                    content.replace(data);
                    if !content.is_dirty {
                        // What the store has needs no event.
                        content.event_generation = content.generation;
                    }
                });
            }
            Change::Synced { number, data } => {
                if !(data.local.is_well_formed() && data.changed.is_well_formed()) {
                    return Err("extents out of order");
                }
                let is_replaying = self.is_replaying;
                self.file(number)?.update(|content| {
                    if is_replaying { content.replay_synced(data) } else { content.set_synced(data) }
                });
            }
            Change::Published { number, base, changed, is_dirty, size_bytes } => {
                if !changed.is_well_formed() {
                    return Err("extents out of order");
                }
                let is_replaying = self.is_replaying;
                self.file(number)?.update(|content| {
                    if is_replaying {
                        content.replay_unrecorded(&changed, size_bytes);
                    }
                    content.published(base, changed, is_dirty);
                });
            }
            Change::Wrote { number, start, end } => {
                self.file(number)?.update(|content| content.wrote(start, end))
            }
            Change::Truncated { number, size_bytes } => {
                self.file(number)?.update(|content| content.truncated(size_bytes));
            }
            Change::Touched { number, mtime } => self.touch(number, mtime),
            Change::Event { seq, event } => self.set_event(seq, event, now),
            Change::EventGone { seq } => self.remove_event(seq),
            Change::Counters { node, event } => {
                self.next_node = self.next_node.max(node);
                self.next_event = self.next_event.max(event);
            }
            Change::Upload { number, upload } => {
                self.file(number)?.update(|content| content.resumable = upload)
            }
        }
        Ok(())
    }

    fn set_node(&mut self, number: NodeNumber, meta: NodeMeta, seq: RecordSeq) {
        if number.is_born_here() {
            self.next_node = self.next_node.max((number.0 & !NodeNumber::BORN_HERE) + 1);
        }
        let space = self.space.clone();
        let node = self.nodes.entry(number).or_insert_with(|| {
            let body = Body::new(&meta, space);
            Node::new(meta.clone(), body)
        });
        if let Body::File(file) = &node.body {
            file.content.lock().mtime = meta.attributes.mtime;
        }
        node.meta = meta;
        node.recorded = seq;
    }

    /// The content changed: the bytes of a file, or the names of a directory.
    fn touch(&mut self, number: NodeNumber, mtime: Moment) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        if let Body::File(file) = &node.body {
            file.update(|content| content.mtime = mtime);
        } else {
            (node.meta.attributes.mtime, node.meta.attributes.ctime) = (mtime, mtime);
        }
    }

    pub(crate) fn remove_node(&mut self, number: NodeNumber) {
        self.nodes.remove(&number);
        self.written.remove(&number);
    }

    fn set_entry(&mut self, parent: NodeNumber, name: Box<str>, entry: Entry) -> Result<(), &'static str> {
        if let Some(number) = entry.node {
            let node = self.nodes.get_mut(&number).ok_or("a name without its node")?;
            node.parent = Some((parent, name.clone()));
        }
        let replaced = self.entries_mut(parent)?.insert(name.clone(), entry.clone()).and_then(|old| old.node);
        self.unname(replaced.filter(|old| Some(*old) != entry.node), parent, &name);
        Ok(())
    }

    fn remove_entry(&mut self, parent: NodeNumber, name: &str) -> Result<(), &'static str> {
        let removed = self.entries_mut(parent)?.remove(name).and_then(|old| old.node);
        self.unname(removed, parent, name);
        Ok(())
    }

    /// The node has lost this name; it may have got another one in the same record.
    fn unname(&mut self, number: Option<NodeNumber>, parent: NodeNumber, name: &str) {
        if let Some(node) = number.and_then(|number| self.nodes.get_mut(&number))
            && node.parent.as_ref().is_some_and(|(at, called)| *at == parent && **called == *name)
        {
            node.parent = None;
        }
    }

    fn set_event(&mut self, seq: EventSeq, record: EventRecord, now: Instant) {
        self.next_event = self.next_event.max(seq.0 + 1);
        if let Some(event) = self.events.get_mut(&seq) {
            event.record = record;
            self.note_frozen(seq);
            return;
        }
        let size_bytes = match record.action {
            EventAction::Put { node } => self.place_event(seq, node),
            EventAction::Remove { .. } => 0,
        };
        let is_directory = self.is_directory_event(&record);
        let paths = std::iter::once(&record.path).chain(&record.formerly).map(AsRef::as_ref);
        let footprint = Footprint::new(paths, is_directory, self.tree_depth);
        self.order.insert(seq, &footprint);
        let event = Event {
            record,
            footprint,
            state: EventState::Waiting,
            since: now,
            changed: now,
            not_before: None,
            hastened: None,
            size_bytes,
            taken_meta_generation: 0,
        };
        if matches!(event.record.action, EventAction::Put { .. }) && !event.record.formerly.is_empty() {
            self.moved_puts.insert(seq);
        }
        if matches!(event.record.action, EventAction::Remove { .. }) {
            self.removes.insert((event.record.path.clone(), seq));
        }
        self.events.insert(seq, event);
        self.note_frozen(seq);
        self.reschedule(seq);
    }

    /// The node's next close makes another event when this one has a content of its own.
    fn note_frozen(&mut self, seq: EventSeq) {
        let Some(record) = self.events.get(&seq).map(|event| &event.record) else { return };
        if let (EventAction::Put { node }, Some(_)) = (&record.action, &record.frozen)
            && let Some(node) = self.nodes.get_mut(node)
        {
            node.event.take_if(|event| *event == seq);
            if !node.frozen.contains(&seq) {
                node.frozen.push(seq);
            }
        }
    }

    /// A file was written to for the first time since its last event.
    pub(crate) fn note_being_written(&mut self, number: NodeNumber, now: Instant) {
        self.written.entry(number).or_insert(now);
        if let Some(seq) = self.nodes.get(&number).and_then(|node| node.event) {
            self.reschedule(seq);
        }
    }

    /// Something that decides when the event is due has changed.
    pub(crate) fn reschedule(&mut self, seq: EventSeq) {
        let Some(event) = self.events.get(&seq) else { return };
        let file = match event.record.action {
            EventAction::Put { node } => self.file(node).ok(),
            EventAction::Remove { .. } => None,
        };
        let is_being_written = file.is_some_and(|file| file.content.lock().is_being_written());
        let due = self.schedule.due(event, is_being_written);
        self.schedule.set(seq, (event.state == EventState::Waiting).then_some(due));
    }

    /// Tells the node that this is its event now, and gives its size.
    fn place_event(&mut self, seq: EventSeq, number: NodeNumber) -> u64 {
        let Some(node) = self.nodes.get_mut(&number) else { return 0 };
        node.event = Some(seq);
        self.written.remove(&number);
        match &node.body {
            Body::File(file) => {
                let mut content = file.content.lock();
                content.event_generation = content.generation;
                content.is_in_written = false;
                content.now.size_bytes
            }
            _ => 0,
        }
    }

    fn is_directory_event(&self, record: &EventRecord) -> bool {
        match &record.action {
            EventAction::Put { node } => {
                self.nodes.get(node).is_some_and(|node| matches!(node.body, Body::Directory(_)))
            }
            EventAction::Remove { below, .. } => below.is_directory(),
        }
    }

    /// Is it the put of a node that has gone, or that is put elsewhere by now?
    pub(crate) fn is_orphan(&self, seq: EventSeq) -> bool {
        match self.events.get(&seq).map(|event| &event.record.action) {
            Some(EventAction::Put { node }) => {
                let is_its = |node: &Node| node.event == Some(seq) || node.frozen.contains(&seq);
                !self.nodes.get(node).is_some_and(|node| is_its(node) && node.parent.is_some())
            }
            _ => false,
        }
    }

    /// Puts that were sent and that nobody wants any more have a remove, or another put, that looks after what they
    /// left. No worker has them after a start.
    pub(crate) fn drop_orphans(&mut self) {
        let orphans: Vec<_> = self.events.keys().copied().filter(|seq| self.is_orphan(*seq)).collect();
        orphans.into_iter().for_each(|seq| self.remove_event(seq));
    }

    fn remove_event(&mut self, seq: EventSeq) {
        let Some(event) = self.events.remove(&seq) else { return };
        self.order.remove(seq, &event.footprint);
        self.schedule.set(seq, None);
        self.moved_puts.remove(&seq);
        self.removes.remove(&(event.record.path, seq));
        if let EventAction::Put { node } = event.record.action
            && let Some(node) = self.nodes.get_mut(&node)
        {
            node.event.take_if(|event| *event == seq);
            node.frozen.retain(|event| *event != seq);
        }
    }

    pub(crate) fn file(&self, number: NodeNumber) -> Result<&Arc<FileNode>, &'static str> {
        match self.nodes.get(&number).map(|node| &node.body) {
            Some(Body::File(file)) => Ok(file),
            _ => Err("data of a node that is no file"),
        }
    }

    fn entries_mut(&mut self, number: NodeNumber) -> Result<&mut BTreeMap<Box<str>, Entry>, &'static str> {
        match self.nodes.get_mut(&number).map(|node| &mut node.body) {
            Some(Body::Directory(entries)) => Ok(entries),
            _ => Err("a name in a node that is no directory"),
        }
    }

    /// The entries of a directory.
    pub(crate) fn entries(&self, number: NodeNumber) -> Option<&BTreeMap<Box<str>, Entry>> {
        match self.nodes.get(&number).map(|node| &node.body) {
            Some(Body::Directory(entries)) => Some(entries),
            _ => None,
        }
    }

    /// What is at a name.
    pub(crate) fn entry(&self, parent: NodeNumber, name: &str) -> Option<&Entry> {
        self.entries(parent).and_then(|entries| entries.get(name))
    }

    /// Path of a node in the mount, without a leading slash; `None` when it has no name any more.
    pub(crate) fn path(&self, number: NodeNumber) -> Option<String> {
        let mut names = Vec::new();
        let mut at = number;
        while at != NodeNumber::ROOT {
            let (parent, name) = self.nodes.get(&at)?.parent.as_ref()?;
            names.push(name.as_ref());
            at = *parent;
        }
        names.reverse();
        Some(names.join("/"))
    }

    /// Path of a name.
    pub(crate) fn path_of(&self, parent: NodeNumber, name: &str) -> Option<String> {
        let mut path = self.path(parent)?;
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(name);
        Some(path)
    }

    /// The directory and the last name of a path, as far as the tree has them.
    pub(crate) fn find<'p>(&self, path: &'p str) -> Option<(NodeNumber, &'p str)> {
        let (directories, name) =
            path.rsplit_once('/').map_or((None, path), |(above, name)| (Some(above), name));
        let mut at = NodeNumber::ROOT;
        for directory in directories.into_iter().flat_map(|above| above.split('/')) {
            at = self.entry(at, directory)?.node?;
        }
        Some((at, name))
    }

    /// Does a remove of this very version wait at a path?
    pub(crate) fn has_remove_of(&self, path: &str, gone: &Base) -> bool {
        let at_it = self.removes.range((Box::from(path), EventSeq(0))..).take_while(|(at, _)| **at == *path);
        let is_it = |seq: &EventSeq| {
            let action = self.events.get(seq).map(|event| &event.record.action);
            matches!(action, Some(EventAction::Remove { below, .. }) if below == gone)
        };
        at_it.map(|(_, seq)| seq).any(is_it)
    }

    /// The key of a directory of which the store still has something that waits to be removed.
    pub(crate) fn remains_below(&self, path: &str) -> Option<Base> {
        let inside = format!("{path}/");
        let (at, seq) = self.removes.range((Box::from(inside.as_str()), EventSeq(0))..).next()?;
        let EventAction::Remove { below, .. } = &self.events.get(seq)?.record.action else { return None };
        at.starts_with(&inside).then(|| below.directory_above(&at[path.len()..]))?
    }

    /// Does a remove wait at or below a path, beside this one?
    pub(crate) fn has_removes(&self, path: &str, except: EventSeq) -> bool {
        let from = |path: &str| self.removes.range((Box::from(path), EventSeq(0))..);
        let at_it = from(path).take_while(|(at, _)| **at == *path);
        let inside = format!("{path}/");
        let below = from(&inside).take_while(|(at, _)| at.starts_with(&inside));
        at_it.chain(below).any(|(_, seq)| *seq != except)
    }

    /// Is `number` the same as `above`, or below it?
    pub(crate) fn is_within(&self, number: NodeNumber, above: NodeNumber) -> bool {
        let mut at = number;
        while at != above {
            match self.nodes.get(&at).and_then(|node| node.parent.as_ref()) {
                Some((parent, _)) => at = *parent,
                None => return false,
            }
        }
        true
    }

    /// The node as users see it.
    pub(crate) fn view(&self, number: NodeNumber, flushed: RecordSeq) -> Option<NodeView> {
        let node = self.nodes.get(&number)?;
        let mut attributes = node.meta.attributes;
        let mut version = None;
        let mut local_bytes = 0;
        let kind = match (&node.meta.kind, &node.body) {
            (NodeKind::Symlink { target }, _) => Kind::Symlink { target: target.clone() },
            (_, Body::File(file)) => {
                let content = file.content.lock();
                attributes.mtime = content.mtime;
                attributes.ctime = attributes.ctime.max(content.mtime);
                version = content.now.base.as_ref().and_then(|base| base.version.clone());
                local_bytes = content.now.local.total_bytes();
                Kind::File { size_bytes: content.now.size_bytes }
            }
            (NodeKind::Directory { opaque }, _) => Kind::Directory { opaque: *opaque },
            (NodeKind::File, _) => return None,
        };
        let durability = self.durability(node, flushed);
        version = version.filter(|_| durability == Durability::Remote);
        Some(NodeView { number, kind, attributes, durability, version, local_bytes })
    }

    fn durability(&self, node: &Node, flushed: RecordSeq) -> Durability {
        let is_recorded = node.recorded <= flushed;
        let (is_remote, is_local) = match &node.body {
            Body::File(file) => {
                let content = file.content.lock();
                let is_synced = content.generation == content.synced_generation;
                (node.meta.is_remote && !content.is_dirty, is_synced && is_recorded)
            }
            _ => (node.meta.is_remote, is_recorded),
        };
        let is_taken = node
            .event
            .and_then(|seq| self.events.get(&seq))
            .is_some_and(|event| event.state == EventState::Taken);
        match (is_remote, is_taken, is_local) {
            (true, ..) => Durability::Remote,
            (_, true, _) => Durability::Uploading,
            (.., true) => Durability::Local,
            _ => Durability::Accepted,
        }
    }
}

impl Node {
    fn new(meta: NodeMeta, body: Body) -> Self {
        Self {
            meta,
            body,
            parent: None,
            references: 0,
            event: None,
            frozen: Vec::new(),
            meta_generation: 0,
            recorded: RecordSeq(0),
        }
    }

    pub(crate) fn node_type(&self) -> NodeType {
        match self.body {
            Body::File(_) => NodeType::File,
            Body::Directory(_) => NodeType::Directory,
            Body::Symlink => NodeType::Symlink,
        }
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }

    /// Is it a file or symlink that the store has as it is, and that nobody is about to change?
    pub(crate) fn is_idle_copy(&self) -> bool {
        let is_idle = match &self.body {
            Body::File(file) => {
                let content = file.content.lock();
                !content.is_dirty && content.writers == 0
            }
            Body::Symlink => true,
            Body::Directory(_) => false,
        };
        self.meta.is_remote && self.event.is_none() && is_idle
    }

    /// Does anybody need it although it has no name?
    pub(crate) fn is_held(&self) -> bool {
        self.references > 0 || matches!(&self.body, Body::File(file) if file.content.lock().handles > 0)
    }
}

impl Body {
    fn new(meta: &NodeMeta, space: Arc<Space>) -> Self {
        match meta.kind {
            NodeKind::File => {
                let mtime: Moment = meta.attributes.mtime;
                let file = FileNode::new(crate::record::FileData::default(), mtime, space);
                file.update(|content| content.is_dirty = !meta.is_remote);
                Body::File(Arc::new(file))
            }
            NodeKind::Directory { .. } => Body::Directory(BTreeMap::new()),
            NodeKind::Symlink { .. } => Body::Symlink,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `files_max` is a bound of memory only as long as a node is one. Beside these there are two copies of its name, an
    /// entry of its directory, and a waiting event when it has one; `examples/staging_bench` measures the sum.
    #[test]
    fn a_node_is_small() {
        assert!(size_of::<Node>() <= 320, "{}", size_of::<Node>());
        assert!(size_of::<FileNode>() <= 512, "{}", size_of::<FileNode>());
    }
}
