//! Reads through a ring of the calling thread.
//!
//! Parts: slots, each with a plan and a piece of registered memory; one queue. Flow of a read: plan, push one direct
//! read for each run, enter the kernel once, continue short reads, verify, lend the bytes out. `read` is one slot's
//! submit and reap in a row; `submit`/`reap` keep many slots in flight from one thread.

use std::ops::Range;
use std::sync::Arc;
use std::thread::ThreadId;

use crate::device::{Completion, IoQueue, QueueShape, ReadOp, SlotId};
use crate::key::ObjectKey;
use crate::planned_read::{PlannedRead, Step};
use crate::read_plan::{READ_BYTES_MAX, ReadPlan, Run};
use crate::shared::Shared;

/// Blocks a read can touch, and so direct reads it can need.
const RUNS_MAX: u32 = (READ_BYTES_MAX / crate::BLOCK_BYTES as usize + 1) as u32;
/// Bytes queued by `submit` before the device is told: eight small reads share a call, and a large one, whose
/// verification takes as long as a call or longer, never waits for the next.
const SUBMIT_BATCH_BYTES: usize = 32 * 1024;

/// The outcome of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadOutcome<'a> {
    /// The bytes, verified; valid until the reader is used again.
    Hit(&'a [u8]),
    /// Not all blocks are cached, or they could not be read or verified (both counted).
    Miss,
}

/// The answer to [`Reader::submit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// Under way: [`Reader::reap`] will give it back.
    Queued,
    /// A miss, known at once. Nothing is under way.
    Miss,
    /// All slots are in use: reap first.
    Full,
}

/// A finished pipelined read.
#[derive(Debug)]
pub struct Done<'a> {
    /// The tag given to [`Reader::submit`].
    pub tag: u64,
    /// What came of it.
    pub outcome: ReadOutcome<'a>,
}

/// How many reads of what size a reader keeps in flight.
#[derive(Clone, Copy, Debug)]
pub struct ReaderShape {
    /// Reads in flight, 1 to 1024.
    pub slots: u16,
    /// Longest read in bytes, up to [`READ_BYTES_MAX`].
    pub read_bytes_max: usize,
}

impl Default for ReaderShape {
    fn default() -> Self {
        Self { slots: 1, read_bytes_max: READ_BYTES_MAX }
    }
}

#[derive(Default)]
struct Slot {
    read: PlannedRead,
    /// The caller's tag; there while the slot is in use.
    tag: Option<u64>,
    /// What is left of each run; as long as the plan's runs.
    rest: Vec<Run>,
    /// Direct reads in flight.
    pending: u32,
    failed: bool,
}

/// Reads from one thread, with a ring of its own. Make one for each thread: a reader that is moved to another thread
/// after it was used builds a new ring there, and misses while reads of the old thread are under way.
pub struct Reader {
    shared: Arc<Shared>,
    queue: Box<dyn IoQueue>,
    slots: Vec<Slot>,
    free: Vec<u16>,
    /// Slots whose reads are complete.
    ready: Vec<u16>,
    /// The slot whose bytes are lent out.
    lent: Option<u16>,
    /// Bytes that `submit` queued and the device has not heard of.
    queued_bytes: usize,
    read_bytes_max: usize,
    shape: QueueShape,
    /// The thread that the ring belongs to, once it was used.
    owner: Option<ThreadId>,
    /// Bytes at a time that a short read is continued by.
    unit: usize,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, shape: ReaderShape) -> std::io::Result<Self> {
        let slots = shape.slots.clamp(1, 1024);
        let read_bytes_max = shape.read_bytes_max.clamp(1, READ_BYTES_MAX);
        let slot_bytes = ReadPlan::buffer_bytes_max(read_bytes_max);
        let shape = QueueShape { slots, slot_bytes, depth: u32::from(slots) * RUNS_MAX };
        let queue = shared.device.queue(shape)?;
        let unit = shared.device.alignment().offset_bytes as usize;
        Ok(Self {
            shared,
            queue,
            slots: (0..slots).map(|_| Slot::default()).collect(),
            free: (0..slots).rev().collect(),
            ready: Vec::with_capacity(usize::from(slots)),
            lent: None,
            queued_bytes: 0,
            read_bytes_max,
            shape,
            owner: None,
            unit,
        })
    }

    /// Reads `len` bytes at `offset` of an object of `object_size` bytes, cut off at its end, if all are cached.
    ///
    /// The bytes are contiguous, in a page-aligned registered buffer, at the same offset in their page as in the
    /// object. Ranges over the reader's limit are a miss. Blocks while the device works.
    pub fn read(&mut self, object: &ObjectKey, offset: u64, len: usize, object_size: u64) -> ReadOutcome<'_> {
        self.give_back_lent();
        let end = offset.saturating_add(len as u64).min(object_size);
        if offset >= end {
            return ReadOutcome::Hit(&[]);
        }
        let Some(slot) = self.start(0, object, offset..end, object_size) else { return self.miss() };
        self.finish_alone(slot)
    }

    /// Waits for one slot, however often it is planned.
    fn finish_alone(&mut self, slot: u16) -> ReadOutcome<'_> {
        loop {
            while !self.ready.contains(&slot) {
                self.wait(1);
            }
            self.ready.retain(|ready| *ready != slot);
            if let Some((_, outcome)) = self.finish(slot) {
                return self.lend(slot, outcome);
            }
        }
    }

    /// Starts a read without waiting for it; `tag` comes back with the outcome. Ends the loan of the last outcome.
    ///
    /// The device hears of it at once or a few submits later, at the latest with [`Reader::reap`].
    pub fn submit(
        &mut self,
        tag: u64,
        object: &ObjectKey,
        offset: u64,
        len: usize,
        object_size: u64,
    ) -> Submitted {
        self.give_back_lent();
        if self.free.is_empty() {
            return Submitted::Full;
        }
        let end = offset.saturating_add(len as u64).min(object_size);
        match self.start(tag, object, offset.min(end)..end, object_size) {
            Some(_) => {
                self.start_some((end - offset.min(end)) as usize);
                Submitted::Queued
            }
            None => {
                self.shared.counters.misses.add(1);
                Submitted::Miss
            }
        }
    }

    /// Hands queued reads to the device once they are worth a call.
    fn start_some(&mut self, bytes: usize) {
        self.queued_bytes += bytes;
        if self.queued_bytes >= SUBMIT_BATCH_BYTES {
            self.wait(0);
        }
    }

    /// Waits for one of the reads under way; `None` when there are none.
    pub fn reap(&mut self) -> Option<Done<'_>> {
        self.give_back_lent();
        loop {
            if let Some(slot) = self.ready.pop() {
                if let Some((tag, outcome)) = self.finish(slot) {
                    return Some(Done { tag, outcome: self.lend(slot, outcome) });
                }
            } else if self.free.len() == self.slots.len() {
                return None;
            } else {
                self.wait(1);
            }
        }
    }

    fn miss(&self) -> ReadOutcome<'static> {
        self.shared.counters.misses.add(1);
        ReadOutcome::Miss
    }

    fn give_back_lent(&mut self) {
        self.free.extend(self.lent.take());
    }

    /// Plans a read into a free slot; `None` when there is no slot, or it is a miss.
    fn start(&mut self, tag: u64, object: &ObjectKey, range: Range<u64>, object_size: u64) -> Option<u16> {
        let len = range.end - range.start;
        if len > self.read_bytes_max as u64 || self.shared.is_failed() {
            return None;
        }
        if !self.own_ring() {
            return None;
        }
        let id = self.free.pop()?;
        let slot = &mut self.slots[usize::from(id)];
        slot.read.aim(object, range, object_size);
        if slot.read.issue(&self.shared, self.queue.slot_mut(SlotId(id))) == Step::Read {
            slot.tag = Some(tag);
            self.push_runs(id);
            return Some(id);
        }
        self.free.push(id);
        None
    }

    /// A ring takes submissions of one thread alone: in another thread the reader needs a new one. False when there
    /// is none, or reads of the old thread are under way.
    fn own_ring(&mut self) -> bool {
        let here = std::thread::current().id();
        if *self.owner.get_or_insert(here) == here {
            return true;
        }
        if self.free.len() != self.slots.len() {
            return false;
        }
        match self.shared.device.queue(self.shape) {
            Ok(queue) => {
                self.queue = queue;
                self.owner = Some(here);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "no ring for a reader that changed threads");
                false
            }
        }
    }

    /// Queues the direct reads of a slot that was planned.
    fn push_runs(&mut self, id: u16) {
        let slot = &mut self.slots[usize::from(id)];
        slot.failed = false;
        slot.rest.clear();
        slot.rest.extend_from_slice(slot.read.runs());
        for run in 0..self.slots[usize::from(id)].rest.len() {
            self.push(id, run);
        }
        if self.slots[usize::from(id)].pending == 0 {
            self.ready.push(id);
        }
    }

    fn push(&mut self, id: u16, run: usize) {
        let slot = &mut self.slots[usize::from(id)];
        let rest = slot.rest[run];
        let op = ReadOp {
            slot: SlotId(id),
            slot_offset: rest.position,
            device_offset: rest.device_offset,
            len: rest.len,
        };
        match self.queue.read(op, u64::from(id) << 32 | run as u64) {
            Ok(()) => slot.pending += 1,
            Err(error) => {
                slot.failed = true;
                self.shared.device_error("queue a read", &error);
            }
        }
    }

    /// Starts what is queued, waits for a completion, and handles all that are there.
    fn wait(&mut self, wait_min: usize) {
        self.queued_bytes = 0;
        if let Err(error) = self.queue.submit(wait_min) {
            // The ring itself is broken. Its operations cannot be reaped any more; their slots are lost to us, and
            // the memory stays with the ring.
            tracing::error!(%error, "a reader's ring failed");
            self.shared.fail();
            self.abandon_all();
            return;
        }
        while let Some(done) = self.queue.pop() {
            self.complete(done);
        }
    }

    fn abandon_all(&mut self) {
        for (id, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.pending > 0) {
            slot.failed = true;
            slot.pending = 0;
            self.ready.push(id as u16);
        }
    }

    fn complete(&mut self, done: Completion) {
        let (id, run) = ((done.tag >> 32) as u16, done.tag as u32 as usize);
        let slot = &mut self.slots[usize::from(id)];
        slot.pending -= 1;
        match advance(&mut slot.rest[run], self.unit, done.result) {
            Ok(true) => self.shared.health.success(),
            Ok(false) => self.push(id, run),
            Err(error) => {
                slot.failed = true;
                self.shared.device_error("read a block", &error);
            }
        }
        if self.slots[usize::from(id)].pending == 0 {
            self.ready.push(id);
        }
    }

    /// Verifies a slot whose reads are complete. `None`: it was planned again and is under way.
    fn finish(&mut self, id: u16) -> Option<(u64, bool)> {
        let slot = &mut self.slots[usize::from(id)];
        let Some(tag) = slot.tag else { return Some((0, false)) };
        if slot.failed {
            slot.read.plan().drop_blocks(&self.shared);
            return Some((tag, false));
        }
        match slot.read.judge(&self.shared, self.queue.slot_mut(SlotId(id))) {
            Step::Hit(_) => Some((tag, true)),
            Step::Read => {
                self.push_runs(id);
                None
            }
            Step::Miss | Step::NoRoom => Some((tag, false)),
        }
    }

    fn lend(&mut self, id: u16, good: bool) -> ReadOutcome<'_> {
        let slot = &mut self.slots[usize::from(id)];
        slot.tag = None;
        if !good {
            self.free.push(id);
            return self.miss();
        }
        self.shared.counters.hits.add(1);
        self.lent = Some(id);
        ReadOutcome::Hit(&self.queue.slot(SlotId(id))[slot.read.plan().result()])
    }
}

/// Moves a run past what was read; true when nothing is left. Fails on an error and on no progress.
fn advance(rest: &mut Run, unit: usize, result: std::io::Result<usize>) -> std::io::Result<bool> {
    let count = result?;
    let whole = if count >= rest.len { rest.len } else { count - count % unit };
    if whole == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    rest.device_offset += whole as u64;
    rest.position += whole;
    rest.len -= whole;
    Ok(rest.len == 0)
}
