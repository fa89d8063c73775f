//! [`Inodes`]: the nodes that the kernel references, with its counts.
//!
//! The kernel may reference millions of files, so a node is a slot of 64 bytes, one allocation with its name and version,
//! and an entry of 4 bytes in a hash table: about 125 bytes for a file with an S3 ETag and a name of 20 bytes. Slots live
//! in chunks, which never move and leave no slack as a doubled `Vec` would.
//!
//! A directory stays while the kernel references it or any child of it is here, so that the path of every node can be
//! told. Numbers are spread over [`SHARDS`] locks; no two are ever held together.

mod slab;
mod slot;

use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::Mutex;
use ufs::Version;

use super::entry::{Entry, Kind, Number};
use super::tree::PlaceIndex;
use slab::Slab;
use slot::{Payload, Slot};

/// Locks; a power of two.
const SHARDS: usize = 16;

/// A node as the table tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeAttributes {
    pub(super) number: Number,
    pub(super) size_bytes: u64,
    pub(super) modified: super::entry::Timestamp,
    pub(super) is_directory: bool,
}

/// All nodes that are referenced.
pub(super) struct Inodes {
    root: Number,
    shards: Vec<Mutex<Shard>>,
    count: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    slab: Slab,
    index: HashTable<u32>,
    payload_bytes: usize,
}

/// The parent is not referenced, so the kernel cannot have asked about its child.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParentUnknown;

impl Inodes {
    /// `root` is always referenced and takes no slot.
    pub(super) fn new(root: Number) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { root, shards, count: AtomicUsize::new(0) }
    }

    /// Takes one reference on a node, which is put in if need be.
    pub(super) fn take(
        &self,
        parent: Number,
        entry: &Entry,
        place: Option<PlaceIndex>,
    ) -> Result<(), ParentUnknown> {
        if self.with(entry.number, |slot| slot.references += 1).is_some() {
            return Ok(());
        }
        // The parent is kept first, so that it cannot go between the two.
        self.keep_parent(parent)?;
        let was_there = {
            let mut shard = self.shard(entry.number).lock();
            match shard.get(entry.number) {
                Some(slot) => {
                    slot.references += 1;
                    true
                }
                None => {
                    shard.insert(new_slot(parent, entry, place));
                    self.count.fetch_add(1, Ordering::Relaxed);
                    false
                }
            }
        };
        if was_there {
            self.release_parent(parent);
        }
        Ok(())
    }

    /// Gives back references.
    pub(super) fn forget(&self, number: Number, count: u64) {
        if number == self.root {
            return;
        }
        let unused = self.with(number, |slot| {
            debug_assert!(slot.references >= count, "the kernel forgets more than it looked up");
            slot.references = slot.references.saturating_sub(count);
            slot.is_unused()
        });
        if unused == Some(true) {
            self.remove_unused(number);
        }
    }

    /// Removes a file with its references, which are returned; 0 when it is not here.
    pub(super) fn take_out(&self, number: Number) -> u64 {
        let taken = self.with(number, |slot| match slot.payload.is_directory() {
            true => 0,
            false => std::mem::take(&mut slot.references),
        });
        let Some(references) = taken.filter(|references| *references > 0) else { return 0 };
        self.remove_unused(number);
        references
    }

    pub(super) fn attributes(&self, number: Number) -> Option<NodeAttributes> {
        self.with(number, |slot| NodeAttributes {
            number,
            size_bytes: slot.size_bytes,
            modified: slot.modified,
            is_directory: slot.payload.is_directory(),
        })
    }

    /// The version of a file; `None` for directories.
    pub(super) fn version(&self, number: Number) -> Option<Version> {
        self.with(number, |slot| slot.payload.version()).flatten()
    }

    /// Whether it is a directory, and the place that it is in the mount's table.
    pub(super) fn directory_place(&self, number: Number) -> Option<Option<PlaceIndex>> {
        if number == self.root {
            return Some(Some(PlaceIndex::ROOT));
        }
        self.with(number, |slot| slot.payload.is_directory().then(|| slot.payload.place())).flatten()
    }

    pub(super) fn contains(&self, number: Number) -> bool {
        number == self.root || self.with(number, |_| ()).is_some()
    }

    /// The directory that holds a node, and its name there; `None` for the root.
    pub(super) fn parent_and_name(&self, number: Number) -> Option<(Number, Box<str>)> {
        self.with(number, |slot| (slot.parent, slot.payload.name().into()))
    }

    /// The names from the root down to a node.
    pub(super) fn names(&self, number: Number) -> Option<Vec<Box<str>>> {
        let mut names = Vec::new();
        let mut at = number;
        while at != self.root {
            let (parent, name) = self.parent_and_name(at)?;
            names.push(name);
            at = parent;
        }
        names.reverse();
        Some(names)
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Memory of all nodes with the allocator's share.
    pub(super) fn memory_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().memory_bytes()).sum()
    }

    fn keep_parent(&self, parent: Number) -> Result<(), ParentUnknown> {
        if parent == self.root {
            return Ok(());
        }
        self.with(parent, |slot| slot.children += 1).ok_or(ParentUnknown)
    }

    fn release_parent(&self, parent: Number) {
        if parent == self.root {
            return;
        }
        let unused = self.with(parent, |slot| {
            slot.children -= 1;
            slot.is_unused()
        });
        if unused == Some(true) {
            self.remove_unused(parent);
        }
    }

    /// Removes a node that is still unused, and its ancestors that are kept by nothing else.
    fn remove_unused(&self, mut number: Number) {
        loop {
            let removed = self.shard(number).lock().remove_if_unused(number);
            let Some(parent) = removed else { return };
            self.count.fetch_sub(1, Ordering::Relaxed);
            if parent == self.root {
                return;
            }
            let unused = self.with(parent, |slot| {
                slot.children -= 1;
                slot.is_unused()
            });
            if unused != Some(true) {
                return;
            }
            number = parent;
        }
    }

    fn with<T>(&self, number: Number, of: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        self.shard(number).lock().get(number).map(of)
    }

    fn shard(&self, number: Number) -> &Mutex<Shard> {
        &self.shards[hash(number) as usize % SHARDS]
    }
}

fn new_slot(parent: Number, entry: &Entry, place: Option<PlaceIndex>) -> Slot {
    let (size_bytes, payload) = match &entry.kind {
        Kind::File { size_bytes, version } => (*size_bytes, Payload::file(version, &entry.name)),
        Kind::Directory => (0, Payload::directory(place, &entry.name)),
    };
    Slot {
        number: entry.number,
        parent,
        size_bytes,
        modified: entry.modified,
        references: 1,
        children: 0,
        payload,
    }
}

impl Shard {
    fn get(&mut self, number: Number) -> Option<&mut Slot> {
        let slab = &self.slab;
        let index = *self.index.find(hash(number), |index| slab.is(*index, number))?;
        self.slab.get(index)
    }

    fn insert(&mut self, slot: Slot) {
        let number = slot.number;
        self.payload_bytes += slot.payload.memory_bytes();
        let index = self.slab.insert(slot);
        let slab = &self.slab;
        self.index.insert_unique(hash(number), index, |index| slab.number(*index).map_or(0, hash));
    }

    /// The parent of the removed node.
    fn remove_if_unused(&mut self, number: Number) -> Option<Number> {
        if !self.get(number)?.is_unused() {
            return None;
        }
        let slab = &self.slab;
        let found = self.index.find_entry(hash(number), |index| slab.is(*index, number)).ok()?;
        let (index, _) = found.remove();
        let slot = self.slab.remove(index)?;
        self.payload_bytes -= slot.payload.memory_bytes();
        Some(slot.parent)
    }

    fn memory_bytes(&self) -> usize {
        // hashbrown: a control byte beside each bucket.
        let buckets = self.index.num_buckets() * (size_of::<u32>() + 1);
        self.slab.memory_bytes() + self.payload_bytes + buckets
    }
}

/// Numbers are dense; the multiplication spreads them over all bits, the low ones of which choose shard and bucket.
fn hash(number: Number) -> u64 {
    let product = u128::from(number.0).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests;
