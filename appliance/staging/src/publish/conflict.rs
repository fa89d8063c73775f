//! The store has something else than what a change was made from: the local file steps aside.

use crate::error::StageError;
use crate::journal::Room;
use crate::plan::Plan;
use crate::record::{Change, Entry, EventAction, NodeKind};
use crate::staging::Staging;
use crate::tree::{Body, Tree};
use crate::types::{EventSeq, NAME_BYTES_MAX, NodeNumber};

/// Copies set aside of one name before it is refused.
const COPIES_MAX: u32 = 10_000;

impl Staging {
    /// The store has another version at the path of this event. A local file moves to `NAME.forebay-conflict-HOST-N`
    /// beside it and is published there, and the name shows what the store has; a remove is forgotten. Gives the new
    /// path of the local file, when there is one.
    pub fn conflict(&self, seq: EventSeq, host: &str) -> Result<Option<String>, StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let event = tree.events.get(&seq).ok_or(StageError::NoEvent { seq })?;
        let mut plan = Plan::new(&tree);
        let new_path = match &event.record.action {
            EventAction::Remove { below, .. } => {
                super::plan_removed(&mut plan, seq, &event.record.path, below);
                None
            }
            EventAction::Put { node } if tree.nodes.get(node).is_some_and(|node| node.event == Some(seq)) => {
                plan.changes.push(Change::EventGone { seq });
                plan_aside(&mut plan, *node, host)?
            }
            EventAction::Put { .. } => {
                plan.changes.push(Change::EventGone { seq });
                None
            }
        };
        let changes = plan.changes;
        self.shared.commit(&mut tree, changes, Room::Grows)?;
        Ok(new_path)
    }
}

fn plan_aside(plan: &mut Plan<'_>, number: NodeNumber, host: &str) -> Result<Option<String>, StageError> {
    let tree = plan.tree;
    let Some((parent, name)) = plan.node(number)?.parent.clone() else { return Ok(None) };
    let aside = free_name(tree, parent, &name, host)?;
    plan.changes.push(Change::EntryGone { parent, name });
    plan.set_entry(parent, &aside, Entry { node: Some(number), below: None });
    show_store(plan, parent)?;
    let path = plan.path_of(parent, &aside)?;
    plan.put(number, path.clone(), Vec::new());
    Ok(Some(path.into()))
}

fn free_name(tree: &Tree, parent: NodeNumber, name: &str, host: &str) -> Result<String, StageError> {
    let host: String = host
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || "-.".contains(*letter))
        .take(64)
        .collect();
    let names = (1..=COPIES_MAX).map(|copy| {
        let suffix = format!(".forebay-conflict-{host}-{copy}");
        let mut stem = name;
        while stem.len() + suffix.len() > NAME_BYTES_MAX {
            stem = &stem[..stem.floor_char_boundary(stem.len() - 1)];
        }
        format!("{stem}{suffix}")
    });
    let mut free = names.filter(|name| tree.entry(parent, name).is_none());
    free.next().ok_or(StageError::Invalid("too many conflicting copies of one file"))
}

/// The directory has to let the store's names through.
fn show_store(plan: &mut Plan<'_>, directory: NodeNumber) -> Result<(), StageError> {
    let node = plan.node(directory)?;
    if let (Body::Directory(_), NodeKind::Directory { opaque: true }) = (&node.body, &node.meta.kind) {
        let mut meta = node.meta.clone();
        meta.kind = NodeKind::Directory { opaque: false };
        plan.set_node(directory, meta);
    }
    Ok(())
}
