//! What readers, inserters and the writer thread share.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::budget::Budget;
use crate::checksum::PAGE_BYTES;
use crate::device::{Device, read_exact_at};
use crate::format::footer::{QueueKind, Trailer, decode_page_table};
use crate::format::superblock::Uuid;
use crate::geometry::{Geometry, SlabId, TRAILER_BYTES};
use crate::ghost::Ghost;
use crate::health::Health;
use crate::index::{Entry, Index};
use crate::log::{NewBlock, OpenSlab};
use crate::log_state::{FREE_RESERVE, LogState, NoRoom};
use crate::page_tables::{PageTable, PageTables};
use crate::slabs::Slabs;
use crate::stats::{Counter, Counters};
use crate::sys::AlignedBuf;
use crate::waiters::Waiters;

/// Part of the index that the blocks of one open slab may take, so that there is always something to evict.
const OPEN_SLAB_INDEX_SHARE: usize = 8;

pub(crate) struct Shared {
    pub(crate) device: Arc<dyn Device>,
    pub(crate) geometry: Geometry,
    pub(crate) uuid: Uuid,
    pub(crate) budget: Budget,
    pub(crate) memory_bytes_max: u64,
    pub(crate) index: Index,
    pub(crate) ghost: Ghost,
    pub(crate) tables: PageTables,
    pub(crate) slabs: Slabs,
    pub(crate) state: Mutex<LogState>,
    /// Tells the writer thread that `state` has work.
    pub(crate) work: Condvar,
    /// Inserts that wait for a slab, a segment or room in the index.
    pub(crate) space: Waiters,
    pub(crate) health: Health,
    pub(crate) counters: Counters,
    /// Bytes of blocks in the index.
    pub(crate) used_bytes: Counter,
    #[cfg(feature = "sim")]
    pub(crate) planted: Option<crate::options::Planted>,
}

/// Who appends: eviction may use the reserved slab.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Insert,
    Eviction,
}

impl Shared {
    /// Appends a block to a queue's open slab and enters it in the index.
    pub(crate) fn append(
        &self,
        state: &mut LogState,
        queue: QueueKind,
        block: &NewBlock<'_>,
        who: Who,
    ) -> Result<(), NoRoom> {
        let fits = state.open_slab(queue).is_some_and(|open| open.fits(block));
        if !fits {
            state.begin_seal(queue)?;
            self.work.notify_one();
            self.open_slab(state, queue, who)?;
        }
        if !self.index.has_room(block.name) && self.index.find(block.name).is_none() {
            state.index_pressed = true;
            return Err(NoRoom::Slab);
        }
        let needs_segment = state.open_slab(queue).is_some_and(|open| open.needs_segment(block));
        if needs_segment && state.segments.is_pool_empty() {
            return Err(NoRoom::Segment);
        }
        let jobs_before = state.jobs.len();
        let offset = state.append(queue, block).ok_or(NoRoom::Slab)?;
        let slab = state.open_slab(queue).map(|open| open.slab).ok_or(NoRoom::Slab)?;
        if state.jobs.len() > jobs_before {
            self.work.notify_one();
        }
        self.enter(Entry::new(block.name, slab, offset, block.len, block.crc).with_freq(block.freq));
        Ok(())
    }

    fn enter(&self, entry: Entry) {
        let before = self.index.find(entry.name).map_or(0, |entry| u64::from(entry.len()));
        if self.index.insert(entry).is_ok() {
            self.used_bytes.add(u64::from(entry.len()));
            self.used_bytes.sub(before);
        }
    }

    fn open_slab(&self, state: &mut LogState, queue: QueueKind, who: Who) -> Result<(), NoRoom> {
        let reserve = if who == Who::Eviction { 0 } else { FREE_RESERVE };
        if state.free.len() <= reserve {
            return Err(NoRoom::Slab);
        }
        let slab = state.free.pop_front().ok_or(NoRoom::Slab)?;
        let generation = state.next_generation;
        state.next_generation += 1;
        self.slabs.start(slab, generation);
        let records_max = (self.index.blocks_max() / OPEN_SLAB_INDEX_SHARE).max(1);
        state.set_open(OpenSlab::new(slab, generation, queue, self.geometry, &self.budget, records_max));
        Ok(())
    }

    /// Removes a block from the index if it is still where the entry says.
    pub(crate) fn forget(&self, entry: &Entry) -> bool {
        let removed = self.index.remove_if(entry.name, |present| present.same_place(entry));
        self.used_bytes.sub(removed.map_or(0, |entry| u64::from(entry.len())));
        removed.is_some()
    }

    /// Counts a device error, and fails the store if it was one too many.
    pub(crate) fn device_error(&self, action: &'static str, error: &std::io::Error) {
        self.counters.device_errors.add(1);
        tracing::warn!(action, %error, "the cache device failed an operation");
        if self.health.error() {
            self.announce_failure();
        }
    }

    /// Fails the store for good: reads miss, inserts are refused, and nobody is left waiting.
    pub(crate) fn fail(&self) {
        if self.health.fail() {
            self.announce_failure();
        }
    }

    fn announce_failure(&self) {
        tracing::error!(
            "the slab store has failed: the cache device answers with errors; going on without it"
        );
        self.space.wake_all();
        self.work.notify_one();
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.health.is_failed()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock()
    }

    /// The page table of a sealed slab, from memory or from its footer; `None` when it cannot be read.
    pub(crate) fn page_table(&self, slab: SlabId) -> Option<PageTable> {
        if let Some(table) = self.tables.get(slab) {
            return Some(table);
        }
        let epoch = self.slabs.epoch(slab);
        let table: PageTable = self.read_page_table(slab)?.into();
        self.tables.put(slab, Arc::clone(&table));
        if self.slabs.epoch(slab) != epoch {
            self.tables.remove(slab);
            return None;
        }
        Some(table)
    }

    fn read_page_table(&self, slab: SlabId) -> Option<Vec<u32>> {
        let (start, table_bytes) =
            (self.geometry.page_table_start(), self.geometry.page_table_bytes() as usize);
        let len = table_bytes + TRAILER_BYTES as usize;
        let mut buf = AlignedBuf::new(len);
        let offset = self.geometry.slab_offset(slab) + u64::from(start);
        if let Err(error) = read_exact_at(&*self.device, &mut buf, len, offset) {
            self.device_error("read a page table", &error);
            return None;
        }
        let trailer = Trailer::decode(&buf[table_bytes..], self.geometry, &self.uuid, slab)?;
        let mut table = decode_page_table(&buf[..table_bytes], trailer.page_table_crc)?;
        table.truncate(self.geometry.slab_bytes as usize / PAGE_BYTES);
        Some(table)
    }

    /// Memory under the bound, in use or set aside now.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let segments = self.budget.segments * self.geometry.segment_bytes() as usize;
        let footers = self.lock().footers_bytes();
        let tables = self.tables.memory_bytes();
        (segments + footers + tables + self.budget.ghost_bytes + self.index.memory_bytes()) as u64
    }

    #[cfg(feature = "sim")]
    pub(crate) fn skips_verification(&self) -> bool {
        self.is_planted(crate::options::Planted::SkipVerification)
    }

    #[cfg(not(feature = "sim"))]
    pub(crate) fn skips_verification(&self) -> bool {
        false
    }

    #[cfg(feature = "sim")]
    pub(crate) fn is_planted(&self, bug: crate::options::Planted) -> bool {
        self.planted == Some(bug)
    }
}
