//! Where each block lies: 32 bytes a block, in shards of bounded size.
//!
//! Lock order: a shard is a leaf; nothing is locked while it is held.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;
use parking_lot::Mutex;

use crate::geometry::{SlabId, Units};
use crate::key::Fingerprint;

/// Memory of a bucket: the entry and hashbrown's control byte.
const BUCKET_BYTES: usize = size_of::<Entry>() + 1;
const BUCKETS_MAX: usize = 16 * 1024;
const BUCKETS_MIN: usize = 64;
/// Shards wanted before they get larger.
const SHARDS_MIN: usize = 64;
const FREQ_SHIFT: u32 = 30;
/// Greatest read count that eviction knows.
pub(crate) const FREQ_MAX: u32 = 3;

const _: () = assert!(size_of::<Entry>() == 32);
const _: () = assert!(crate::key::BLOCK_BYTES < 1 << FREQ_SHIFT);

/// A block's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Fingerprint,
    pub(crate) slab: SlabId,
    pub(crate) offset: Units,
    /// Length in the low bits; reads since it was written, up to [`FREQ_MAX`], in the two highest.
    len_freq: u32,
    /// Whole-block checksum.
    pub(crate) crc: u32,
}

impl Entry {
    pub(crate) fn new(name: Fingerprint, slab: SlabId, offset: Units, len: u32, crc: u32) -> Self {
        Self { name, slab, offset, len_freq: len, crc }
    }

    pub(crate) fn with_freq(self, freq: u32) -> Self {
        Self { len_freq: self.len() | freq.min(FREQ_MAX) << FREQ_SHIFT, ..self }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len_freq & ((1 << FREQ_SHIFT) - 1)
    }

    pub(crate) fn freq(&self) -> u32 {
        self.len_freq >> FREQ_SHIFT
    }

    /// True when both name the same bytes on the device.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        (self.slab, self.offset) == (other.slab, other.offset)
    }
}

/// A shard has reached its share of the memory bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

pub(crate) struct Index {
    shards: Box<[Mutex<HashTable<Entry>>]>,
    buckets_max: usize,
    blocks: AtomicUsize,
    memory_bytes: AtomicUsize,
}

impl Index {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let mut buckets_max = BUCKETS_MAX;
        while buckets_max > BUCKETS_MIN && bytes_max / (buckets_max * BUCKET_BYTES) < SHARDS_MIN {
            buckets_max /= 2;
        }
        // One shard fewer than fits: the room in which a shard is rebuilt.
        let shards = (bytes_max / (buckets_max * BUCKET_BYTES + 64)).saturating_sub(1).max(1);
        Self {
            shards: (0..shards).map(|_| Mutex::new(HashTable::new())).collect(),
            buckets_max,
            blocks: AtomicUsize::new(0),
            memory_bytes: AtomicUsize::new(0),
        }
    }

    /// Blocks at which eviction should begin: three quarters of what the tables hold at their greatest load.
    pub(crate) fn blocks_max(&self) -> usize {
        self.shards.len() * capacity_of(self.buckets_max) / 4 * 3
    }

    fn shard(&self, name: Fingerprint) -> &Mutex<HashTable<Entry>> {
        // The high half picks the shard, the low half the bucket.
        &self.shards[((u128::from(name.high) * self.shards.len() as u128) >> 64) as usize]
    }

    pub(crate) fn find(&self, name: Fingerprint) -> Option<Entry> {
        self.shard(name).lock().find(name.low, |entry| entry.name == name).copied()
    }

    /// Counts a read of the block and calls `view` while the shard is locked.
    pub(crate) fn touch<R>(&self, name: Fingerprint, view: impl FnOnce(&Entry) -> R) -> Option<R> {
        let mut shard = self.shard(name).lock();
        let entry = shard.find_mut(name.low, |entry| entry.name == name)?;
        if entry.freq() < FREQ_MAX {
            *entry = entry.with_freq(entry.freq() + 1);
        }
        Some(view(entry))
    }

    /// True when a block of this name can be inserted.
    pub(crate) fn has_room(&self, name: Fingerprint) -> bool {
        self.make_room(&mut self.shard(name).lock())
    }

    /// Inserts or replaces.
    pub(crate) fn insert(&self, entry: Entry) -> Result<(), Full> {
        self.insert_if(entry, |_| true)
    }

    /// Inserts, or replaces when `replaces` says so of the present entry.
    pub(crate) fn insert_if(&self, entry: Entry, replaces: impl FnOnce(&Entry) -> bool) -> Result<(), Full> {
        let mut shard = self.shard(entry.name).lock();
        if let Some(present) = shard.find_mut(entry.name.low, |present| present.name == entry.name) {
            if replaces(present) {
                *present = entry;
            }
            return Ok(());
        }
        if !self.make_room(&mut shard) {
            return Err(Full);
        }
        shard.insert_unique(entry.name.low, entry, |entry| entry.name.low);
        self.blocks.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Removes the block when `condition` holds of its entry.
    pub(crate) fn remove_if(
        &self,
        name: Fingerprint,
        condition: impl FnOnce(&Entry) -> bool,
    ) -> Option<Entry> {
        let mut shard = self.shard(name).lock();
        let TableEntry::Occupied(slot) =
            shard.entry(name.low, |entry| entry.name == name, |entry| entry.name.low)
        else {
            return None;
        };
        condition(slot.get()).then(|| {
            self.blocks.fetch_sub(1, Relaxed);
            slot.remove().0
        })
    }

    /// Removes all blocks of a slab whose footer cannot be read; looks at every entry. Gives back their bytes.
    pub(crate) fn remove_slab(&self, slab: SlabId) -> u64 {
        let mut bytes = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = shard.len();
            shard.retain(|entry| {
                let stays = entry.slab != slab;
                bytes += if stays { 0 } else { u64::from(entry.len()) };
                stays
            });
            self.blocks.fetch_sub(before - shard.len(), Relaxed);
        }
        bytes
    }

    /// Makes sure that one more entry fits without growing past the bound. A table that is full of the traces of
    /// removed entries is rebuilt; hashbrown itself would double it.
    fn make_room(&self, shard: &mut HashTable<Entry>) -> bool {
        if shard.len() < shard.capacity() {
            return true;
        }
        let before = shard.allocation_size();
        if shard.num_buckets() < self.buckets_max {
            shard.reserve(1, |entry| entry.name.low);
        } else if shard.len() <= capacity_of(self.buckets_max) / 16 * 15 {
            let mut fresh = HashTable::with_capacity(capacity_of(self.buckets_max));
            for entry in shard.iter() {
                fresh.insert_unique(entry.name.low, *entry, |entry: &Entry| entry.name.low);
            }
            *shard = fresh;
        } else {
            return false;
        }
        self.memory_bytes.fetch_add(shard.allocation_size(), Relaxed);
        self.memory_bytes.fetch_sub(before, Relaxed);
        true
    }

    pub(crate) fn blocks(&self) -> usize {
        self.blocks.load(Relaxed)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes.load(Relaxed)
    }
}

/// Entries that hashbrown puts in so many buckets: seven eighths.
fn capacity_of(buckets: usize) -> usize {
    buckets / 8 * 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{BlockIndex, ObjectKey};

    fn entry(i: u32) -> Entry {
        let key = ObjectKey::new(b"key").unwrap();
        Entry::new(key.fingerprint(BlockIndex(i)), SlabId(i % 7), Units(i), 1 + i % 1000, i)
    }

    #[test]
    fn bound_holds_under_churn() {
        let bytes_max = 1 << 20;
        let index = Index::new(bytes_max);
        let mut full = 0;
        for i in 0..200_000 {
            full += u32::from(index.insert(entry(i)) == Err(Full));
            if i >= 10_000 {
                index.remove_if(entry(i - 10_000).name, |_| true);
            }
            assert!(index.memory_bytes() <= bytes_max);
        }
        assert_eq!(full, 0, "10,000 blocks always fit in 1 MiB");
        for i in 200_000..400_000 {
            full += u32::from(index.insert(entry(i)) == Err(Full));
        }
        assert!(full > 0 && index.memory_bytes() <= bytes_max);
        assert!(index.blocks() >= index.blocks_max());
    }

    #[test]
    fn reads_are_counted_up_to_three() {
        let index = Index::new(1 << 20);
        index.insert(entry(1)).unwrap();
        let counts: Vec<_> = (0..5).filter_map(|_| index.touch(entry(1).name, Entry::freq)).collect();
        assert_eq!(counts, [1, 2, 3, 3, 3]);
        assert_eq!(index.find(entry(1).name).map(|e| e.len()), Some(2));
    }

    #[test]
    fn a_lost_slab_takes_its_blocks_along() {
        let index = Index::new(1 << 20);
        (0..70).for_each(|i| index.insert(entry(i)).unwrap());
        let expected: u64 = (0..70u32).filter(|i| i % 7 == 3).map(|i| u64::from(1 + i % 1000)).sum();
        assert_eq!(index.remove_slab(SlabId(3)), expected);
        assert_eq!(index.blocks(), 60);
        assert_eq!(index.find(entry(3).name), None);
    }
}
