//! Finding one name in a directory.
//!
//! What is known and fresh answers. Else the store is asked about this name alone, as a file (`stat`) and as a directory
//! (one page of its listing), and the answer is kept as an override: so a first lookup in a directory of a million names
//! takes two requests, not a thousand. A directory in which that happens again and again is imported in the background.

mod misses;
mod probe;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::database::Op;
use super::entry::{Entry, Number};
use super::error::NamespaceError;
use super::freshness::VALID_FOREVER;
use super::import;
use super::listing::{KnownName, known_name};
use super::names::can_be_shown;
use super::place::Place;
use super::record::{ListingId, Override, WallMs};
use super::shared::Shared;
use super::tree::PlaceIndex;
use super::types::{Cached, Found, Ino, Node};
use crate::config::TreePath;

pub(super) use misses::Misses;
use probe::Answer;

/// Finds a name without a store.
pub(super) fn cached(shared: &Shared, parent: Ino, name: &str) -> Cached<Found> {
    let number = shared.number(parent);
    let Some(index) = shared.inodes.directory_place(number) else { return Cached::Unknown };
    match known(shared, number, index, name) {
        Cached::Known((entry, valid_for)) => match shared.take(number, &entry) {
            Some(node) => Cached::Known(Found { node, valid_for }),
            None => Cached::Unknown,
        },
        Cached::Absent => Cached::Absent,
        Cached::Unknown => Cached::Unknown,
    }
}

/// Finds a name, with the store's help if need be.
pub(super) async fn lookup(
    shared: &Arc<Shared>,
    parent: Ino,
    name: &str,
) -> Result<Option<Found>, NamespaceError> {
    match cached(shared, parent, name) {
        Cached::Known(found) => return Ok(Some(found)),
        Cached::Absent => return Ok(None),
        Cached::Unknown => {}
    }
    let place = shared.place(parent)?;
    let Some((entry, valid_for)) = find(shared, &place, name).await? else { return Ok(None) };
    let unknown = NamespaceError::UnknownInode { number: parent.get() };
    let node = shared.take(place.number, &entry).ok_or(unknown)?;
    Ok(Some(Found { node, valid_for }))
}

/// Finds a path from the root down.
pub(super) async fn resolve(shared: &Arc<Shared>, path: &TreePath) -> Result<Option<Node>, NamespaceError> {
    let mut place = shared.place_at(PlaceIndex::ROOT);
    let mut node = shared.node(Ino::ROOT);
    for name in path.names() {
        if !matches!(node, Some(Node::Directory(_))) {
            return Ok(None);
        }
        let Some((entry, _)) = find(shared, &place, name).await? else { return Ok(None) };
        node = Some(shared.node_of(&entry));
        if entry.is_directory() {
            place = shared.child_place(&place, &entry)?;
        }
    }
    Ok(node)
}

/// Finds a name in a directory: its entry, and for how long that may be believed.
pub(super) async fn find(
    shared: &Arc<Shared>,
    place: &Place,
    name: &str,
) -> Result<Option<(Entry, Duration)>, NamespaceError> {
    match known(shared, place.number, place.index, name) {
        Cached::Known(found) => return Ok(Some(found)),
        Cached::Absent => return Ok(None),
        Cached::Unknown => {}
    }
    let entry = if shared.rules.is_strict() {
        // An answer that was under way before this call may be older than what the caller was promised.
        ask(shared, place, name).await?
    } else {
        let key = (place.number, Box::from(name));
        let (asker, place, name) = (shared.clone(), place.clone(), Box::<str>::from(name));
        let question = async move {
            let answer = ask(&asker, &place, &name).await;
            misses::count(&asker, &place);
            answer
        };
        shared.lookups.join(key, || question.boxed()).await?
    };
    Ok(entry.map(|entry| (entry, shared.rules.valid_from_now())))
}

/// What is known and fresh.
fn known(
    shared: &Shared,
    number: Number,
    index: Option<PlaceIndex>,
    name: &str,
) -> Cached<(Entry, Duration)> {
    if let Some(index) = index {
        if let Some(child) = shared.tree.child(index, name) {
            return Cached::Known((shared.place_entry(name, child), VALID_FOREVER));
        }
        if shared.origin_at(index).is_none() {
            return Cached::Absent;
        }
    }
    if !can_be_shown(name) {
        return Cached::Absent;
    }
    if shared.rules.is_strict() || shared.doubts.get(number, name).is_some() {
        return Cached::Unknown;
    }
    let absent = shared.negatives.get(number, name);
    if absent.is_some_and(|since| shared.rules.valid_for(number, since).is_some()) {
        return Cached::Absent;
    }
    // A database that cannot be read knows nothing; it has said so in the log.
    let row = shared.database.read(|tables| known_name(tables, number, name)).ok().flatten();
    let Some(KnownName { entry, since }) = row else { return Cached::Unknown };
    match (shared.rules.valid_for(number, since), entry) {
        (Some(valid_for), Some(entry)) => Cached::Known((entry, valid_for)),
        (Some(_), None) => Cached::Absent,
        (None, _) => Cached::Unknown,
    }
}

/// Asks the store about a name, and keeps the answer.
pub(super) async fn ask(
    shared: &Arc<Shared>,
    place: &Place,
    name: &str,
) -> Result<Option<Entry>, NamespaceError> {
    // Both are taken before the question: a listing that begins later is newer than its answer.
    let asked = Asked { at: shared.rules.clock.now_ms(), stamp: shared.database.take_stamp().await? };
    let known = shared.database.read(|tables| known_name(tables, place.number, name)).ok().flatten();
    let before = known.as_ref().and_then(|known| known.entry.clone());
    let answer = probe::probe(shared, place, name, before.as_ref()).await?;
    settle(shared, place, name, asked, known, answer).await
}

/// When a question was asked.
#[derive(Clone, Copy)]
struct Asked {
    at: WallMs,
    stamp: ListingId,
}

/// Keeps an answer: an unchanged node keeps its number, and is written only to make it fresh.
async fn settle(
    shared: &Arc<Shared>,
    place: &Place,
    name: &str,
    asked: Asked,
    known: Option<KnownName>,
    answer: Answer,
) -> Result<Option<Entry>, NamespaceError> {
    let was_fresh =
        known.as_ref().is_some_and(|known| shared.rules.valid_for(place.number, known.since).is_some());
    let before = known.and_then(|known| known.entry);
    let page = match &answer {
        // A strict mount lists a directory whenever it is opened.
        Answer::Directory(page) if !shared.rules.is_strict() => page.clone(),
        Answer::Directory(_) | Answer::Nothing | Answer::File(_) => None,
    };
    let now = match answer.into_entry(name, shared.rules.clock.now().into()) {
        None => None,
        Some(entry) => match before.clone().filter(|before| before.is_same_node(&entry)) {
            Some(same) => Some(same),
            None => Some(Entry { number: shared.database.take_number().await?, ..entry }),
        },
    };
    shared.doubts.remove(place.number, name);
    match &now {
        None => drop(shared.negatives.insert(place.number, name, asked.at)),
        Some(_) => shared.negatives.remove(place.number, name),
    }
    let nothing_to_keep = before.is_none() && now.is_none();
    let still_known = before == now && (was_fresh || shared.rules.is_strict());
    if !nothing_to_keep && !still_known {
        let row = Override { stamp: asked.stamp, asked_at: asked.at, entry: now.clone() };
        shared.database.write(vec![Op::Override { directory: place.number, name: name.into(), row }]).await?;
    }
    if let (Some(entry), Some(page)) = (&now, page) {
        import::keep_page(shared, &shared.child_place(place, entry)?, page, asked.at, asked.stamp).await?;
    }
    Ok(now)
}
