//! Eviction: give up the oldest slabs of a queue, keeping the blocks that were read.
//!
//! The slab's own footer says what was in it, so eviction needs no list in memory. A block whose read count is not
//! zero is written again, to the main queue, with one read less to its name. At most half of a slab is kept, so that
//! each eviction makes room and a write costs at most one more.

use super::Writer;
use crate::device::read_exact_at;
use crate::format::footer::{Meta, QueueKind};
use crate::geometry::SlabId;
use crate::index::Entry;
use crate::key::{BLOCK_BYTES, BlockIndex, ObjectKey};
use crate::log::NewBlock;
use crate::log_state::{FREE_RESERVE, LogState};
use crate::recovery::{Footer, keys_of, read_footer};
use crate::shared::Who;
use crate::sys::AlignedBuf;

/// Slabs given up between two looks at the jobs; they share one flush.
const BATCH_MAX: usize = 4;
/// Bytes read at once for blocks that are kept.
const READ_BYTES: usize = 1 << 20;

/// A block that is written again.
struct Survivor {
    entry: Entry,
    key: u32,
    block: BlockIndex,
}

impl Writer {
    /// Free slabs below which eviction begins.
    fn low_watermark(&self) -> usize {
        FREE_RESERVE + 1 + self.shared.geometry.slab_count as usize / 256
    }

    /// Free slabs at which eviction ends.
    fn high_watermark(&self) -> usize {
        self.low_watermark() + 1 + self.shared.geometry.slab_count as usize / 256
    }

    /// Inserts are about to wait for a slab: eviction goes before writing.
    pub(super) fn must_evict_first(&self, state: &LogState) -> bool {
        !state.closing && state.free.len() <= FREE_RESERVE && !state.sealed.is_empty()
    }

    pub(super) fn wants_eviction(&self, state: &LogState) -> bool {
        let crowded = state.index_pressed || self.shared.index.blocks() > self.shared.index.blocks_max();
        !state.sealed.is_empty() && (crowded || state.free.len() < self.low_watermark())
    }

    /// Gives up slabs until the high watermark is reached, [`BATCH_MAX`] at most.
    pub(super) fn evict(&mut self) {
        let mut emptied = Vec::new();
        for _ in 0..BATCH_MAX {
            let Some((queue, slab)) = self.next_victim(emptied.len()) else { break };
            self.empty(queue, slab);
            emptied.push(slab);
        }
        self.perform(super::Task::Invalidate(emptied));
    }

    fn next_victim(&self, emptied: usize) -> Option<(QueueKind, SlabId)> {
        let mut state = self.shared.lock();
        let pressed = std::mem::take(&mut state.index_pressed)
            || self.shared.index.blocks() > self.shared.index.blocks_max();
        let wanted = pressed || state.free.len() + emptied < self.high_watermark();
        (wanted && !self.shared.is_failed()).then(|| state.sealed.pop()).flatten()
    }

    /// Takes all blocks of a slab out of the index, or moves them; then voids all reads of the slab.
    fn empty(&mut self, queue: QueueKind, slab: SlabId) {
        let shared = &self.shared;
        match read_footer(&*shared.device, shared.geometry, &shared.uuid, slab) {
            Ok(Footer::Sound(_, meta)) => self.sort_out(queue, slab, &meta),
            Ok(Footer::Blank | Footer::Unsound) => self.drop_all(slab),
            Err(error) => {
                self.shared.device_error("read a footer", &error);
                self.drop_all(slab);
            }
        }
        self.shared.slabs.bump_epoch(slab);
        self.shared.tables.remove(slab);
    }

    fn drop_all(&self, slab: SlabId) {
        let bytes = self.shared.index.remove_slab(slab);
        self.shared.used_bytes.sub(bytes);
        self.shared.counters.evicted_bytes.add(bytes);
    }

    fn sort_out(&mut self, queue: QueueKind, slab: SlabId, meta: &Meta) {
        let keys = keys_of(meta);
        let mut read_again = Vec::new();
        for record in &meta.records {
            let name = keys[record.key as usize].fingerprint(record.block);
            match self.shared.index.find(name) {
                Some(entry) if entry.slab == slab && entry.offset == record.offset => {
                    if entry.freq() > 0 {
                        read_again.push(Survivor { entry, key: record.key, block: record.block });
                    } else {
                        self.give_up(queue, &entry);
                    }
                }
                Some(_) | None => {}
            }
        }
        let kept = self.choose(queue, read_again);
        self.keep(queue, slab, &keys, kept);
    }

    /// Forgets a block for good.
    fn give_up(&self, queue: QueueKind, entry: &Entry) {
        if self.shared.forget(entry) {
            self.shared.counters.evicted_blocks.add(1);
            self.shared.counters.evicted_bytes.add(u64::from(entry.len()));
            // A block that was read and did not fit is remembered too, whatever its queue.
            if queue == QueueKind::Small || entry.freq() > 0 {
                self.shared.ghost.remember(entry.name);
            }
        }
    }

    /// The most-read blocks that make up half a slab, in device order; the others are given up.
    fn choose(&self, queue: QueueKind, mut survivors: Vec<Survivor>) -> Vec<Survivor> {
        survivors.sort_by_key(|survivor| std::cmp::Reverse(survivor.entry.freq()));
        let mut room = u64::from(self.shared.geometry.slab_bytes) / 2;
        survivors.retain(|survivor| {
            let stays = u64::from(survivor.entry.len()) <= room;
            if stays {
                room -= u64::from(survivor.entry.len());
            } else {
                self.give_up(queue, &survivor.entry);
            }
            stays
        });
        survivors.sort_by_key(|survivor| survivor.entry.offset);
        survivors
    }

    /// Writes blocks again, reading neighbours together.
    fn keep(&mut self, queue: QueueKind, slab: SlabId, keys: &[ObjectKey], survivors: Vec<Survivor>) {
        let mut rest = survivors.as_slice();
        let mut buf = AlignedBuf::new(if rest.is_empty() { 1 } else { READ_BYTES });
        while let Some(first) = rest.first() {
            let start = first.entry.offset.bytes() / BUF_UNIT * BUF_UNIT;
            let ends = |survivor: &Survivor| survivor.entry.offset.bytes() + survivor.entry.len();
            let count = rest.iter().take_while(|s| (ends(s) - start) as usize <= READ_BYTES).count();
            let (together, others) = rest.split_at(count);
            rest = others;
            let len = (together.last().map_or(start, ends) - start).next_multiple_of(BUF_UNIT) as usize;
            let offset = self.shared.geometry.slab_offset(slab) + u64::from(start);
            let read = read_exact_at(&*self.shared.device, &mut buf, len, offset);
            if let Err(error) = &read {
                self.shared.device_error("read a block to keep it", error);
            }
            for survivor in together {
                let at = (survivor.entry.offset.bytes() - start) as usize;
                let bytes = &buf[at..at + survivor.entry.len() as usize];
                let key = &keys[survivor.key as usize];
                if read.is_err() || !self.write_again(queue, key, survivor, bytes) {
                    self.give_up(queue, &survivor.entry);
                }
            }
        }
    }

    /// Appends a block to the main queue; false when it does not verify or cannot be written.
    fn write_again(&mut self, queue: QueueKind, key: &ObjectKey, survivor: &Survivor, bytes: &[u8]) -> bool {
        let freq = match queue {
            QueueKind::Small => 0,
            QueueKind::Main => survivor.entry.freq() - 1,
        };
        let parts = [bytes];
        let block =
            NewBlock { freq, ..crate::store::new_block(key, survivor.block, survivor.entry.len(), &parts) };
        if block.crc != survivor.entry.crc {
            self.shared.counters.checksum_mismatches.add(1);
            return false;
        }
        loop {
            {
                let mut state = self.shared.lock();
                let present = self.shared.index.find(block.name);
                if !present.is_some_and(|entry| entry.same_place(&survivor.entry)) {
                    return true;
                }
                if self.shared.append(&mut state, QueueKind::Main, &block, Who::Eviction).is_ok() {
                    self.shared.counters.reinserted_bytes.add(u64::from(block.len));
                    return true;
                }
            }
            // Segments and slabs come from the jobs, and jobs come from here alone while this thread is busy or
            // from inserts, which are bounded by segments; without any, there is no room.
            if self.shared.is_failed() || !self.drain_jobs() {
                return false;
            }
        }
    }
}

/// Unit of direct reads for eviction: fits every supported device.
const BUF_UNIT: u32 = 4096;
const _: () = assert!(READ_BYTES >= BLOCK_BYTES as usize + BUF_UNIT as usize);
