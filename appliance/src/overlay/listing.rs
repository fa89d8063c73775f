//! [`MergedListing`]: the entries of a directory, staged and clean, as `readdir` walks them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use staging::{Lookup, NameView, NodeNumber, NodeType};

use super::{Overlay, OverlayError, Shown};
use crate::namespace::{DirSnapshot, Node};

/// Cookies of staged names begin here, above all of the namespace.
const STAGED_COOKIE: u64 = 1 << 60;

/// A directory as it was when it was opened: first the names of the store that show through, then the staged ones, which
/// are taken anew when it is rewound (rewinddir(3)).
pub struct MergedListing {
    directory: NodeNumber,
    clean: Option<DirSnapshot>,
    staged: RwLock<Arc<StagedNames>>,
    /// It was read from its start already.
    begun: AtomicBool,
    valid_for: Duration,
}

struct StagedNames {
    names: Vec<NameView>,
    /// Places in `names`.
    places: HashMap<Box<str>, usize>,
}

impl StagedNames {
    fn new(names: Vec<NameView>) -> Arc<Self> {
        let places = names.iter().enumerate().map(|(at, entry)| (entry.name.clone(), at)).collect();
        Arc::new(Self { names, places })
    }
}

/// One name of a directory.
pub struct MergedEntry<'a> {
    /// The name.
    pub name: &'a str,
    /// Its number.
    pub number: u64,
    /// What it is.
    pub kind: NodeType,
    /// Where to go on behind it.
    pub cookie: u64,
    /// The node, when it can be referenced now.
    pub shown: Option<Shown>,
}

impl MergedListing {
    /// The directory's number.
    pub fn number(&self) -> u64 {
        self.directory.0
    }

    /// How long the kernel may believe these entries.
    pub fn valid_for(&self) -> Duration {
        self.valid_for
    }
}

impl Overlay {
    /// Takes the entries of a directory, listed by the store if need be.
    pub async fn open_directory(&self, number: u64) -> Result<MergedListing, OverlayError> {
        let directory = NodeNumber(number);
        // Before those of the store: what the staged tree lets go of in between is in both, not in neither.
        let staged = StagedNames::new(self.parts.staging.entries(directory).unwrap_or_default());
        let clean = match self.below(number).await? {
            Some(ino) => Some(self.parts.namespace.open_dir(ino).await?),
            None => None,
        };
        let valid_for = clean.as_ref().map_or_else(|| self.valid_for(), DirSnapshot::valid_for);
        Ok(MergedListing {
            directory,
            clean,
            staged: RwLock::new(staged),
            begun: AtomicBool::new(false),
            valid_for,
        })
    }

    /// Gives the entries behind a cookie until `each` returns [`Took::Full`]; an entry that it took with a reference is
    /// counted.
    pub fn entries(
        &self,
        listing: &MergedListing,
        cookie: u64,
        each: &mut dyn FnMut(&MergedEntry<'_>) -> Took,
    ) -> Result<(), OverlayError> {
        let _names = self.names.read();
        if cookie == 0 && listing.begun.swap(true, Ordering::Relaxed) {
            *listing.staged.write() =
                StagedNames::new(self.parts.staging.entries(listing.directory).unwrap_or_default());
        }
        let staged = Arc::clone(&listing.staged.read());
        if let Some(clean) = listing.clean.as_ref().filter(|_| cookie < STAGED_COOKIE)
            && self.clean_entries(listing, &staged, clean, cookie, each)? == Took::Full
        {
            return Ok(());
        }
        let done = usize::try_from((cookie + 1).saturating_sub(STAGED_COOKIE)).unwrap_or(usize::MAX);
        for (entry, cookie) in staged.names.iter().zip(STAGED_COOKIE..).skip(done) {
            let Some((number, kind)) = entry.node else { continue };
            // What has moved since is looked up by the kernel itself.
            let shown = match self.parts.staging.lookup(listing.directory, &entry.name) {
                Lookup::Node(view) if view.number == number => Some(Shown::Staged(view)),
                Lookup::Node(_) | Lookup::Whiteout | Lookup::Absent | Lookup::Unknown => None,
            };
            match each(&MergedEntry { name: &entry.name, number: number.0, kind, cookie, shown }) {
                Took::Full => return Ok(()),
                Took::Reference if self.parts.staging.reference(number, 1) => {}
                Took::Reference => {
                    tracing::debug!(name = &*entry.name, "a node was forgotten while it was listed")
                }
                Took::Name => {}
            }
        }
        Ok(())
    }

    fn clean_entries(
        &self,
        listing: &MergedListing,
        staged: &StagedNames,
        clean: &DirSnapshot,
        cookie: u64,
        each: &mut dyn FnMut(&MergedEntry<'_>) -> Took,
    ) -> Result<Took, OverlayError> {
        let mut last = Took::Name;
        clean.next(cookie, &mut |entry| {
            if staged.places.contains_key(entry.name) {
                return false;
            }
            let number = entry.node.ino().get();
            let is_clean = self.parts.staging.lookup(listing.directory, entry.name) == Lookup::Unknown
                && self.parts.staging.node(NodeNumber(number)).is_none();
            let merged = MergedEntry {
                name: entry.name,
                number,
                kind: kind_of(&entry.node),
                cookie: entry.cookie,
                shown: is_clean.then_some(Shown::Clean(entry.node)),
            };
            last = each(&merged);
            if last == Took::Reference && clean.reference(&entry).is_none() {
                tracing::debug!(name = entry.name, "a directory was forgotten while it was read");
            }
            last == Took::Full
        })?;
        Ok(last)
    }
}

/// What became of an entry that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// It was taken without a reference.
    Name,
    /// It was taken with one reference.
    Reference,
    /// It was not taken, and no more is wanted.
    Full,
}

fn kind_of(node: &Node) -> NodeType {
    match node {
        Node::File(_) => NodeType::File,
        Node::Directory(_) => NodeType::Directory,
    }
}
