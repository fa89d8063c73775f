//! When a change has waited long enough.

use std::time::Instant;

use crate::options::DelayRule;
use crate::record::EventAction;
use crate::tree::{Body, Event, Tree};
use crate::types::NodeNumber;

/// When an event may be taken.
pub(super) fn due(tree: &Tree, event: &Event, rule: &DelayRule) -> Instant {
    let delay = rule(&event.record.path, event.size_bytes);
    let latest = event.since + delay.at_most;
    let due = match event.hastened {
        Some(asked) => asked,
        None if delay.while_open.is_none() && is_being_written(tree, event) => latest,
        None => latest.min(event.changed + delay.quiet),
    };
    event.not_before.map_or(due, |not_before| due.max(not_before))
}

/// Has a writer changed the file since its last close or sync?
fn is_being_written(tree: &Tree, event: &Event) -> bool {
    let EventAction::Put { node } = event.record.action else { return false };
    tree.file(node).is_ok_and(|file| {
        let content = file.content.lock();
        content.writers > 0 && content.generation != content.event_generation
    })
}

/// Files that are being written without an event, and when they need one.
fn open_files<'t>(tree: &'t Tree, rule: &'t DelayRule) -> impl Iterator<Item = (NodeNumber, Instant)> + 't {
    tree.written.iter().filter_map(move |(number, since)| {
        let node = tree.nodes.get(number).filter(|node| node.event.is_none() && node.parent.is_some())?;
        let Body::File(file) = &node.body else { return None };
        let size_bytes = file.content.lock().now.size_bytes;
        let period = rule(&tree.path(*number)?, size_bytes).while_open?;
        Some((*number, *since + period))
    })
}

/// Files that need an event by now.
pub(super) fn overdue_open(tree: &Tree, rule: &DelayRule, now: Instant) -> Vec<NodeNumber> {
    open_files(tree, rule).filter(|(_, due)| *due <= now).map(|(number, _)| number).collect()
}

/// When the next file needs an event.
pub(super) fn next_open(tree: &Tree, rule: &DelayRule) -> Option<Instant> {
    open_files(tree, rule).map(|(_, due)| due).min()
}
