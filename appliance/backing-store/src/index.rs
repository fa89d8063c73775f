//! [`Index`]: entries by key, in the order of their use, and those whose files are open.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{Mutex, RwLock};
use slab_store::ObjectKey;

use crate::entry::{Entry, Pin};

/// Entries whose two files stay open between uses.
const OPEN_MAX: usize = 128;

/// Lock order: `tables`, then an entry's own locks. `open` is held alone.
#[derive(Default)]
pub(crate) struct Index {
    tables: RwLock<Tables>,
    open: Mutex<VecDeque<Arc<Entry>>>,
}

#[derive(Default)]
struct Tables {
    entries: HashMap<u128, Arc<Entry>>,
    /// Key hashes by the time of the last use, coldest first.
    order: BTreeMap<u64, u128>,
    clock: u64,
}

impl Tables {
    fn find(&self, key: &ObjectKey) -> Option<&Arc<Entry>> {
        self.entries.get(&key.hash()).filter(|entry| entry.key == *key)
    }

    fn touch(&mut self, entry: &Entry) {
        self.order.remove(&entry.tick.load(Ordering::Relaxed));
        self.clock += 1;
        entry.tick.store(self.clock, Ordering::Relaxed);
        self.order.insert(self.clock, entry.key.hash());
    }

    fn remove(&mut self, entry: &Arc<Entry>) -> bool {
        let hash = entry.key.hash();
        let present = self.entries.get(&hash).is_some_and(|found| Arc::ptr_eq(found, entry));
        if present {
            self.entries.remove(&hash);
            self.order.remove(&entry.tick.load(Ordering::Relaxed));
        }
        present
    }
}

impl Index {
    pub(crate) fn find(&self, key: &ObjectKey) -> Option<Arc<Entry>> {
        self.tables.read().find(key).cloned()
    }

    /// The entry, kept from eviction, and counted as used now.
    pub(crate) fn use_pinned(&self, key: &ObjectKey) -> Option<Pin> {
        let mut tables = self.tables.write();
        let entry = Arc::clone(tables.find(key)?);
        tables.touch(&entry);
        Some(entry.pin())
    }

    /// The entry whose key has this hash.
    pub(crate) fn find_hash(&self, hash: u128) -> Option<Arc<Entry>> {
        self.tables.read().entries.get(&hash).cloned()
    }

    /// Adds an entry as the one used last. None with its hash is there.
    pub(crate) fn insert(&self, entry: &Arc<Entry>) {
        let mut tables = self.tables.write();
        let old = tables.entries.insert(entry.key.hash(), Arc::clone(entry));
        debug_assert!(old.is_none(), "makers of entries look first, one at a time");
        tables.touch(entry);
    }

    /// Takes an entry out; false when it is not (any more) in.
    pub(crate) fn remove(&self, entry: &Arc<Entry>) -> bool {
        self.open.lock().retain(|open| !Arc::ptr_eq(open, entry));
        self.tables.write().remove(entry)
    }

    /// Takes the coldest entry out that nobody uses.
    pub(crate) fn take_coldest(&self) -> Option<Arc<Entry>> {
        let victim = {
            let mut tables = self.tables.write();
            let mut cold = tables.order.values().filter_map(|hash| tables.entries.get(hash));
            let victim = Arc::clone(cold.find(|entry| !entry.is_pinned())?);
            tables.remove(&victim);
            victim
        };
        self.open.lock().retain(|open| !Arc::ptr_eq(open, &victim));
        Some(victim)
    }

    /// Notes that an entry's files were opened, and closes those that were opened longest ago.
    pub(crate) fn opened(&self, entry: &Arc<Entry>) {
        let oldest = {
            let mut open = self.open.lock();
            if open.iter().any(|known| Arc::ptr_eq(known, entry)) {
                return;
            }
            open.push_back(Arc::clone(entry));
            if open.len() > OPEN_MAX { open.pop_front() } else { None }
        };
        if let Some(oldest) = oldest {
            oldest.close();
        }
    }

    /// The sealed entry with the next hash, for rounds over all of them.
    pub(crate) fn next_sealed(&self, after: Option<u128>) -> Option<Arc<Entry>> {
        let tables = self.tables.read();
        let later =
            tables.entries.values().filter(|entry| after.is_none_or(|after| entry.key.hash() > after));
        later.filter(|entry| entry.is_sealed()).min_by_key(|entry| entry.key.hash()).cloned()
    }

    /// Count of entries, and of those that are sealed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let tables = self.tables.read();
        let sealed = tables.entries.values().filter(|entry| entry.is_sealed()).count();
        (tables.entries.len() as u64, sealed as u64)
    }
}
