//! Renames: what moves, what it replaces, and what that means for the store.
//!
//! A store has no rename. The node is put at its new path from the rename's place in the order on, and what the store has
//! at the old path is removed after that. With a directory everything below it moves, in the order in which it was
//! published or is going to be, so that a manifest still comes after its shards.

use crate::error::StageError;
use crate::journal::Room;
use crate::plan::Plan;
use crate::record::{Change, Entry, EventAction, NodeKind};
use crate::shared::Shared;
use crate::staging::Staging;
use crate::tree::{Body, Node, Tree};
use crate::types::{Base, EventSeq, NodeNumber, RenameMode};

use super::check_empty;

/// Replacements that one flush takes along; more than that without a flush are on their own, as POSIX has it.
const REPLACEMENTS_MAX: usize = 1024;

/// A name in a directory.
pub type Place<'n> = (NodeNumber, &'n str);

impl Staging {
    /// Renames a node of the tree. A clean source has to be adopted first, with all that is below it when it is a
    /// directory. `below` is what the store has at a target that the tree does not have.
    pub fn rename(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        mode: RenameMode,
        below: Option<Base>,
    ) -> Result<(), StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let mut plan = Plan::new(&tree);
        let source = plan.entry(from.0, from.1)?.and_then(|entry| entry.node).ok_or(StageError::NotFound)?;
        let target = plan.entry(to.0, to.1)?;
        let target_node = target.and_then(|entry| entry.node);
        if target_node == Some(source) {
            return Ok(());
        }
        check_loops(&tree, source, to.0)?;
        match (mode, target_node) {
            (RenameMode::NoReplace, Some(_)) => return Err(StageError::Exists),
            (RenameMode::NoReplace, None) if target.is_none() && below.is_some() => {
                return Err(StageError::Exists);
            }
            (RenameMode::Exchange, None) => return Err(StageError::NotFound),
            (RenameMode::Exchange, Some(other)) => {
                check_loops(&tree, other, from.0)?;
                exchange(&mut plan, (from, source), (to, other))?;
            }
            _ => replace(&mut plan, (from, source), to, below)?,
        }
        let now = self.shared.moment();
        for number in [Some(source), target_node].into_iter().flatten() {
            plan.rename_at(number, now)?;
        }
        plan.touch(from.0, now);
        plan.touch(to.0, now);
        let changes = plan.changes;
        check_rename_max(&changes, self.shared.options.rename_max)?;
        self.shared.commit(&mut tree, changes, Room::Grows)?;
        if let Some(number) = target_node {
            self.shared.note_replacement(&tree, source);
            self.shared.drop_if_useless(&mut tree, number);
        }
        Ok(())
    }
}

impl Shared {
    /// `write, rename over, power cut` must not leave an empty file where a full one was.
    fn note_replacement(&self, tree: &Tree, number: NodeNumber) {
        let is_synced = tree.file(number).is_ok_and(|file| {
            let content = file.content.lock();
            content.generation == content.synced_generation
        });
        let mut unsynced = self.unsynced_replacements.lock();
        if !is_synced && unsynced.len() < REPLACEMENTS_MAX {
            unsynced.push(number);
        }
    }
}

fn check_loops(tree: &Tree, source: NodeNumber, target_directory: NodeNumber) -> Result<(), StageError> {
    if tree.is_within(target_directory, source) { Err(StageError::Loop) } else { Ok(()) }
}

fn check_rename_max(changes: &[Change], limit: usize) -> Result<(), StageError> {
    let is_put = |change: &&Change| matches!(change, Change::Event { event, .. } if matches!(event.action, EventAction::Put { .. }));
    let files = changes.iter().filter(is_put).count();
    if files > limit { Err(StageError::RenameMax { files, limit }) } else { Ok(()) }
}

fn replace(
    plan: &mut Plan<'_>,
    (from, source): (Place<'_>, NodeNumber),
    to: Place<'_>,
    below: Option<Base>,
) -> Result<(), StageError> {
    let node = plan.node(source)?;
    let target = plan.entry(to.0, to.1)?;
    let mut below = target.map_or(below, |entry| entry.below.clone());
    if let Some(replaced) = target.and_then(|entry| entry.node) {
        let replaced = plan.node(replaced)?;
        check_kinds(node, replaced)?;
        below = plan.drop_put(replaced).or(below);
    }
    let old_path = plan.path_of(from.0, from.1)?;
    let new_path = plan.path_of(to.0, to.1)?;
    let left = leave(plan, from, node)?;
    plan.set_entry(to.0, to.1, Entry { node: Some(source), below });
    arrive(plan, Some(from), Move { number: source, old_path, new_path, left, place: (to.0, to.1.into()) })
}

fn check_kinds(source: &Node, target: &Node) -> Result<(), StageError> {
    match (source.is_directory(), target.is_directory()) {
        (true, true) => check_empty(target),
        (true, false) => Err(StageError::NotADirectory),
        (false, true) => Err(StageError::IsADirectory),
        (false, false) => Ok(()),
    }
}

/// The node goes away from a name; gives what the store has, or may have, there.
fn leave(plan: &mut Plan<'_>, from: Place<'_>, node: &Node) -> Result<Option<Base>, StageError> {
    let below = plan.entry(from.0, from.1)?.and_then(|entry| entry.below.clone());
    let left = plan.drop_put(node).or(below);
    plan.vacate(from.0, from.1, left.clone());
    Ok(left)
}

fn exchange(
    plan: &mut Plan<'_>,
    (from, source): (Place<'_>, NodeNumber),
    (to, other): (Place<'_>, NodeNumber),
) -> Result<(), StageError> {
    let (node, other_node) = (plan.node(source)?, plan.node(other)?);
    let has_directory = node.is_directory() || other_node.is_directory();
    if has_directory && (has_below(plan.tree, source) || has_below(plan.tree, other)) {
        return Err(StageError::NotSupported("exchange of a directory that the store has"));
    }
    let below_at = |plan: &mut Plan<'_>, place: Place<'_>, node| -> Result<Option<Base>, StageError> {
        let below = plan.entry(place.0, place.1)?.and_then(|entry| entry.below.clone());
        Ok(plan.drop_put(node).or(below))
    };
    let below_from = below_at(plan, from, node)?;
    let below_to = below_at(plan, to, other_node)?;
    plan.set_entry(from.0, from.1, Entry { node: Some(other), below: below_from });
    plan.set_entry(to.0, to.1, Entry { node: Some(source), below: below_to });
    let from_path = plan.path_of(from.0, from.1)?;
    let to_path = plan.path_of(to.0, to.1)?;
    let there = Move {
        number: source,
        old_path: from_path.clone(),
        new_path: to_path.clone(),
        left: None,
        place: (to.0, to.1.into()),
    };
    arrive(plan, None, there)?;
    arrive(
        plan,
        None,
        Move {
            number: other,
            old_path: to_path,
            new_path: from_path,
            left: None,
            place: (from.0, from.1.into()),
        },
    )
}

/// Does the store have the node, or anything below it?
fn has_below(tree: &Tree, number: NodeNumber) -> bool {
    let Some(node) = tree.nodes.get(&number) else { return false };
    let entry = node.parent.as_ref().and_then(|(parent, name)| tree.entry(*parent, name));
    let is_sent =
        node.event.and_then(|seq| tree.events.get(&seq)).is_some_and(|event| event.record.sent_to.is_some());
    is_sent
        || entry.is_some_and(|entry| entry.below.is_some())
        || tree.entries(number).is_some_and(|entries| {
            entries
                .values()
                .any(|entry| entry.below.is_some() || entry.node.is_some_and(|child| has_below(tree, child)))
        })
}

/// A node that has got another path.
struct Move {
    number: NodeNumber,
    old_path: Box<str>,
    new_path: Box<str>,
    /// What the store has at the old path.
    left: Option<Base>,
    /// Where it is now.
    place: (NodeNumber, Box<str>),
}

/// Makes the events of a move, of the node and of all that is below it: directories from the top, then files and
/// symlinks by their place in the order, then what goes away.
fn arrive(plan: &mut Plan<'_>, from: Option<Place<'_>>, moved: Move) -> Result<(), StageError> {
    let mut moves = Vec::new();
    collect_moves(plan, moved, &mut moves)?;
    if let Some(from) = from {
        hide_remains(plan, from, &mut moves);
    }
    moves.sort_by_cached_key(|moved| sort_key(plan.tree, moved));
    for moved in &moves {
        put_moved(plan, moved)?;
    }
    // The other way round: what was published last goes first, and directories after what was in them.
    for moved in moves.into_iter().rev() {
        follow_up_removes(plan, &moved);
        if let Some(left) = moved.left {
            plan.remove(moved.old_path, left, Some((moved.number, moved.new_path)));
        }
    }
    Ok(())
}

/// The old name of a directory must not show what the store has in it until that is removed. The directory is the last of
/// the moves.
fn hide_remains(plan: &mut Plan<'_>, from: Place<'_>, moves: &mut [Move]) {
    let Some((root, inner)) = moves.split_last_mut() else { return };
    if root.left.is_some() {
        return;
    }
    let of_move = |moved: &Move| moved.left.as_ref()?.directory_above(&moved.old_path[root.old_path.len()..]);
    root.left = inner.iter().find_map(of_move).or_else(|| plan.tree.remains_below(&root.old_path));
    if root.left.is_some() {
        plan.set_entry(from.0, from.1, Entry { node: None, below: root.left.clone() });
    }
}

type SortKey = (bool, usize, EventSeq, crate::types::Moment);

fn sort_key(tree: &Tree, moved: &Move) -> SortKey {
    let Some(node) = tree.nodes.get(&moved.number) else { return SortKey::default() };
    let depth = if node.is_directory() { moved.new_path.matches('/').count() } else { 0 };
    (!node.is_directory(), depth, node.event.unwrap_or(node.meta.placed), node.meta.attributes.mtime)
}

fn collect_moves(plan: &mut Plan<'_>, moved: Move, moves: &mut Vec<Move>) -> Result<(), StageError> {
    let directory = moved.number;
    let node = plan.node(directory)?;
    if let Body::Directory(entries) = &node.body {
        for (name, entry) in entries {
            let Some(child) = entry.node else {
                plan.changes.push(Change::EntryGone { parent: moved.number, name: name.clone() });
                continue;
            };
            let left = plan.drop_put(plan.node(child)?).or_else(|| entry.below.clone());
            if entry.below.is_some() {
                plan.set_entry(moved.number, name, Entry { node: Some(child), below: None });
            }
            let old_path = format!("{}/{name}", moved.old_path).into();
            let new_path = format!("{}/{name}", moved.new_path).into();
            collect_moves(
                plan,
                Move { number: child, old_path, new_path, left, place: (directory, name.clone()) },
                moves,
            )?;
        }
    }
    moves.push(moved);
    Ok(())
}

fn put_moved(plan: &mut Plan<'_>, moved: &Move) -> Result<(), StageError> {
    let node = plan.node(moved.number)?;
    let mut meta = node.meta.clone();
    // What the store has is not at this path, and what it has at this path is not this.
    meta.is_remote = false;
    if let NodeKind::Directory { opaque } = &mut meta.kind {
        *opaque = true;
    }
    if meta != node.meta {
        plan.set_node(moved.number, meta);
    }
    let mut formerly = plan.former_paths(node);
    if !formerly.contains(&moved.old_path) {
        formerly.push(moved.old_path.clone());
    }
    plan.put(moved.number, moved.new_path.clone(), formerly);
    Ok(())
}

/// Removes of paths that the node had before have to come after its put, wherever that is now: the put may copy from
/// there. Where this or another node has taken the path, its put replaces what is there.
fn follow_up_removes(plan: &mut Plan<'_>, moved: &Move) {
    let tree = plan.tree;
    let Some(seq) = tree.nodes.get(&moved.number).and_then(|node| node.event) else { return };
    for (remove_seq, event) in tree.events.range(seq..) {
        let EventAction::Remove { below, moved: Some(number) } = &event.record.action else { continue };
        if *number != moved.number {
            continue;
        }
        plan.changes.push(Change::EventGone { seq: *remove_seq });
        let path = &event.record.path;
        if *path == moved.new_path {
            let entry = Entry { node: Some(moved.number), below: Some(below.clone()) };
            plan.set_entry(moved.place.0, &moved.place.1, entry);
        } else if let Some(((parent, name), taker)) = taken(tree, path, below) {
            plan.set_entry(parent, name, Entry { node: Some(taker), below: Some(below.clone()) });
        } else {
            plan.remove_again(path.clone(), below.clone(), Some((moved.number, moved.new_path.clone())));
        }
    }
}

/// The node at a path, when it is put under the same key.
fn taken<'p>(tree: &Tree, path: &'p str, below: &Base) -> Option<(Place<'p>, NodeNumber)> {
    let (parent, name) = tree.find(path)?;
    let number = tree.entry(parent, name)?.node?;
    let is_same = tree.nodes.get(&number)?.is_directory() == below.is_directory();
    is_same.then_some(((parent, name), number))
}
