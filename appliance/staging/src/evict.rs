//! Copies of what the store has: kept for readers until their space, or their place in the tree, is wanted.

use crate::error::StageError;
use crate::extents::Extents;
use crate::journal::Room;
use crate::record::{Change, NodeKind};
use crate::staging::Staging;
use crate::tree::{Body, Node};
use crate::types::{Attributes, NodeNumber};

/// Files that one record evicts.
const EVICTED_A_RECORD: usize = 256;

impl Staging {
    /// Drops kept copies of files that nobody has open, those first that were published longest ago, until this many
    /// bytes are free or none is left. Gives the number of bytes. Never touches what the store lacks. Blocks: the
    /// copies go once no power cut can bring back the time when they were needed.
    pub fn evict_kept(&self, bytes: u64) -> Result<u64, StageError> {
        let shared = &self.shared;
        let mut freed = 0;
        while freed < bytes {
            let mut tree = shared.tree_to_change()?;
            let mut kept: Vec<_> = tree
                .nodes
                .iter()
                .filter_map(|(number, node)| Some((node.meta.placed, *number, kept_bytes(node)?)))
                .collect();
            kept.sort_unstable();
            let mut changes = Vec::new();
            let mut dropped = Vec::new();
            for (_, number, kept_bytes) in kept.into_iter().take(EVICTED_A_RECORD) {
                if freed >= bytes {
                    break;
                }
                let file = tree.file(number).map_err(StageError::Invalid)?;
                let mut data = file.content.lock().now.clone();
                data.local = Extents::default();
                changes.push(Change::Data { number, data });
                dropped.push(number);
                freed += kept_bytes;
            }
            if changes.is_empty() {
                break;
            }
            let seq = shared.commit(&mut tree, changes, Room::Frees)?;
            for number in dropped {
                if let Ok(file) = tree.file(number) {
                    file.update(|content| content.has_backing = false);
                }
                shared.graveyard.lock().push((seq, number));
            }
            drop(tree);
            shared.flush(seq)?;
        }
        Ok(freed)
    }

    /// Nodes that the store has in full and that nothing refers to, at most `limit`, those first that were published
    /// longest ago: the namespace can take them over. Only those whose attributes it would show the same
    /// (`is_shown_so`, told whether it is a directory); links and extended attributes it never does.
    pub fn releasable(
        &self,
        limit: usize,
        is_shown_so: impl Fn(&Attributes, bool) -> bool,
    ) -> Vec<NodeNumber> {
        let tree = self.shared.tree.lock();
        let mut found: Vec<_> = tree
            .nodes
            .iter()
            .filter(|(number, node)| **number != NodeNumber::ROOT && is_releasable(node))
            .filter(|(_, node)| is_shown_so(&node.meta.attributes, node.is_directory()))
            .map(|(number, node)| (node.meta.placed, *number))
            .collect();
        found.sort_unstable();
        found.into_iter().take(limit).map(|(_, number)| number).collect()
    }

    /// Forgets a node that the store has in full: its name is the namespace's business again. False when it is
    /// referred to, has names in it, or only this host knows something of it.
    pub fn release(&self, number: NodeNumber) -> Result<bool, StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let Some(node) =
            tree.nodes.get(&number).filter(|node| number != NodeNumber::ROOT && is_releasable(node))
        else {
            return Ok(false);
        };
        let Some((parent, name)) = node.parent.clone() else { return Ok(false) };
        let changes = vec![Change::EntryGone { parent, name }, Change::NodeGone { number }];
        let had_backing = tree.file(number).is_ok_and(|file| file.content.lock().has_backing);
        let seq = self.shared.commit(&mut tree, changes, Room::Frees)?;
        if had_backing {
            self.shared.graveyard.lock().push((seq, number));
        }
        Ok(true)
    }
}

/// Bytes here that the store has too, of a file that nobody has open.
fn kept_bytes(node: &Node) -> Option<u64> {
    let Body::File(file) = &node.body else { return None };
    let content = file.content.lock();
    let is_kept = node.meta.is_remote && !content.is_dirty && node.event.is_none() && content.handles == 0;
    Some(content.now.local.total_bytes()).filter(|bytes| is_kept && *bytes > 0)
}

fn is_releasable(node: &Node) -> bool {
    let is_remote = node.meta.is_remote && node.event.is_none() && node.parent.is_some() && !node.is_held();
    is_remote
        && node.meta.xattrs.is_empty()
        && match &node.body {
            Body::File(file) => !file.content.lock().is_dirty,
            Body::Directory(entries) => {
                entries.is_empty() && node.meta.kind == NodeKind::Directory { opaque: false }
            }
            Body::Symlink => false,
        }
}
