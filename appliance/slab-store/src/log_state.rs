//! Everything that appending changes, under one lock: open slabs, segments, jobs for the writer, free slabs.
//!
//! Lock order: this lock, then an index shard or a page table slot. Copying a block under it costs about 10 us; crcs
//! are computed before it is taken.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::budget::Budget;
use crate::eviction_queues::EvictionQueues;
use crate::format::footer::{Meta, QueueKind};
use crate::geometry::{Geometry, SlabId};
use crate::log::OpenSlab;
use crate::segment::Segments;
use crate::sys::AlignedBuf;

/// Free slabs that only eviction may open, for the blocks that it keeps.
pub(crate) const FREE_RESERVE: usize = 1;

/// Work for the writer thread, in order. Bounded: a write holds a segment, and each queue has one seal at most.
pub(crate) enum Job {
    Write(SegmentWrite),
    Seal(Box<Seal>),
}

pub(crate) struct SegmentWrite {
    pub(crate) slab: SlabId,
    pub(crate) start: u32,
    pub(crate) len: u32,
    pub(crate) data: Arc<AlignedBuf>,
}

/// What a slab's footer is made of.
pub(crate) struct Seal {
    pub(crate) slab: SlabId,
    pub(crate) generation: u64,
    pub(crate) queue: QueueKind,
    pub(crate) meta: Meta,
    pub(crate) page_table: Vec<u32>,
}

pub(crate) struct LogState {
    pub(crate) segments: Segments,
    pub(crate) jobs: VecDeque<Job>,
    /// Slabs without a valid footer on the device.
    pub(crate) free: VecDeque<SlabId>,
    /// Slabs found with an unsound footer, to be invalidated before use.
    pub(crate) unsound: Vec<SlabId>,
    pub(crate) sealed: EvictionQueues,
    pub(crate) next_generation: u64,
    /// An index shard was full: a slab has to go though there is room on the device.
    pub(crate) index_pressed: bool,
    pub(crate) closing: bool,
    /// Slabs that could not be written, and are not used until the cache is opened anew.
    pub(crate) lost_slabs: u32,
    open: [Option<OpenSlab>; 2],
    /// Memory of the slab being sealed, for each queue.
    sealing: [Option<(SlabId, usize)>; 2],
}

/// Why nothing was appended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// No free slab, or the previous slab of this queue is still being sealed.
    Slab,
    /// All write segments are in use.
    Segment,
}

fn at(queue: QueueKind) -> usize {
    match queue {
        QueueKind::Small => 0,
        QueueKind::Main => 1,
    }
}

impl LogState {
    pub(crate) fn new(budget: &Budget, geometry: Geometry) -> Self {
        Self {
            segments: Segments::new(budget.segments, geometry.segment_bytes()),
            jobs: VecDeque::new(),
            free: VecDeque::new(),
            unsound: Vec::new(),
            sealed: EvictionQueues::default(),
            next_generation: 1,
            index_pressed: false,
            closing: false,
            lost_slabs: 0,
            open: [None, None],
            sealing: [None, None],
        }
    }

    pub(crate) fn open_slab(&mut self, queue: QueueKind) -> Option<&mut OpenSlab> {
        self.open[at(queue)].as_mut()
    }

    pub(crate) fn set_open(&mut self, open: OpenSlab) {
        let queue = at(open.queue);
        self.open[queue] = Some(open);
    }

    /// Appends to an open slab and queues the segments that became full.
    pub(crate) fn append(
        &mut self,
        queue: QueueKind,
        block: &crate::log::NewBlock<'_>,
    ) -> Option<crate::geometry::Units> {
        let open = self.open[at(queue)].as_mut()?;
        let frozen_before = self.segments.frozen_count();
        let offset = open.append(block, &mut self.segments);
        self.queue_writes(frozen_before);
        Some(offset)
    }

    fn queue_writes(&mut self, from: usize) {
        for frozen in self.segments.frozen_from(from) {
            let (slab, start, len) = (frozen.slab, frozen.start, frozen.len);
            self.jobs.push_back(Job::Write(SegmentWrite {
                slab,
                start,
                len,
                data: Arc::clone(&frozen.data),
            }));
        }
    }

    /// Ends the open slab of a queue: its last segment and its footer become jobs.
    pub(crate) fn begin_seal(&mut self, queue: QueueKind) -> Result<(), NoRoom> {
        if self.sealing[at(queue)].is_some() {
            return Err(NoRoom::Slab);
        }
        let Some(mut open) = self.open[at(queue)].take() else { return Ok(()) };
        if open.is_empty() {
            self.free.push_front(open.slab);
            return Ok(());
        }
        let frozen_before = self.segments.frozen_count();
        open.freeze(&mut self.segments);
        self.queue_writes(frozen_before);
        let memory_bytes = open.memory_bytes();
        self.sealing[at(queue)] = Some((open.slab, memory_bytes));
        self.jobs.push_back(Job::Seal(Box::new(Seal {
            slab: open.slab,
            generation: open.generation,
            queue,
            meta: open.meta,
            page_table: open.page_table,
        })));
        Ok(())
    }

    pub(crate) fn end_seal(&mut self, queue: QueueKind, slab: SlabId) {
        self.sealing[at(queue)] = None;
        self.segments.release(slab, u32::MAX);
        self.sealed.push(queue, slab);
    }

    /// Takes a slab that cannot be written out of all queues, for good.
    pub(crate) fn abandon(&mut self, slab: SlabId) {
        self.lost_slabs += 1;
        self.jobs.retain(|job| match job {
            Job::Write(write) => write.slab != slab,
            Job::Seal(seal) => seal.slab != slab,
        });
        for i in 0..self.open.len() {
            if self.open[i].as_ref().is_some_and(|open| open.slab == slab) {
                let buf = self.open[i].take().and_then(|mut open| open.take_segment());
                buf.into_iter().for_each(|buf| self.segments.give_back(buf));
            }
            if self.sealing[i].is_some_and(|(sealing, _)| sealing == slab) {
                self.sealing[i] = None;
            }
        }
        self.segments.release(slab, u32::MAX);
    }

    /// Copies bytes of a slab that are not on the device yet; false when they are not all in memory.
    pub(crate) fn copy(&self, slab: SlabId, start: u32, out: &mut [u8]) -> bool {
        let open = self.open.iter().flatten().find(|open| open.slab == slab);
        let copied = open.map_or(0, |open| open.copy(start, out)) + self.segments.copy(slab, start, out);
        copied == out.len()
    }

    pub(crate) fn has_open(&self) -> bool {
        self.open.iter().any(Option::is_some)
    }

    /// Memory of footers being built.
    pub(crate) fn footers_bytes(&self) -> usize {
        let open: usize = self.open.iter().flatten().map(OpenSlab::memory_bytes).sum();
        open + self.sealing.iter().flatten().map(|(_, bytes)| bytes).sum::<usize>()
    }
}
