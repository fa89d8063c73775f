//! How a range of an object is read: few direct reads into one buffer, then verification of every byte.
//!
//! A plan is made without I/O (but for a page table that is not in memory), carried out by any ring, and checked; blocks
//! that are still in write segments are copied from there. [`crate::PlannedRead`] leads through it.
//!
//! The buffer is laid out so that the bytes of consecutive blocks meet: a block that continues another lies right
//! after it. Only a last, short block on a device with 4096-byte sectors may begin inside a sector; it is read to the
//! side and moved into place.

use std::ops::Range;

use crate::checksum::{PAGE_BYTES, block_crc, page_crc};
use crate::geometry::LARGE_BLOCK_BYTES;
use crate::index::Entry;
use crate::key::{BLOCK_BYTES, BlockIndex, BlockSeed, ObjectKey};
use crate::page_tables::PageTable;
use crate::shared::Shared;
use crate::slabs::Epoch;

/// Longest range of one read: 1 MiB and one block, so that any 1 MiB request can be widened to the block grid.
pub const READ_BYTES_MAX: usize = (1 << 20) + BLOCK_BYTES as usize;

/// One direct read: offsets and length are aligned for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First byte on the device.
    pub device_offset: u64,
    /// Bytes to read.
    pub len: usize,
    /// First byte in the buffer.
    pub position: usize,
}

/// What verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All bytes are those that were inserted.
    Good,
    /// A slab was given up while it was read: plan again.
    Stale,
    /// Bytes were wrong. The blocks were dropped and counted.
    Mismatch,
}

enum Check {
    /// All of the block is in the buffer.
    Block,
    /// Whole pages of the block from the one that begins at `Extent::start`.
    Pages { table: PageTable },
}

/// A part of one block.
struct Extent {
    entry: Entry,
    seed: BlockSeed,
    epoch: Epoch,
    check: Check,
    /// False: the bytes are still in a write segment.
    on_device: bool,
    /// Bytes of the block that are read.
    start: u32,
    len: u32,
    /// Where they are read to.
    position: usize,
    /// Where they belong: differs from `position` for a block that is read to the side.
    home: usize,
}

/// A planned read; reusable, so that planning allocates nothing in the long run.
#[derive(Default)]
pub(crate) struct ReadPlan {
    extents: Vec<Extent>,
    runs: Vec<Run>,
    result: Range<usize>,
    buffer_bytes: usize,
}

/// The part of a block that a read asks for.
struct Wanted {
    block: BlockIndex,
    /// Length the block must have.
    len: u32,
    range: Range<u32>,
}

impl ReadPlan {
    /// Bytes a buffer must have to carry out any plan of a read of `len` bytes.
    pub(crate) const fn buffer_bytes_max(len: usize) -> usize {
        // Whole blocks at both ends, sectors around them, and a block to the side.
        len + 3 * BLOCK_BYTES as usize + 3 * PAGE_BYTES
    }

    /// The direct reads to carry out.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Where the bytes that were asked for lie in the buffer, once verified.
    pub(crate) fn result(&self) -> Range<usize> {
        self.result.clone()
    }

    /// Bytes of the buffer that this plan uses.
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Makes the plan; false when a block is missing.
    pub(crate) fn build(
        &mut self,
        shared: &Shared,
        object: &ObjectKey,
        range: Range<u64>,
        object_size: u64,
    ) -> bool {
        self.extents.clear();
        self.runs.clear();
        self.result = 0..0;
        self.buffer_bytes = 0;
        let mut done = range.start;
        while done < range.end {
            let Some(wanted) = Wanted::at(done, range.end, object_size) else { return false };
            if !self.add(shared, object, &wanted) {
                return false;
            }
            done += u64::from(wanted.range.end - wanted.range.start);
        }
        let len = (range.end - range.start) as usize;
        self.result.end = self.result.start + len;
        true
    }

    fn add(&mut self, shared: &Shared, object: &ObjectKey, wanted: &Wanted) -> bool {
        let name = object.fingerprint(wanted.block);
        let found = shared.index.touch(name, |entry| (*entry, shared.slabs.epoch(entry.slab)));
        let Some((entry, epoch)) = found else { return false };
        if entry.len() != wanted.len {
            return false;
        }
        let (part, check) = choose_check(shared, &entry, &wanted.range);
        let end = entry.offset.bytes() + entry.len();
        let mut extent = Extent {
            entry,
            seed: object.seed(wanted.block),
            epoch,
            check,
            on_device: shared.slabs.is_written(entry.slab, end),
            start: part.start,
            len: part.end - part.start,
            position: 0,
            home: 0,
        };
        self.place(shared, &mut extent, &wanted.range);
        self.extents.push(extent);
        true
    }

    /// Finds the extent's place in the buffer, and adds or widens a run for it.
    fn place(&mut self, shared: &Shared, extent: &mut Extent, wanted: &Range<u32>) {
        let unit = shared.device.alignment().offset_bytes as usize;
        let slab_offset = shared.geometry.slab_offset(extent.entry.slab);
        let device_start = slab_offset + u64::from(extent.entry.offset.bytes() + extent.start);
        let lead = if extent.on_device { (device_start % unit as u64) as usize } else { 0 };
        match self.extents.last() {
            None => {
                extent.home = lead;
                self.result.start = lead + (wanted.start - extent.start) as usize;
            }
            Some(previous) => extent.home = previous.home + previous.len as usize,
        }
        let in_place = self.extents.is_empty() || lead == 0;
        extent.position = if in_place {
            extent.home
        } else {
            (extent.home + extent.len as usize).next_multiple_of(PAGE_BYTES) + lead
        };
        let len = (lead + extent.len as usize).next_multiple_of(unit);
        let position = extent.position - lead;
        self.buffer_bytes = self.buffer_bytes.max(position + len);
        if extent.on_device {
            self.add_run(Run { device_offset: device_start - lead as u64, len, position });
        }
    }

    /// Adds a run, as a part of the last one where they meet on the device and in the buffer.
    fn add_run(&mut self, run: Run) {
        match self.runs.last_mut() {
            Some(last)
                if last.device_offset + last.len as u64 == run.device_offset
                    && last.position + last.len == run.position =>
            {
                last.len += run.len;
            }
            _ => self.runs.push(run),
        }
    }

    /// Copies what is still in write segments; false when a segment was written meanwhile.
    pub(crate) fn fill(&self, shared: &Shared, buf: &mut [u8]) -> bool {
        self.extents.iter().filter(|extent| !extent.on_device).all(|extent| {
            let start = extent.entry.offset.bytes() + extent.start;
            shared.lock().copy(extent.entry.slab, start, &mut buf[extent.range()])
        })
    }

    /// True when some bytes are still in write segments.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.extents.iter().any(|extent| !extent.on_device)
    }

    /// Verifies every byte, drops blocks that fail, and moves a block that was read to the side.
    pub(crate) fn check(&self, shared: &Shared, buf: &mut [u8]) -> Verdict {
        // Before the bytes are looked at: an unchanged epoch now means that nothing was overwritten before now.
        if self.extents.iter().any(|extent| shared.slabs.epoch(extent.entry.slab) != extent.epoch) {
            return Verdict::Stale;
        }
        let mut verdict = Verdict::Good;
        for extent in &self.extents {
            if !is_verified(shared, extent, &buf[extent.range()]) {
                shared.counters.checksum_mismatches.add(1);
                shared.forget(&extent.entry);
                verdict = Verdict::Mismatch;
            }
        }
        for extent in self.extents.iter().filter(|extent| extent.position != extent.home) {
            buf.copy_within(extent.range(), extent.home);
        }
        verdict
    }

    /// Drops the blocks of a plan whose reads the device failed.
    pub(crate) fn drop_blocks(&self, shared: &Shared) {
        for extent in self.extents.iter().filter(|extent| extent.on_device) {
            shared.forget(&extent.entry);
        }
    }
}

impl Wanted {
    /// The part of `from..end` in the block that holds `from`.
    fn at(from: u64, end: u64, object_size: u64) -> Option<Self> {
        let block_bytes = u64::from(BLOCK_BYTES);
        let index = from / block_bytes;
        let block_start = index * block_bytes;
        let len = (object_size.saturating_sub(block_start)).min(block_bytes) as u32;
        let range = (from - block_start) as u32..(end - block_start).min(u64::from(len)) as u32;
        let block = BlockIndex(u32::try_from(index).ok()?);
        (range.start < range.end).then_some(Self { block, len, range })
    }
}

/// What to read for a part of a block: the pages of a large block in a sealed slab, or all of the block.
fn choose_check(shared: &Shared, entry: &Entry, wanted: &Range<u32>) -> (Range<u32>, Check) {
    let whole = 0..entry.len();
    let can_use_pages =
        *wanted != whole && entry.len() >= LARGE_BLOCK_BYTES && shared.slabs.is_sealed(entry.slab);
    match can_use_pages.then(|| shared.page_table(entry.slab)).flatten() {
        Some(table) => {
            let page = PAGE_BYTES as u32;
            let end = wanted.end.next_multiple_of(page).min(entry.len());
            (wanted.start - wanted.start % page..end, Check::Pages { table })
        }
        None => (whole, Check::Block),
    }
}

impl Extent {
    fn range(&self) -> Range<usize> {
        self.position..self.position + self.len as usize
    }
}

fn is_verified(shared: &Shared, extent: &Extent, bytes: &[u8]) -> bool {
    if shared.skips_verification() {
        return true;
    }
    match &extent.check {
        Check::Block => block_crc(extent.seed, std::iter::once(bytes)) == extent.entry.crc,
        Check::Pages { table } => {
            let first = extent.start / PAGE_BYTES as u32;
            let in_slab = (extent.entry.offset.bytes() + extent.start) as usize / PAGE_BYTES;
            bytes
                .chunks(PAGE_BYTES)
                .zip(first..)
                .zip(&table[in_slab..])
                .all(|((data, page), crc)| page_crc(extent.seed, page, data) == *crc)
        }
    }
}
