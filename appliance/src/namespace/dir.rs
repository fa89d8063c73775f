//! [`DirSnapshot`]: the entries of a directory as `readdir` walks them.
//!
//! A snapshot pins one listing, which never changes; a refresh makes another one. Blocks are read one at a time, so a
//! directory of a million names takes the memory of 256. Cookies tell the block and the place in it, so they stay valid for
//! the life of the snapshot, and for longer while the directory is not listed again.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::database::Pin;
use super::entry::Entry;
use super::error::{DatabaseError, NamespaceError};
use super::freshness::VALID_FOREVER;
use super::import;
use super::listing::{Overrides, pinned};
use super::place::Place;
use super::shared::Shared;
use super::types::{Cached, Found, Ino, Node};

/// Cookies below this are never used: they are free for `.` and `..`.
const COOKIE_FIRST: u64 = 16;
/// Bits of a cookie for the place in a block.
const INDEX_BITS: u32 = 16;

/// One name of a directory.
#[derive(Debug)]
pub struct DirEntry<'a> {
    /// The name.
    pub name: &'a str,
    /// What it is. No reference is taken: see [`DirSnapshot::reference`].
    pub node: Node,
    /// Where to go on behind this entry; at least 16, below 2^63.
    pub cookie: u64,
    entry: &'a Entry,
}

/// A directory's entries, without `.` and `..`. Stays what it is while the directory is refreshed.
pub struct DirSnapshot {
    shared: Arc<Shared>,
    place: Place,
    /// The mount table's places in the directory.
    branches: Vec<Entry>,
    listing: Option<Listing>,
    valid_for: Duration,
}

struct Listing {
    pin: Pin,
    overrides: Overrides,
    /// Ordinal and first form of the block that was read last.
    position: Mutex<Option<(u32, Vec<u8>)>>,
}

/// A snapshot, if the directory's listing is fresh.
pub(super) fn cached(shared: &Arc<Shared>, ino: Ino) -> Cached<DirSnapshot> {
    // What is wrong shows when the store is asked.
    let Ok(place) = shared.place(ino) else { return Cached::Unknown };
    match fresh(shared, &place) {
        Ok(Some(snapshot)) => Cached::Known(snapshot),
        Ok(None) | Err(_) => Cached::Unknown,
    }
}

/// A snapshot, after an import if need be.
pub(super) async fn open(shared: &Arc<Shared>, ino: Ino) -> Result<DirSnapshot, NamespaceError> {
    snapshot(shared, &shared.place(ino)?).await
}

pub(super) async fn snapshot(shared: &Arc<Shared>, place: &Place) -> Result<DirSnapshot, NamespaceError> {
    if let Ok(Some(snapshot)) = fresh(shared, place) {
        return Ok(snapshot);
    }
    import::import(shared, place, false).await?;
    as_listed(shared, place)
}

/// A snapshot of what is listed, however old.
pub(super) fn as_listed(shared: &Arc<Shared>, place: &Place) -> Result<DirSnapshot, NamespaceError> {
    let known = pinned(&shared.database, place.number)?;
    if known.is_none() && place.origin.is_some() {
        return Err(DatabaseError::Replaced { path: place.path.to_string() }.into());
    }
    let listing = known.map(|(_, pin)| Listing::new(shared, place, pin)).transpose()?;
    Ok(DirSnapshot::new(shared, place, listing, shared.rules.valid_from_now()))
}

fn fresh(shared: &Arc<Shared>, place: &Place) -> Result<Option<DirSnapshot>, DatabaseError> {
    if place.origin.is_none() {
        return Ok(Some(DirSnapshot::new(shared, place, None, VALID_FOREVER)));
    }
    let Some((record, pin)) = pinned(&shared.database, place.number)? else { return Ok(None) };
    let Some(valid_for) = shared.rules.valid_for(place.number, record.listed_at) else { return Ok(None) };
    let listing = Listing::new(shared, place, pin)?;
    Ok(Some(DirSnapshot::new(shared, place, Some(listing), valid_for)))
}

impl Listing {
    fn new(shared: &Shared, place: &Place, pin: Pin) -> Result<Self, DatabaseError> {
        let overrides = Overrides::load(&shared.database, place.number, Some(pin.listing()))?;
        Ok(Self { pin, overrides, position: Mutex::new(None) })
    }
}

/// A block, and where the one behind it begins.
struct Visible {
    ordinal: u32,
    first_form: Vec<u8>,
    entries: Vec<Option<Entry>>,
}

impl DirSnapshot {
    fn new(shared: &Arc<Shared>, place: &Place, listing: Option<Listing>, valid_for: Duration) -> Self {
        let children = place.index.into_iter().flat_map(|index| shared.tree.children(index));
        let branches = children.map(|(name, index)| shared.place_entry(name, index)).collect();
        Self { shared: shared.clone(), place: place.clone(), branches, listing, valid_for }
    }

    /// The directory's number.
    pub fn ino(&self) -> Ino {
        self.shared.ino(self.place.number)
    }

    /// How long the kernel may believe these entries.
    pub fn valid_for(&self) -> Duration {
        self.valid_for
    }

    /// Gives the entries behind a cookie (from the first for 0, or any number below 16) until there are no more or `each`
    /// returns true: "full", and the entry was not taken.
    pub fn next(
        &self,
        cookie: u64,
        each: &mut dyn FnMut(DirEntry<'_>) -> bool,
    ) -> Result<(), NamespaceError> {
        if cookie >> INDEX_BITS == 0 {
            let done = usize::try_from((cookie + 1).saturating_sub(COOKIE_FIRST)).unwrap_or(usize::MAX);
            for (entry, cookie) in self.branches.iter().zip(COOKIE_FIRST..).skip(done) {
                if each(self.dir_entry(entry, cookie)) {
                    return Ok(());
                }
            }
        }
        self.next_listed(cookie, each)
    }

    fn next_listed(
        &self,
        cookie: u64,
        each: &mut dyn FnMut(DirEntry<'_>) -> bool,
    ) -> Result<(), NamespaceError> {
        let Some(listing) = &self.listing else { return Ok(()) };
        let (mut block, mut skip) = match (cookie >> INDEX_BITS).checked_sub(1) {
            None => (self.block(listing, Bound::Unbounded)?, 0),
            Some(ordinal) => {
                let ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
                let index = (cookie & ((1 << INDEX_BITS) - 1)) as usize;
                let block = self.block_at(listing, ordinal)?;
                let is_same = block.as_ref().is_some_and(|block| block.ordinal == ordinal);
                (block, if is_same { index + 1 } else { 0 })
            }
        };
        while let Some(current) = block {
            let first_cookie = (u64::from(current.ordinal) + 1) << INDEX_BITS;
            for (entry, cookie) in current.entries.iter().zip(first_cookie..).skip(skip) {
                let Some(entry) = entry else { continue };
                if each(self.dir_entry(entry, cookie)) {
                    *listing.position.lock() = Some((current.ordinal, current.first_form));
                    return Ok(());
                }
            }
            skip = 0;
            block = self.block(listing, Bound::Excluded(&current.first_form))?;
        }
        Ok(())
    }

    /// Takes one reference on an entry's node, as a lookup would. `None` when the directory itself is no longer
    /// referenced.
    pub fn reference(&self, entry: &DirEntry<'_>) -> Option<Found> {
        let node = self.shared.take(self.place.number, entry.entry)?;
        Some(Found { node, valid_for: self.valid_for })
    }

    fn dir_entry<'a>(&self, entry: &'a Entry, cookie: u64) -> DirEntry<'a> {
        DirEntry { name: &entry.name, node: self.shared.node_of(entry), cookie, entry }
    }

    /// The block with this ordinal, or the first behind it. Where the last call ended is remembered; elsewhere (after
    /// `seekdir`) the listing is walked from its start.
    fn block_at(&self, listing: &Listing, ordinal: u32) -> Result<Option<Visible>, NamespaceError> {
        let position = listing.position.lock().clone();
        let mut from = match position {
            Some((at, form)) if at <= ordinal => Bound::Included(form),
            Some(_) | None => Bound::Unbounded,
        };
        loop {
            match self.block(listing, from.as_ref().map(Vec::as_slice))? {
                Some(block) if block.ordinal < ordinal => from = Bound::Excluded(block.first_form),
                block => return Ok(block),
            }
        }
    }

    fn block(&self, listing: &Listing, from: Bound<&[u8]>) -> Result<Option<Visible>, NamespaceError> {
        let id = listing.pin.listing();
        let Some(block) = self.shared.database.read(|tables| tables.block(id, from))? else {
            return Ok(None);
        };
        let mut entries = Vec::with_capacity(block.entries.len());
        for (at, entry) in block.entries.iter().enumerate() {
            let is_hidden = self.is_hidden(listing, entry, block.entries.get(at + 1))?;
            entries.push(if is_hidden { None } else { now(listing, entry)? });
        }
        Ok(Some(Visible { ordinal: block.ordinal, first_form: block.first_form, entries }))
    }

    /// Whether a directory hides this file. Only names that begin with its name come between the two.
    fn is_hidden(
        &self,
        listing: &Listing,
        entry: &Entry,
        next: Option<&Entry>,
    ) -> Result<bool, DatabaseError> {
        if entry.is_directory() || next.is_some_and(|next| !next.name.starts_with(&*entry.name)) {
            return Ok(false);
        }
        let id = listing.pin.listing();
        let found = self.shared.database.read(|tables| tables.find(id, &entry.name))?;
        Ok(found.is_some_and(|found| found.is_directory()))
    }

    /// Names of one block from a cookie on, and the cookie behind them; none behind the last.
    pub(super) fn batch(&self, cookie: u64) -> Result<Option<(Vec<Entry>, u64)>, NamespaceError> {
        const BATCH_NAMES: usize = 256;
        let (mut entries, mut last) = (Vec::new(), cookie);
        self.next(cookie, &mut |entry| {
            let is_full = entries.len() == BATCH_NAMES;
            if !is_full {
                entries.push(entry.entry.clone());
                last = entry.cookie;
            }
            is_full
        })?;
        Ok((!entries.is_empty()).then_some((entries, last)))
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

/// The entry as newer answers have it.
fn now(listing: &Listing, entry: &Entry) -> Result<Option<Entry>, DatabaseError> {
    Ok(match listing.overrides.get(&entry.name)? {
        Some(newer) => newer.entry,
        None => Some(entry.clone()),
    })
}
