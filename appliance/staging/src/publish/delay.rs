//! Files that are written without being closed or synced, as logs are.

use std::time::Instant;

use crate::tree::{Body, Tree};
use crate::types::NodeNumber;

/// Files that are being written without an event, and when they need one.
fn open_files(tree: &Tree) -> impl Iterator<Item = (NodeNumber, Instant)> + '_ {
    tree.written.iter().filter_map(move |(number, since)| {
        let node = tree.nodes.get(number).filter(|node| node.event.is_none() && node.parent.is_some())?;
        let Body::File(file) = &node.body else { return None };
        let size_bytes = file.content.lock().now.size_bytes;
        let period = tree.schedule.delay(&tree.path(*number)?, size_bytes).while_open?;
        Some((*number, *since + period))
    })
}

/// Files that need an event by now.
pub(super) fn overdue_open(tree: &Tree, now: Instant) -> Vec<NodeNumber> {
    open_files(tree).filter(|(_, due)| *due <= now).map(|(number, _)| number).collect()
}

/// When the next file needs an event.
pub(super) fn next_open(tree: &Tree) -> Option<Instant> {
    open_files(tree).map(|(_, due)| due).min()
}
