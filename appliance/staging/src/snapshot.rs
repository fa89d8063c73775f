//! The tree as changes, for a journal that begins anew.

use crate::content::FileNode;
use crate::record::{Change, Entry};
use crate::tree::{Body, Node, Tree};
use crate::types::NodeNumber;

/// Changes in one record; a record of this many stays far below the longest one.
const CHANGES_A_RECORD: usize = 512;

/// Everything that the tree knows, as records: nodes before names, and names before events.
pub(crate) fn snapshot(tree: &Tree) -> impl Iterator<Item = Vec<Change>> + '_ {
    let counters = Change::Counters { node: tree.next_node, event: tree.next_event };
    let nodes = tree.nodes.iter().flat_map(|(number, node)| node_changes(*number, node));
    let entries = tree.nodes.iter().flat_map(|(number, node)| entry_changes(*number, node));
    let events =
        tree.events.iter().map(|(seq, event)| Change::Event { seq: *seq, event: event.record.clone() });
    let mut all = std::iter::once(counters).chain(nodes).chain(entries).chain(events);
    std::iter::from_fn(move || {
        let changes: Vec<_> = all.by_ref().take(CHANGES_A_RECORD).collect();
        (!changes.is_empty()).then_some(changes)
    })
}

fn node_changes(number: NodeNumber, node: &Node) -> Vec<Change> {
    let mut meta = node.meta.clone();
    let mut changes = Vec::new();
    if let Body::File(file) = &node.body {
        meta.attributes.mtime = file.content.lock().mtime;
        changes = data_changes(number, file);
    }
    changes.insert(0, Change::Node { number, meta });
    changes
}

/// What is on the disk, and what is further than that: a power cut may still come before it is flushed.
fn data_changes(number: NodeNumber, file: &FileNode) -> Vec<Change> {
    let content = file.content.lock();
    let mut changes = vec![Change::Data { number, data: content.synced().clone() }];
    if content.now.base.is_some() {
        let wrote = content.now.changed.iter();
        changes.extend(wrote.map(|range| Change::Wrote { number, start: range.start, end: range.end }));
    }
    changes.extend(content.resumable.clone().map(|upload| Change::Upload { number, upload: Some(upload) }));
    changes
}

fn entry_changes(parent: NodeNumber, node: &Node) -> impl Iterator<Item = Change> + '_ {
    let entries = match &node.body {
        Body::Directory(entries) => Some(entries),
        _ => None,
    };
    let change =
        move |name: &str, entry: &Entry| Change::Entry { parent, name: name.into(), entry: entry.clone() };
    entries.into_iter().flatten().map(move |(name, entry)| change(name, entry))
}
