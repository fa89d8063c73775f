//! What the overlay of a read-write mount asks of the namespace that lies below it.
//!
//! Nodes that the overlay takes over leave the namespace with the kernel's references ([`hand_over`]); what write-back
//! has put into a store or removed from it comes back as a fact that needs no listing ([`install`]).

use std::sync::Arc;

use ufs::Meta;

use super::database::Op;
use super::dir;
use super::entry::{Entry, Kind, Number};
use super::error::NamespaceError;
use super::listing::known_name;
use super::lookup;
use super::place::Place;
use super::record::Override;
use super::shared::Shared;
use super::tree::PlaceIndex;
use super::types::{Ancestor, Child, Ino, NoOrigin, Origin};
use crate::config::TreePath;

/// Finds a name, asking the store if need be, without taking a reference.
pub(super) async fn find(
    shared: &Arc<Shared>,
    parent: Ino,
    name: &str,
) -> Result<Option<Child>, NamespaceError> {
    let place = shared.place(parent)?;
    let found = lookup::find(shared, &place, name).await?;
    Ok(found.map(|(entry, _)| child(shared, &place, &entry)))
}

/// Gives the children of a directory, in the order of the listing, until `each` returns false.
pub(super) async fn scan(
    shared: &Arc<Shared>,
    path: &TreePath,
    each: &mut (dyn FnMut(Child) -> bool + Send),
) -> Result<(), NamespaceError> {
    let Some(place) = place_at(shared, path).await? else { return Ok(()) };
    let listing = dir::snapshot(shared, &place).await?;
    let mut cookie = 0;
    while let Some((entries, last)) = listing.batch(cookie)? {
        if !entries.iter().all(|entry| each(child(shared, &place, entry))) {
            return Ok(());
        }
        cookie = last;
    }
    Ok(())
}

fn child(shared: &Shared, place: &Place, entry: &Entry) -> Child {
    Child { name: entry.name.clone(), node: shared.node_of(entry), object: shared.object_of(place, entry) }
}

/// The directory at a path; `None` where there is none.
async fn place_at(shared: &Arc<Shared>, path: &TreePath) -> Result<Option<Place>, NamespaceError> {
    let mut place = shared.place_at(PlaceIndex::ROOT);
    for name in path.names() {
        match lookup::find(shared, &place, name).await? {
            Some((entry, _)) if entry.is_directory() => place = shared.child_place(&place, &entry)?,
            Some(_) | None => return Ok(None),
        }
    }
    Ok(Some(place))
}

/// The nodes from the first below the root down to a referenced one.
pub(super) fn ancestry(shared: &Shared, ino: Ino) -> Option<Vec<Ancestor>> {
    let mut ancestors = Vec::new();
    let mut number = shared.number(ino);
    while number != shared.root() {
        let (parent, name) = shared.inodes.parent_and_name(number)?;
        ancestors.push(Ancestor { name, node: shared.node(shared.ino(number))? });
        number = parent;
    }
    ancestors.reverse();
    Some(ancestors)
}

/// Takes a file out, with the count of references that the kernel has on it.
pub(super) fn hand_over(shared: &Shared, ino: Ino) -> u64 {
    shared.inodes.take_out(shared.number(ino))
}

/// Which store has a path, and under which key.
pub(super) fn origin(shared: &Shared, path: &TreePath) -> Result<Origin, NoOrigin> {
    if is_place(shared, path) {
        return Err(NoOrigin::Place);
    }
    let (parent, name) = path.parent().zip(path.name()).ok_or(NoOrigin::Place)?;
    let directory = shared.tree.at(&parent).1.ok_or(NoOrigin::NoStore)?;
    let key = directory.file_key(name).ok_or(NoOrigin::TooLong)?;
    Ok(Origin { store: directory.store, key })
}

/// Whether the mount's table makes this directory.
pub(super) fn is_place(shared: &Shared, path: &TreePath) -> bool {
    shared.tree.at(path).0.is_some()
}

/// A store confirmed what is at a path now: an object, a directory or nothing. From now on that is known, as if the store
/// had been asked; directories on the way are known too.
pub(super) async fn install(
    shared: &Arc<Shared>,
    path: &TreePath,
    now: Installed<'_>,
) -> Result<(), NamespaceError> {
    let Some(name) = path.name() else { return Ok(()) };
    let mut place = shared.place_at(PlaceIndex::ROOT);
    for name in path.parent().iter().flat_map(TreePath::names) {
        let index = place.index.and_then(|index| shared.tree.child(index, name));
        place = match (index, now) {
            (Some(index), _) => shared.place_at(index),
            (None, Installed::Nothing) => match known_directory(shared, &place, name) {
                Some(entry) => shared.child_place(&place, &entry)?,
                // What is in a directory that is not known is not known either.
                None => return Ok(()),
            },
            (None, Installed::File(_) | Installed::Directory) => {
                let entry = make_known(shared, &place, name, Installed::Directory).await?;
                let entry = entry.expect("a directory was made known");
                shared.child_place(&place, &entry)?
            }
        };
    }
    make_known(shared, &place, name, now).await?;
    Ok(())
}

/// What a store has now.
#[derive(Clone, Copy, Debug)]
pub enum Installed<'a> {
    /// An object with these attributes.
    File(&'a Meta),
    /// A directory.
    Directory,
    /// Nothing.
    Nothing,
}

fn known_directory(shared: &Shared, place: &Place, name: &str) -> Option<Entry> {
    let known = shared.database.read(|tables| known_name(tables, place.number, name)).ok().flatten()?;
    known.entry.filter(Entry::is_directory)
}

/// Writes the answer for one name. A directory that is known keeps its number, and so does an unchanged file.
async fn make_known(
    shared: &Arc<Shared>,
    place: &Place,
    name: &str,
    now: Installed<'_>,
) -> Result<Option<Entry>, NamespaceError> {
    let known = shared.database.read(|tables| known_name(tables, place.number, name)).ok().flatten();
    let before = known.and_then(|known| known.entry);
    let seen = shared.rules.clock.now().into();
    let entry = match now {
        Installed::Nothing => None,
        Installed::Directory => Some(Entry::directory(name, Number(0), seen)),
        Installed::File(meta) => Some(Entry::file(name, Number(0), meta)),
    };
    let entry = match entry {
        None => None,
        Some(entry) => match before.filter(|before| before.is_same_node(&entry)) {
            Some(same) if same.kind == Kind::Directory => return Ok(Some(same)),
            Some(same) => Some(same),
            None => Some(Entry { number: shared.database.take_number().await?, ..entry }),
        },
    };
    let (stamp, asked_at) = (shared.database.take_stamp().await?, shared.rules.clock.now_ms());
    shared.doubts.remove(place.number, name);
    shared.negatives.remove(place.number, name);
    let row = Override { stamp, asked_at, entry: entry.clone() };
    shared.database.write(vec![Op::Override { directory: place.number, name: name.into(), row }]).await?;
    Ok(entry)
}
