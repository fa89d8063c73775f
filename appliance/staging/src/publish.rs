//! Publish events: what has to happen in the store, when, and in which order.
//!
//! Flow of a put: [`Staging::ready`] names it once its delay is over, [`Staging::take`] gives it to one worker,
//! [`Staging::begin_upload`] syncs the file and says what to send, [`Staging::begin_publish`] says whether it is its turn,
//! and [`Staging::published`] records what the store confirmed. A remove has no upload.

mod conflict;
mod delay;
mod freeze;
mod job;

use std::time::{Duration, Instant};

use crate::error::StageError;
use crate::journal::Room;
use crate::plan::Plan;
use crate::record::{Change, Entry, EventAction, NodeKind, NodeMeta};
use crate::shared::Shared;
use crate::staging::Staging;
use crate::tree::{Body, Event, EventState, Node, Tree};
use crate::types::{Base, EventSeq, NodeNumber};

pub use job::{Resumed, Upload, UploadKind};

/// Events that one call of [`Staging::ready`] gives at most.
const READY_MAX: usize = 1024;
/// Files of this size are worth an upload in parts before their turn.
const EARLY_BYTES_MIN: u64 = 8 << 20;

/// What an event asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The path has to show this node.
    Put {
        /// Whose content.
        node: NodeNumber,
    },
    /// The path has to show nothing.
    Remove {
        /// The version to remove; another one is a conflict. Its version is `None` when an upload of this host may have
        /// made it, and nothing else may be removed then.
        below: Base,
    },
}

/// A publish event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventView {
    /// Its place in the order.
    pub seq: EventSeq,
    /// Path in the mount, without a leading slash.
    pub path: Box<str>,
    /// What to do.
    pub action: Action,
    /// Size of the file at its last close or sync.
    pub size_bytes: u64,
}

/// Is it an event's turn?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Send the request that shows it. `replaces` is what the store is expected to have at the path: the request is
    /// conditional on it, or on there being nothing. Without a version it is an object that an earlier put of this host
    /// may have made: ask the store, replace what carries a token of this host, and take anything else as a conflict.
    Now {
        /// The version to replace.
        replaces: Option<Base>,
    },
    /// An earlier related event is not published yet.
    Wait,
    /// The bytes that were uploaded changed meanwhile: upload again.
    Changed,
    /// These files come from the object that the request would replace or remove: bring their data here with
    /// [`StagedFile::fill`](crate::StagedFile::fill), let go of it with
    /// [`StagedFile::detach`](crate::StagedFile::detach), and ask again.
    FillFirst(Vec<NodeNumber>),
}

/// What became of a published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store has what is here.
    Remote,
    /// It was changed since the upload began; a new event waits.
    ChangedMeanwhile,
    /// It was removed or renamed since; a remove waits for what was published.
    Gone,
}

impl Staging {
    /// Events whose delay is over and that nobody has taken, in order, at most 1024 at once: those whose turn it is, and
    /// large files, whose data may go ahead.
    pub fn ready(&self, now: Instant) -> Vec<EventView> {
        let mut tree = self.shared.tree.lock();
        self.shared.note_open_files(&mut tree, now);
        let due = tree.schedule.due_by(now).filter_map(|seq| Some((seq, tree.events.get(&seq)?)));
        let ready = due.filter(|(seq, event)| {
            event.size_bytes >= EARLY_BYTES_MIN || tree.order.may_publish(*seq, &event.footprint)
        });
        let mut ready: Vec<_> = ready.take(READY_MAX).map(|(seq, event)| event_view(seq, event)).collect();
        ready.sort_unstable_by_key(|event| event.seq);
        ready
    }

    /// When the next event that nobody has taken becomes ready, or a file that is being written has to be published. It
    /// may have been long ago, for an event that waits for its turn.
    pub fn next_due(&self) -> Option<Instant> {
        let tree = self.shared.tree.lock();
        tree.schedule.next().into_iter().chain(delay::next_open(&tree)).min()
    }

    /// All events at and below a path, in order.
    pub fn events_below(&self, path: &str) -> Vec<EventView> {
        let tree = self.shared.tree.lock();
        let below = tree.events.iter().filter(|(_, event)| is_at_or_below(&event.record.path, path));
        below.map(|(seq, event)| event_view(*seq, event)).collect()
    }

    /// Makes everything at and below a path, and what has to come before it, due at once. Files that are being
    /// written count as they are now.
    pub fn hasten(&self, path: &str) -> Result<(), StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let now = self.shared.now();
        let written: Vec<_> = tree.written.keys().copied().collect();
        for number in written {
            if tree.path(number).is_some_and(|at| is_at_or_below(&at, path)) {
                self.shared.note_written(&mut tree, number)?;
            }
        }
        let Some(last) = tree.events.iter().rev().find(|(_, event)| is_at_or_below(&event.record.path, path))
        else {
            return Ok(());
        };
        let last = *last.0;
        let earlier: Vec<_> = tree.events.range(..=last).map(|(seq, _)| *seq).collect();
        for seq in earlier {
            if let Some(event) = tree.events.get_mut(&seq) {
                (event.not_before, event.hastened) = (None, Some(now));
            }
            tree.reschedule(seq);
        }
        self.shared.notify();
        Ok(())
    }

    /// Takes an event for one worker.
    pub fn take(&self, seq: EventSeq) -> Result<EventView, StageError> {
        let mut tree = self.shared.tree.lock();
        let event = tree.events.get_mut(&seq).filter(|event| event.state == EventState::Waiting);
        let event = event.ok_or(StageError::NoEvent { seq })?;
        event.state = EventState::Taken;
        let view = event_view(seq, event);
        tree.schedule.set(seq, None);
        Ok(view)
    }

    /// Gives an event back, to be tried again later. One that is gone, or that nobody wants any more, is fine.
    pub fn give_back(&self, seq: EventSeq, retry_after: Duration) {
        let mut tree = self.shared.tree.lock();
        if tree.is_orphan(seq) {
            // When this cannot be recorded, the next start finds that nobody wants it.
            if let Err(error) = self.shared.commit(&mut tree, vec![Change::EventGone { seq }], Room::Frees) {
                tracing::debug!(seq = seq.0, %error, "a put that nobody wants any more is dropped at the next start");
            }
            return;
        }
        let not_before = self.shared.now() + retry_after;
        let Some(event) = tree.events.get_mut(&seq) else { return };
        event.state = EventState::Waiting;
        event.not_before = Some(not_before);
        if let EventAction::Put { node } = event.record.action
            && let Ok(file) = tree.file(node)
        {
            file.content.lock().upload.take_if(|upload| upload.seq == seq);
        }
        tree.reschedule(seq);
        self.shared.notify();
    }

    /// Is every earlier related event published?
    pub fn may_publish(&self, seq: EventSeq) -> bool {
        let tree = self.shared.tree.lock();
        tree.events.get(&seq).is_some_and(|event| tree.order.may_publish(seq, &event.footprint))
    }

    /// Asks for the turn of a taken event, and when it is, records that a request to `target` is about to be sent.
    pub fn begin_publish(&self, seq: EventSeq, target: &Base) -> Result<Turn, StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let event = tree.events.get(&seq).ok_or(StageError::NoEvent { seq })?;
        if !tree.order.may_publish(seq, &event.footprint) {
            return Ok(Turn::Wait);
        }
        let in_need = copied_later(&tree, event, target);
        if !in_need.is_empty() {
            return Ok(Turn::FillFirst(in_need));
        }
        if let EventAction::Remove { below, .. } = &event.record.action {
            return Ok(Turn::Now { replaces: Some(below.clone()) });
        }
        if is_torn(&tree, event) {
            return Ok(Turn::Changed);
        }
        let replaces = replaced_by(&tree, event);
        let mut record = event.record.clone();
        record.sent_to = Some(Base { version: None, ..target.clone() });
        self.shared.commit(&mut tree, vec![Change::Event { seq, event: record }], Room::Frees)?;
        Ok(Turn::Now { replaces })
    }

    /// The store confirmed a put; `base` is what it has now. Survives a kill at once and a power cut with the next flush.
    pub fn published(&self, seq: EventSeq, base: Base) -> Result<Outcome, StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let event = tree.events.get(&seq).ok_or(StageError::NoEvent { seq })?;
        let EventAction::Put { node: number } = event.record.action else {
            return Err(StageError::NoEvent { seq });
        };
        let taken_meta_generation = event.taken_meta_generation;
        let is_frozen = event.record.frozen.is_some();
        let is_current = !tree.is_orphan(seq);
        let mut plan = Plan::new(&tree);
        plan.changes.push(Change::EventGone { seq });
        let size_bytes = base.size_bytes;
        let is_changed = !is_frozen && plan_published(&mut plan, (seq, number), &base, is_current)?;
        let outcome = if is_current && is_frozen {
            plan_below(&mut plan, number, &base)?;
            Outcome::ChangedMeanwhile
        } else if is_current {
            let is_changed = plan_remote(&mut plan, number, seq, &base, taken_meta_generation, is_changed)?;
            if is_changed { Outcome::ChangedMeanwhile } else { Outcome::Remote }
        } else {
            plan_orphan(&mut plan, &event.record.path, &base);
            Outcome::Gone
        };
        let changes = plan.changes;
        self.shared.commit(&mut tree, changes, Room::Frees)?;
        self.shared.space.drained(size_bytes, self.shared.now());
        Ok(outcome)
    }

    /// The store confirmed a remove, or has nothing there.
    pub fn removed(&self, seq: EventSeq) -> Result<(), StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let event = tree.events.get(&seq).ok_or(StageError::NoEvent { seq })?;
        let EventAction::Remove { below, .. } = &event.record.action else {
            return Err(StageError::NoEvent { seq });
        };
        let mut plan = Plan::new(&tree);
        plan_removed(&mut plan, seq, &event.record.path, below);
        let changes = plan.changes;
        self.shared.commit(&mut tree, changes, Room::Frees)?;
        Ok(())
    }

    /// A worker will not send a put that it had begun to publish, and knows that the store does not have it.
    pub fn not_published(&self, seq: EventSeq) -> Result<(), StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let event = tree.events.get(&seq).ok_or(StageError::NoEvent { seq })?;
        let is_current = !tree.is_orphan(seq);
        let mut record = event.record.clone();
        record.sent_to = None;
        let change =
            if is_current { Change::Event { seq, event: record } } else { Change::EventGone { seq } };
        self.shared.commit(&mut tree, vec![change], Room::Frees)?;
        Ok(())
    }

    /// Remembers an upload that can be resumed after a restart.
    pub fn record_upload(&self, seq: EventSeq, upload_id: &str, part_bytes: u64) -> Result<(), StageError> {
        let mut tree = self.shared.tree_to_change()?;
        let change = job::upload_record(&tree, seq, upload_id, part_bytes)?;
        self.shared.commit(&mut tree, vec![change], Room::Frees)?;
        Ok(())
    }

    /// Makes a publish event of a file that was changed without a handle, as by `mknod`.
    pub fn touch(&self, number: NodeNumber) -> Result<(), StageError> {
        let mut tree = self.shared.tree_to_change()?;
        self.shared.note_written(&mut tree, number)
    }
}

/// The file's bytes are in the store. Was it changed since the upload began?
fn plan_published(
    plan: &mut Plan<'_>,
    (seq, number): (EventSeq, NodeNumber),
    base: &Base,
    is_current: bool,
) -> Result<bool, StageError> {
    let Ok(file) = plan.tree.file(number) else { return Ok(false) };
    let mut content = file.content.lock();
    let generation = content.generation;
    let Some(upload) = content.upload.as_mut().filter(|upload| upload.seq == seq) else {
        return if is_current { Err(StageError::Invalid("published without an upload")) } else { Ok(false) };
    };
    upload.is_ending = true;
    let is_dirty = upload.generation != generation;
    let changed = upload.changed.clone();
    let size_bytes = content.now.size_bytes;
    plan.changes.push(Change::Published { number, base: base.clone(), changed, is_dirty, size_bytes });
    Ok(is_dirty)
}

/// The node's path shows it. True when it needs another put all the same.
fn plan_remote(
    plan: &mut Plan<'_>,
    number: NodeNumber,
    seq: EventSeq,
    base: &Base,
    taken_meta_generation: u64,
    is_changed: bool,
) -> Result<bool, StageError> {
    let node = plan.node(number)?;
    let is_changed = is_changed || node.meta_generation != taken_meta_generation;
    let mut meta = node.meta.clone();
    meta.is_remote = !is_changed;
    meta.placed = seq;
    let (parent, name) = node.parent.clone().ok_or(StageError::NotFound)?;
    let path = plan.path_of(parent, &name)?;
    if let NodeKind::Directory { opaque } = &mut meta.kind {
        *opaque = plan.tree.has_removes(&path, seq);
    }
    if let Body::File(file) = &node.body {
        meta.attributes.mtime = file.content.lock().mtime;
    }
    plan.set_node(number, meta);
    plan.set_entry(parent, &name, Entry { node: Some(number), below: Some(base.clone()) });
    if is_changed {
        plan.put(number, path, Vec::new());
    }
    Ok(is_changed)
}

/// The node's path shows an earlier content of it.
fn plan_below(plan: &mut Plan<'_>, number: NodeNumber, base: &Base) -> Result<(), StageError> {
    let (parent, name) = plan.node(number)?.parent.clone().ok_or(StageError::NotFound)?;
    plan.set_entry(parent, &name, Entry { node: Some(number), below: Some(base.clone()) });
    Ok(())
}

/// A put went through that nobody wants any more: its remove now knows the version.
fn plan_orphan(plan: &mut Plan<'_>, path: &str, base: &Base) {
    let tree = plan.tree;
    let is_unknown = |below: &Base| below.version.is_none() && below.is_same_key(base);
    for (seq, event) in &tree.events {
        if let EventAction::Remove { below, moved } = &event.record.action
            && is_unknown(below)
        {
            let mut record = event.record.clone();
            record.action = EventAction::Remove { below: base.clone(), moved: *moved };
            plan.changes.push(Change::Event { seq: *seq, event: record });
        }
    }
    if let Some((parent, name)) = tree.find(path)
        && let Some(entry) = tree.entry(parent, name)
        && entry.below.as_ref().is_some_and(is_unknown)
    {
        plan.set_entry(parent, name, Entry { node: entry.node, below: Some(base.clone()) });
    }
}

/// The store has nothing at the path of a remove any more, or something that is not ours to remove. A whiteout of a
/// directory, or a directory made in its place, hides the store until everything below it is gone.
pub(super) fn plan_removed(plan: &mut Plan<'_>, seq: EventSeq, path: &str, gone: &Base) {
    plan.changes.push(Change::EventGone { seq });
    let tree = plan.tree;
    if let Some((parent, name)) = tree.find(path)
        && let Some(entry) = tree.entry(parent, name)
        && entry.below.as_ref().is_some_and(|below| below.is_same_key(gone))
    {
        match entry.node {
            Some(_) => plan.set_entry(parent, name, Entry { node: entry.node, below: None }),
            None if tree.has_removes(path, seq) => {}
            None => plan.changes.push(Change::EntryGone { parent, name: name.into() }),
        }
    }
    for (end, _) in path.match_indices('/') {
        let above = &path[..end];
        if !tree.has_removes(above, seq) {
            plan_all_gone(plan, above);
        }
    }
}

/// Nothing waits to be removed below a path any more: the store may show through there.
fn plan_all_gone(plan: &mut Plan<'_>, path: &str) {
    let tree = plan.tree;
    let Some((parent, name)) = tree.find(path) else { return };
    let Some(entry) = tree.entry(parent, name) else { return };
    let Some(number) = entry.node else {
        plan.changes.push(Change::EntryGone { parent, name: name.into() });
        return;
    };
    let is_opaque =
        |node: &&Node| node.meta.is_remote && node.meta.kind == (NodeKind::Directory { opaque: true });
    if let Some(node) = tree.nodes.get(&number).filter(is_opaque) {
        plan.set_node(number, NodeMeta { kind: NodeKind::Directory { opaque: false }, ..node.meta.clone() });
    }
}

/// What the store is expected to have where a put goes.
fn replaced_by(tree: &Tree, event: &Event) -> Option<Base> {
    let (parent, name) = tree.find(&event.record.path)?;
    tree.entry(parent, name)?.below.clone()
}

/// Files with a put of their own to come that needs the object at `target`.
fn copied_later(tree: &Tree, event: &Event, target: &Base) -> Vec<NodeNumber> {
    let own = match event.record.action {
        EventAction::Put { node } => Some(node),
        EventAction::Remove { .. } => None,
    };
    let puts = tree.moved_puts.iter().filter_map(|seq| match tree.events.get(seq)?.record.action {
        EventAction::Put { node } => Some(node),
        EventAction::Remove { .. } => None,
    });
    let needs = |number: &NodeNumber| {
        Some(*number) != own
            && tree.file(*number).is_ok_and(|file| {
                file.content.lock().now.base.as_ref().is_some_and(|base| base.is_same_key(target))
            })
    };
    puts.filter(needs).collect()
}

fn is_torn(tree: &Tree, event: &Event) -> bool {
    if event.record.frozen.is_some() {
        return false;
    }
    let EventAction::Put { node } = event.record.action else { return false };
    tree.file(node).is_ok_and(|file| file.content.lock().upload.as_ref().is_none_or(|upload| upload.is_torn))
}

fn event_view(seq: EventSeq, event: &Event) -> EventView {
    let action = match &event.record.action {
        EventAction::Put { node } => Action::Put { node: *node },
        EventAction::Remove { below, .. } => Action::Remove { below: below.clone() },
    };
    EventView { seq, path: event.record.path.clone(), action, size_bytes: event.size_bytes }
}

fn is_at_or_below(path: &str, above: &str) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Shared {
    /// A writer closed or synced the file: what it has now is to be published, at the place that it has, or a new one.
    pub(crate) fn note_written(&self, tree: &mut Tree, number: NodeNumber) -> Result<(), StageError> {
        let now = self.now();
        let Some(node) = tree.nodes.get(&number) else { return Ok(()) };
        let Body::File(file) = &node.body else { return Ok(()) };
        let (generation, event_generation, size_bytes) = {
            let content = file.content.lock();
            (content.generation, content.event_generation, content.now.size_bytes)
        };
        if generation == event_generation {
            return Ok(());
        }
        let waiting = node.event.filter(|_| node.parent.is_some());
        match waiting.and_then(|seq| tree.events.get_mut(&seq)) {
            Some(event) if event.state == EventState::Waiting && event.record.sent_to.is_none() => {
                (event.changed, event.size_bytes) = (now, size_bytes);
                let mut content = file.content.lock();
                (content.event_generation, content.is_in_written) = (generation, false);
                drop(content);
                tree.written.remove(&number);
                waiting.into_iter().for_each(|seq| tree.reschedule(seq));
                Ok(())
            }
            // What the worker has begun with is not the last state: the end of that makes another event.
            Some(_) => Ok(()),
            None => self.make_put(tree, number),
        }
    }

    pub(crate) fn make_put(&self, tree: &mut Tree, number: NodeNumber) -> Result<(), StageError> {
        let Some(path) = tree.path(number) else { return Ok(()) };
        let mut plan = Plan::new(tree);
        plan.put(number, path.into(), Vec::new());
        let changes = plan.changes;
        self.commit(tree, changes, Room::Grows)?;
        Ok(())
    }

    /// Files that are written for longer than their rule lets them wait get an event without a close.
    fn note_open_files(&self, tree: &mut Tree, now: Instant) {
        for number in delay::overdue_open(tree, now) {
            if let Err(error) = self.note_written(tree, number) {
                tracing::debug!(node = number.0, %error, "no publish event for a file that is being written");
            }
        }
    }
}
