//! Page tables of sealed slabs in memory, bounded, with second-chance (clock) replacement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::geometry::{Geometry, SlabId};

/// Checksums of a slab's pages: entry `i` is for the page at byte `i * 4096` of the slab.
pub(crate) type PageTable = Arc<[u32]>;

#[derive(Default)]
struct Slot {
    table: Mutex<Option<PageTable>>,
    used: AtomicBool,
}

pub(crate) struct PageTables {
    slots: Box<[Slot]>,
    table_bytes: usize,
    tables_max: usize,
    tables: AtomicUsize,
    hand: AtomicU32,
}

impl PageTables {
    pub(crate) fn new(geometry: Geometry, bytes_max: usize) -> Self {
        let table_bytes = geometry.pages() * 4;
        Self {
            slots: geometry.slabs().map(|_| Slot::default()).collect(),
            table_bytes,
            tables_max: (bytes_max / table_bytes).max(1),
            tables: AtomicUsize::new(0),
            hand: AtomicU32::new(0),
        }
    }

    pub(crate) fn get(&self, slab: SlabId) -> Option<PageTable> {
        let slot = &self.slots[slab.0 as usize];
        let table = slot.table.lock().clone()?;
        if !slot.used.load(Relaxed) {
            slot.used.store(true, Relaxed);
        }
        Some(table)
    }

    pub(crate) fn put(&self, slab: SlabId, table: PageTable) {
        let slot = &self.slots[slab.0 as usize];
        slot.used.store(true, Relaxed);
        if slot.table.lock().replace(table).is_none() {
            self.tables.fetch_add(1, Relaxed);
        }
        self.shrink();
    }

    pub(crate) fn remove(&self, slab: SlabId) {
        if self.slots[slab.0 as usize].table.lock().take().is_some() {
            self.tables.fetch_sub(1, Relaxed);
        }
    }

    /// Drops tables that were not used since the hand last passed, until the bound holds. Two rounds suffice.
    fn shrink(&self) {
        for _ in 0..2 * self.slots.len() {
            if self.tables.load(Relaxed) <= self.tables_max {
                return;
            }
            let at = self.hand.fetch_add(1, Relaxed) as usize % self.slots.len();
            if !self.slots[at].used.swap(false, Relaxed) {
                self.remove(SlabId(at as u32));
            }
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.tables.load(Relaxed) * self.table_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_holds_and_the_used_stay() {
        let geometry = Geometry { slab_bytes: 1 << 20, slab_count: 64 };
        let tables = PageTables::new(geometry, 4 * 1024);
        for slab in 0..64 {
            tables.put(SlabId(slab), vec![slab; 256].into());
            assert!(tables.memory_bytes() <= 4 * 1024);
        }
        assert_eq!(tables.get(SlabId(63)).map(|t| t[0]), Some(63));
        tables.remove(SlabId(63));
        assert_eq!(tables.get(SlabId(63)), None);
    }
}
