//! [`Shared`]: the state of one mount's names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_128;

use super::NamespaceOptions;
use super::database::{Database, Op};
use super::entry::{Entry, Kind, Number, Timestamp};
use super::error::NamespaceError;
use super::events::Events;
use super::flights::Flights;
use super::freshness::Rules;
use super::inodes::{Inodes, NodeAttributes};
use super::lookup::Misses;
use super::negatives::NameTimes;
use super::place::Place;
use super::tree::{Origin, PlaceIndex, Tree};
use super::types::{DirNode, FileNode, Ino, NamespaceStats, Node, ObjectRef, RefreshReport};
use crate::config::TreePath;
use crate::store::{Store, StoreIndex};

pub(super) struct Shared {
    pub(super) tree: Tree,
    /// Numbers of the tree's places; the first is the root's.
    place_numbers: Vec<Number>,
    /// Where each of the tree's places has its names from.
    place_origins: Vec<Option<Origin>>,
    stores: Vec<Arc<Store>>,
    pub(super) rules: Rules,
    pub(super) database: Arc<Database>,
    pub(super) events: Events,
    pub(super) inodes: Inodes,
    /// Names that a store said are absent.
    pub(super) negatives: NameTimes,
    /// Names whose node a reader found to be replaced or gone.
    pub(super) doubts: NameTimes,
    pub(super) misses: Misses,
    pub(super) lookups: Flights<(Number, Box<str>), Option<Entry>>,
    /// By directory, and whether everything below is listed too.
    pub(super) imports: Flights<(Number, bool), RefreshReport>,
    pub(super) listings_imported: AtomicU64,
    opened: Timestamp,
}

impl Shared {
    pub(super) async fn open(options: NamespaceOptions) -> Result<Self, NamespaceError> {
        let tree = Tree::new(&options.tree, options.stores.len())?;
        let place_numbers = place_numbers(&options, &tree).await?;
        let place_origins = tree.indices().map(|index| tree.at(tree.path(index)).1).collect();
        let opened = options.clock.now().into();
        Ok(Self {
            inodes: Inodes::new(place_numbers[0]),
            tree,
            place_numbers,
            place_origins,
            stores: options.stores,
            rules: Rules::new(options.consistency, options.clock),
            database: options.database,
            events: Events::start(options.events)?,
            negatives: NameTimes::default(),
            doubts: NameTimes::default(),
            misses: Misses::default(),
            lookups: Flights::new(),
            imports: Flights::new(),
            listings_imported: AtomicU64::new(0),
            opened,
        })
    }

    pub(super) fn root(&self) -> Number {
        self.place_numbers[0]
    }

    pub(super) fn ino(&self, number: Number) -> Ino {
        if number == self.root() { Ino::ROOT } else { Ino::new(number.0).unwrap_or(Ino::ROOT) }
    }

    pub(super) fn number(&self, ino: Ino) -> Number {
        if ino == Ino::ROOT { self.root() } else { Number(ino.get()) }
    }

    pub(super) fn store(&self, index: StoreIndex) -> &Arc<Store> {
        &self.stores[usize::from(index.0)]
    }

    pub(super) fn origin_at(&self, index: PlaceIndex) -> Option<&Origin> {
        self.place_origins[usize::from(index.0)].as_ref()
    }

    /// The entry of a place of the mount's table under its name.
    pub(super) fn place_entry(&self, name: &str, index: PlaceIndex) -> Entry {
        Entry::directory(name, self.place_numbers[usize::from(index.0)], self.opened)
    }

    pub(super) fn place_at(&self, index: PlaceIndex) -> Place {
        let number = self.place_numbers[usize::from(index.0)];
        Place::new(&self.tree, self.tree.path(index).clone(), number)
    }

    /// A directory in a directory.
    pub(super) fn child_place(&self, parent: &Place, entry: &Entry) -> Result<Place, NamespaceError> {
        if let Some(index) = parent.index.and_then(|index| self.tree.child(index, &entry.name)) {
            return Ok(self.place_at(index));
        }
        let not_found = || NamespaceError::NotFound { path: format!("{}/{}", parent.path, entry.name) };
        parent.child(&entry.name, entry.number).ok_or_else(not_found)
    }

    /// The directory that an inode is.
    pub(super) fn place(&self, ino: Ino) -> Result<Place, NamespaceError> {
        let number = self.number(ino);
        let unknown = || NamespaceError::UnknownInode { number: ino.get() };
        let path = self.path(number).ok_or_else(unknown)?;
        if self.inodes.directory_place(number).is_none() {
            return Err(NamespaceError::NotADirectory { path: path.to_string() });
        }
        Ok(Place::new(&self.tree, path, number))
    }

    fn path(&self, number: Number) -> Option<TreePath> {
        TreePath::new(&self.inodes.names(number)?.join("/")).ok()
    }

    pub(super) fn node(&self, ino: Ino) -> Option<Node> {
        if ino == Ino::ROOT {
            return Some(Node::Directory(DirNode { ino, modified: self.opened.into() }));
        }
        let NodeAttributes { size_bytes, modified, is_directory, .. } =
            self.inodes.attributes(self.number(ino))?;
        let modified = modified.into();
        Some(match is_directory {
            true => Node::Directory(DirNode { ino, modified }),
            false => Node::File(FileNode { ino, size_bytes, modified }),
        })
    }

    pub(super) fn node_of(&self, entry: &Entry) -> Node {
        let (ino, modified) = (self.ino(entry.number), entry.modified.into());
        match entry.kind {
            Kind::Directory => Node::Directory(DirNode { ino, modified }),
            Kind::File { size_bytes, .. } => Node::File(FileNode { ino, size_bytes, modified }),
        }
    }

    pub(super) fn object(&self, ino: Ino) -> Option<ObjectRef> {
        let number = self.number(ino);
        let size_bytes = self.inodes.attributes(number)?.size_bytes;
        let version = self.inodes.version(number)?;
        let path = self.path(number)?;
        let (_, origin) = self.tree.at(&path.parent()?);
        let origin = origin?;
        let key = origin.file_key(path.name()?)?;
        Some(ObjectRef { store: origin.store, key, version, size_bytes })
    }

    /// The object of an entry of a directory.
    pub(super) fn object_of(&self, place: &Place, entry: &Entry) -> Option<ObjectRef> {
        let Kind::File { size_bytes, version } = &entry.kind else { return None };
        let origin = place.origin.as_ref()?;
        let key = origin.file_key(&entry.name)?;
        Some(ObjectRef { store: origin.store, key, version: version.unpack(), size_bytes: *size_bytes })
    }

    /// Takes a reference on an entry of a directory that the kernel references.
    pub(super) fn take(&self, parent: Number, entry: &Entry) -> Option<Node> {
        let parent_index = self.inodes.directory_place(parent)?;
        let index = parent_index.and_then(|index| self.tree.child(index, &entry.name));
        self.inodes.take(parent, entry, index).ok()?;
        // What the table has under this number was there first, so it is what the kernel knows.
        self.node(self.ino(entry.number))
    }

    pub(super) fn forget(&self, ino: Ino, count: u64) {
        self.inodes.forget(self.number(ino), count);
    }

    pub(super) fn report_changed(&self, ino: Ino) {
        let Some((parent, name)) = self.inodes.parent_and_name(self.number(ino)) else { return };
        if !self.doubts.insert(parent, &name, self.rules.clock.now_ms()) {
            self.rules.distrust_all();
        }
        self.events.try_entry_changed(self.ino(parent), &name);
    }

    pub(super) fn stats(&self) -> NamespaceStats {
        let hidden = self.database.read(|tables| tables.hidden(self.root()));
        NamespaceStats {
            known_inodes: self.inodes.count() as u64,
            inode_memory_bytes: self.inodes.memory_bytes() as u64,
            listing_cache_bytes: self.database.cache_bytes(),
            listings_imported: self.listings_imported.load(Ordering::Relaxed),
            // Damage has been reported, and makes all listings unknown.
            hidden_names: hidden.unwrap_or(0),
        }
    }
}

/// The numbers of a mount's places, from the database or new. What an earlier table of the same mount had is dropped.
async fn place_numbers(options: &NamespaceOptions, tree: &Tree) -> Result<Vec<Number>, NamespaceError> {
    let mount = xxh3_128(options.identity.as_bytes());
    let stores = &options.stores;
    let table = tree.describe(|index| stores[usize::from(index.0)].identity.clone());
    let table = xxh3_128(table.as_bytes()).to_be_bytes();
    let database = &options.database;
    let rows = database.read(|tables| tables.places(mount)).unwrap_or_default();
    let key = |rest: &[u8]| [&mount.to_be_bytes(), rest].concat();
    let mut ops = Vec::new();
    for (rest, number) in rows.iter().filter(|(rest, _)| !rest.starts_with(&table)) {
        ops.push(Op::DropPlace { key: key(rest) });
        ops.push(Op::DropDirectory { directory: Number(*number), root: Number(*number) });
    }
    let mut numbers = Vec::new();
    for index in tree.indices() {
        let rest = [&table, tree.path(index).as_str().as_bytes()].concat();
        let number = match rows.iter().find(|(known, _)| *known == rest) {
            Some((_, number)) => Number(*number),
            None => {
                let number = database.take_number().await?;
                ops.push(Op::Place { key: key(&rest), number });
                number
            }
        };
        numbers.push(number);
    }
    if !ops.is_empty() {
        database.write_durably(ops).await?;
    }
    Ok(numbers)
}
