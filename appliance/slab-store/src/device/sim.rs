//! A device in memory that fails on purpose. For tests.
//!
//! It records every write and flush, can give the image that a power cut at any of them would leave, and fails,
//! shortens or damages I/O on demand. It panics on I/O that the real device would refuse as unaligned.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Alignment, Completion, Device, IoQueue, QueueShape, ReadOp, SlotId, WriteOp};
use crate::sys::AlignedBuf;

const SECTOR_BYTES: usize = 512;

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Reads answer EIO.
    pub fail_reads: bool,
    /// Writes answer EIO.
    pub fail_writes: bool,
    /// Flushes answer EIO.
    pub fail_syncs: bool,
    /// Reads and writes of more than a sector move half of it, rounded down to the unit.
    pub short: bool,
    /// Each n-th read answers EIO (0: none).
    pub fail_read_every: u32,
}

/// What a power cut leaves of the writes that were not flushed.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// None of them.
    LoseAll,
    /// All of them.
    KeepAll,
    /// Each sector by chance, from this seed.
    Tear(u64),
}

enum Event {
    Write { offset: usize, bytes: Vec<u8> },
    Sync,
}

struct State {
    /// The image before the first event.
    base: Vec<u8>,
    current: Vec<u8>,
    events: Vec<Event>,
    faults: Faults,
    reads: u32,
}

/// A simulated device; clones are handles to the same one.
#[derive(Clone)]
pub struct SimDevice {
    state: Arc<Mutex<State>>,
    alignment: Alignment,
}

impl SimDevice {
    /// A device with this content.
    pub fn from_image(image: Vec<u8>) -> Self {
        let state = State {
            base: image.clone(),
            current: image,
            events: Vec::new(),
            faults: Faults::default(),
            reads: 0,
        };
        let alignment = Alignment { offset_bytes: SECTOR_BYTES as u32, memory_bytes: 512 };
        Self { state: Arc::new(Mutex::new(state)), alignment }
    }

    /// A blank device of this size.
    pub fn blank(size_bytes: usize) -> Self {
        Self::from_image(vec![0; size_bytes])
    }

    /// The same device with sectors of this size.
    pub fn with_sector_bytes(self, bytes: u32) -> Self {
        Self { alignment: Alignment { offset_bytes: bytes, memory_bytes: bytes }, ..self }
    }

    /// Changes what goes wrong.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// The content now.
    pub fn image(&self) -> Vec<u8> {
        self.state.lock().current.clone()
    }

    /// Inverts the bits of `mask` in one byte.
    pub fn flip(&self, offset: usize, mask: u8) {
        self.state.lock().current[offset] ^= mask;
    }

    /// Writes and flushes so far.
    pub fn events(&self) -> usize {
        self.state.lock().events.len()
    }

    /// The image after a power cut right after the first `events` writes and flushes.
    pub fn image_after_cut(&self, events: usize, cut: Cut) -> Vec<u8> {
        let state = self.state.lock();
        let past = &state.events[..events];
        let flushed = past.iter().rposition(|event| matches!(event, Event::Sync)).map_or(0, |at| at + 1);
        let mut image = state.base.clone();
        let mut random = Random::new(cut);
        for (i, event) in past.iter().enumerate() {
            let Event::Write { offset, bytes } = event else { continue };
            for (sector, data) in bytes.chunks(SECTOR_BYTES).enumerate() {
                if i < flushed || random.keeps() {
                    let at = offset + sector * SECTOR_BYTES;
                    image[at..at + data.len()].copy_from_slice(data);
                }
            }
        }
        image
    }
}

/// Decides which sectors reach the disk (xorshift64).
struct Random {
    cut: Cut,
    state: u64,
}

impl Random {
    fn new(cut: Cut) -> Self {
        let state = if let Cut::Tear(seed) = cut { seed.wrapping_mul(2).wrapping_add(1) } else { 1 };
        Self { cut, state }
    }

    fn keeps(&mut self) -> bool {
        match self.cut {
            Cut::LoseAll => false,
            Cut::KeepAll => true,
            Cut::Tear(_) => {
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
                self.state & 0x1000 != 0
            }
        }
    }
}

impl State {
    fn transfer_len(&self, len: usize, unit: usize) -> usize {
        if self.faults.short && len > unit { len / 2 / unit * unit } else { len }.max(unit.min(len))
    }

    fn read(&mut self, out: &mut [u8], offset: u64, unit: usize) -> io::Result<usize> {
        self.reads = self.reads.wrapping_add(1);
        let every = self.faults.fail_read_every;
        if self.faults.fail_reads || (every > 0 && self.reads.is_multiple_of(every)) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let start = (offset as usize).min(self.current.len());
        let len = self.transfer_len(out.len(), unit).min(self.current.len() - start);
        out[..len].copy_from_slice(&self.current[start..start + len]);
        Ok(len)
    }

    fn write(&mut self, bytes: &[u8], offset: u64, unit: usize) -> io::Result<usize> {
        if self.faults.fail_writes {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let start = offset as usize;
        if start + bytes.len() > self.current.len() {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let len = self.transfer_len(bytes.len(), unit);
        self.current[start..start + len].copy_from_slice(&bytes[..len]);
        self.events.push(Event::Write { offset: start, bytes: bytes[..len].to_vec() });
        Ok(len)
    }

    fn sync(&mut self) -> io::Result<usize> {
        if self.faults.fail_syncs {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        self.events.push(Event::Sync);
        Ok(0)
    }
}

impl Device for SimDevice {
    fn size_bytes(&self) -> u64 {
        self.state.lock().current.len() as u64
    }

    fn alignment(&self) -> Alignment {
        self.alignment
    }

    fn allocate(&self, size_bytes: u64) -> io::Result<()> {
        let fits = self.size_bytes() >= size_bytes;
        if fits { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ENOSPC)) }
    }

    fn read_at(&self, buf: &mut AlignedBuf, start: usize, len: usize, offset: u64) -> io::Result<usize> {
        check_alignment(self.alignment, offset, len, start);
        let unit = self.alignment.offset_bytes as usize;
        self.state.lock().read(&mut buf[start..start + len], offset, unit)
    }

    fn queue(&self, shape: QueueShape) -> io::Result<Box<dyn IoQueue>> {
        let slots = (0..shape.slots).map(|_| vec![0; shape.slot_bytes.next_multiple_of(4096)]).collect();
        let queue = SimQueue { device: self.clone(), slots, queued: VecDeque::new(), done: VecDeque::new() };
        Ok(Box::new(queue))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

fn check_alignment(alignment: Alignment, offset: u64, len: usize, memory: usize) {
    let unit = alignment.offset_bytes as usize;
    let aligned = offset.is_multiple_of(unit as u64)
        && len.is_multiple_of(unit)
        && memory.is_multiple_of(alignment.memory_bytes as usize);
    assert!(aligned, "unaligned I/O: device {offset}, length {len}, memory {memory}, unit {unit}");
}

enum Op {
    Read(ReadOp),
    Write(WriteOp),
    Sync,
}

struct SimQueue {
    device: SimDevice,
    slots: Vec<Vec<u8>>,
    queued: VecDeque<(u64, Op)>,
    done: VecDeque<Completion>,
}

impl SimQueue {
    fn perform(&mut self, op: &Op) -> io::Result<usize> {
        let alignment = self.device.alignment;
        let unit = alignment.offset_bytes as usize;
        let mut state = self.device.state.lock();
        match op {
            Op::Read(op) => {
                check_alignment(alignment, op.device_offset, op.len, op.slot_offset);
                let slot = &mut self.slots[usize::from(op.slot.0)];
                state.read(&mut slot[op.slot_offset..op.slot_offset + op.len], op.device_offset, unit)
            }
            Op::Write(op) => {
                check_alignment(alignment, op.device_offset, op.len, op.start);
                state.write(&op.data[op.start..op.start + op.len], op.device_offset, unit)
            }
            Op::Sync => state.sync(),
        }
    }
}

impl IoQueue for SimQueue {
    fn slot(&self, slot: SlotId) -> &[u8] {
        &self.slots[usize::from(slot.0)]
    }

    fn slot_mut(&mut self, slot: SlotId) -> &mut [u8] {
        &mut self.slots[usize::from(slot.0)]
    }

    fn read(&mut self, op: ReadOp, tag: u64) -> io::Result<()> {
        self.queued.push_back((tag, Op::Read(op)));
        Ok(())
    }

    fn write(&mut self, op: WriteOp, tag: u64) -> io::Result<()> {
        self.queued.push_back((tag, Op::Write(op)));
        Ok(())
    }

    fn sync(&mut self, tag: u64) -> io::Result<()> {
        self.queued.push_back((tag, Op::Sync));
        Ok(())
    }

    fn submit(&mut self, _wait_min: usize) -> io::Result<()> {
        while let Some((tag, op)) = self.queued.pop_front() {
            let result = self.perform(&op);
            self.done.push_back(Completion { tag, result });
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }
}
