//! An io_uring with one registered file and one registered arena of read slots (io_uring_setup(2), Linux 5.19).
//!
//! The ring owns all memory the kernel may touch: the arena lives as long as the ring, a write holds its buffer's
//! reference until its completion was reaped, and drop waits for everything in flight.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use io_uring::{IoUring, opcode, squeue, types};

use super::aligned::{AlignedBuf, BUF_ALIGN};
use crate::device::{Completion, IoQueue, QueueShape, ReadOp, SlotId, WriteOp};

/// Index of the registered file.
const FILE: types::Fixed = types::Fixed(0);
/// Index of the registered arena.
const ARENA: u16 = 0;
/// Low bits of `user_data` that name the operation in `in_flight`.
const NO_SLOT: u16 = u16::MAX;

/// What the ring knows of an operation in flight.
struct InFlight {
    tag: u64,
    slot: u16,
    /// Held for the kernel; dropped when the completion was reaped.
    data: Option<Arc<AlignedBuf>>,
}

pub(crate) struct RingQueue<F: AsRawFd + Send> {
    ring: ManuallyDrop<IoUring>,
    arena: ManuallyDrop<AlignedBuf>,
    arena_registered: bool,
    /// False until the first submit, whose thread becomes the only one that may submit.
    enabled: bool,
    slot_bytes: usize,
    /// Reads in flight into each slot.
    slot_reads: Vec<u16>,
    /// Operations in flight by `user_data`; as long as the queue is deep.
    in_flight: Vec<Option<InFlight>>,
    free: Vec<u32>,
    /// Kept open for as long as the ring uses it.
    _file: F,
}

/// Builds a ring, and says whether it is enabled already.
///
/// SINGLE_ISSUER and DEFER_TASKRUN (Linux 6.1): completions are handled in our own next enter, many at a time; the
/// ring starts disabled so that the thread that first submits, not the one that builds it, becomes its owner. Older
/// kernels answer EINVAL; there COOP_TASKRUN (5.19) at least spares the thread the interrupts.
fn build(depth: u32) -> io::Result<(IoUring, bool)> {
    let mut builder = IoUring::builder();
    match builder.setup_single_issuer().setup_defer_taskrun().setup_r_disabled().build(depth) {
        Ok(ring) => Ok((ring, false)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            tracing::info!("io_uring without DEFER_TASKRUN: Linux 6.1 would use less CPU");
            Ok((IoUring::builder().setup_coop_taskrun().build(depth)?, true))
        }
        Err(error) => Err(error),
    }
}

impl<F: AsRawFd + Send> RingQueue<F> {
    pub(crate) fn new(file: F, shape: QueueShape) -> io::Result<Self> {
        let depth = shape.depth.max(1).next_power_of_two();
        let (ring, enabled) = build(depth)?;
        ring.submitter().register_files(&[file.as_raw_fd()])?;
        let slot_bytes = shape.slot_bytes.next_multiple_of(BUF_ALIGN);
        let arena = AlignedBuf::new(slot_bytes * usize::from(shape.slots));
        let mut queue = Self {
            ring: ManuallyDrop::new(ring),
            arena: ManuallyDrop::new(arena),
            arena_registered: false,
            enabled,
            slot_bytes,
            slot_reads: vec![0; usize::from(shape.slots)],
            in_flight: (0..depth).map(|_| None).collect(),
            free: (0..depth).rev().collect(),
            _file: file,
        };
        if shape.slots > 0 {
            queue.register_arena()?;
        }
        Ok(queue)
    }

    /// Registers the arena; where RLIMIT_MEMLOCK forbids it (ENOMEM, the documented no) reads name plain addresses.
    fn register_arena(&mut self) -> io::Result<()> {
        let arena = libc::iovec { iov_base: self.arena.as_ptr().cast(), iov_len: self.arena.len() };
        // SAFETY: register_buffers needs memory that stays valid until it is unregistered or the ring is gone: the
        // arena never moves and is freed after the ring (see drop).
        match unsafe { self.ring.submitter().register_buffers(&[arena]) } {
            Ok(()) => self.arena_registered = true,
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                tracing::info!("read buffers are not registered: RLIMIT_MEMLOCK is too low");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn slot_start(&self, slot: SlotId) -> usize {
        let slot = usize::from(slot.0);
        assert_eq!(self.slot_reads[slot], 0, "slot {slot} is being read into");
        slot * self.slot_bytes
    }

    /// Enters an operation in `in_flight` and in the submission queue.
    fn push(&mut self, entry: squeue::Entry, op: InFlight) -> io::Result<()> {
        let id = self.free.pop().expect("callers keep at most `depth` operations in flight");
        let entry = entry.user_data(u64::from(id));
        self.in_flight[id as usize] = Some(op);
        // SAFETY: push needs the entry's memory valid until its completion: reads name the arena, which outlives the
        // ring; writes name a buffer whose reference `in_flight` holds until the completion is reaped.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            if let Err(error) = self.enable().and_then(|()| self.ring.submit().map(|_| ())) {
                self.in_flight[id as usize] = None;
                self.free.push(id);
                return Err(error);
            }
        }
        Ok(())
    }

    fn enable(&mut self) -> io::Result<()> {
        if !self.enabled {
            self.ring.submitter().register_enable_rings()?;
            self.enabled = true;
        }
        Ok(())
    }

    fn pending(&self) -> usize {
        self.in_flight.len() - self.free.len()
    }

    fn enter(&self, wait_min: usize) -> io::Result<()> {
        loop {
            match self.ring.submit_and_wait(wait_min) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The completion queue is full or memory is short for now: the caller reaps and comes back.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl<F: AsRawFd + Send> IoQueue for RingQueue<F> {
    fn slot(&self, slot: SlotId) -> &[u8] {
        let start = self.slot_start(slot);
        &self.arena[start..start + self.slot_bytes]
    }

    fn slot_mut(&mut self, slot: SlotId) -> &mut [u8] {
        let start = self.slot_start(slot);
        &mut self.arena[start..start + self.slot_bytes]
    }

    fn read(&mut self, op: ReadOp, tag: u64) -> io::Result<()> {
        let slot = usize::from(op.slot.0);
        assert!(
            slot < self.slot_reads.len() && op.slot_offset + op.len <= self.slot_bytes,
            "read outside its slot"
        );
        // The assertion keeps the address inside the arena.
        let address = self.arena.as_ptr().wrapping_add(slot * self.slot_bytes + op.slot_offset);
        let entry = if self.arena_registered {
            opcode::ReadFixed::new(FILE, address, op.len as u32, ARENA).offset(op.device_offset).build()
        } else {
            opcode::Read::new(FILE, address, op.len as u32).offset(op.device_offset).build()
        };
        self.push(entry, InFlight { tag, slot: op.slot.0, data: None })?;
        self.slot_reads[slot] += 1;
        Ok(())
    }

    fn write(&mut self, op: WriteOp, tag: u64) -> io::Result<()> {
        let bytes = &op.data[op.start..op.start + op.len];
        let entry = opcode::Write::new(FILE, bytes.as_ptr(), op.len as u32).offset(op.device_offset).build();
        self.push(entry, InFlight { tag, slot: NO_SLOT, data: Some(op.data) })
    }

    fn sync(&mut self, tag: u64) -> io::Result<()> {
        let entry = opcode::Fsync::new(FILE).flags(types::FsyncFlags::DATASYNC).build();
        self.push(entry, InFlight { tag, slot: NO_SLOT, data: None })
    }

    fn submit(&mut self, wait_min: usize) -> io::Result<()> {
        self.enable()?;
        let wait_min = wait_min.min(self.pending());
        loop {
            self.enter(wait_min)?;
            if self.ring.completion().len() >= wait_min {
                return Ok(());
            }
        }
    }

    fn pop(&mut self) -> Option<Completion> {
        let entry = self.ring.completion().next()?;
        let id = entry.user_data() as usize;
        let op = self.in_flight[id].take().expect("one completion for each operation");
        self.free.push(id as u32);
        if op.slot != NO_SLOT {
            self.slot_reads[usize::from(op.slot)] -= 1;
        }
        drop(op.data);
        let result = entry.result();
        let result =
            if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result as usize) };
        Some(Completion { tag: op.tag, result })
    }
}

impl<F: AsRawFd + Send> Drop for RingQueue<F> {
    fn drop(&mut self) {
        while self.pending() > 0 {
            if let Err(error) = self.submit(1) {
                // The kernel may still write to the arena: leaking ring and memory is the only safe way out.
                tracing::error!(%error, in_flight = self.pending(), "a ring could not be drained and is leaked");
                std::mem::forget(std::mem::take(&mut self.in_flight));
                return;
            }
            while self.pop().is_some() {}
        }
        // A ring is torn down in the background; the file, with its lock, is let go now.
        if let Err(error) = self.ring.submitter().unregister_files() {
            tracing::debug!(%error, "a ring keeps its file until it is torn down");
        }
        // SAFETY: neither field is used after this; nothing is in flight, and the ring (with its registration of the
        // arena) goes first.
        unsafe {
            ManuallyDrop::drop(&mut self.ring);
            ManuallyDrop::drop(&mut self.arena);
        }
    }
}
