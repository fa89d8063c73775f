//! The border to the disk.
//!
//! A [`Device`] is a range of bytes that is read and written in aligned units. Reads of data and all writes go through
//! an [`IoQueue`], which owns every buffer that is in flight; cold reads (footers, page tables, eviction) are plain
//! blocking calls. `DirectFile` is the real one, `sim::SimDevice` the one that fails on purpose.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::sys::AlignedBuf;

pub(crate) mod direct;
mod exact;
#[cfg(feature = "sim")]
pub mod sim;

pub(crate) use exact::{WRITE_QUEUE, flush, read_exact_at, write_all};

/// What direct I/O asks of offsets and buffers, both powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// Unit of offsets and lengths on the device.
    pub offset_bytes: u32,
    /// Alignment of buffers in memory.
    pub memory_bytes: u32,
}

/// A slot of a queue's read memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId(pub u16);

/// Size of a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueShape {
    /// Number of read slots.
    pub slots: u16,
    /// Bytes of each slot; rounded up to 4096.
    pub slot_bytes: usize,
    /// Greatest number of operations in flight.
    pub depth: u32,
}

/// One read into a part of a slot. Offsets and lengths are aligned as [`Device::alignment`] says.
#[derive(Clone, Copy, Debug)]
pub struct ReadOp {
    /// Where to read to.
    pub slot: SlotId,
    /// First byte in the slot.
    pub slot_offset: usize,
    /// First byte on the device.
    pub device_offset: u64,
    /// Bytes to read.
    pub len: usize,
}

/// One write of a part of a shared, immutable buffer.
pub struct WriteOp {
    /// The bytes; the queue keeps them alive until the write is complete.
    pub data: Arc<AlignedBuf>,
    /// First byte of the buffer to write.
    pub start: usize,
    /// Bytes to write.
    pub len: usize,
    /// First byte on the device.
    pub device_offset: u64,
}

/// A finished operation.
#[derive(Debug)]
pub struct Completion {
    /// The caller's tag.
    pub tag: u64,
    /// Bytes moved, or the error. A short count is not an error.
    pub result: io::Result<usize>,
}

/// A queue of operations of one thread. At most `depth` are in flight: a push beyond that is a bug of the caller.
pub trait IoQueue: Send {
    /// The bytes of a slot. Panics while a read into it is in flight.
    fn slot(&self, slot: SlotId) -> &[u8];
    /// The bytes of a slot, for writing. Panics while a read into it is in flight.
    fn slot_mut(&mut self, slot: SlotId) -> &mut [u8];
    /// Queues a read. Fails only when the ring itself does.
    fn read(&mut self, op: ReadOp, tag: u64) -> io::Result<()>;
    /// Queues a write.
    fn write(&mut self, op: WriteOp, tag: u64) -> io::Result<()>;
    /// Queues a flush of all writes that completed before it.
    fn sync(&mut self, tag: u64) -> io::Result<()>;
    /// Starts what is queued and waits until `wait_min` completions can be popped (0: does not wait).
    fn submit(&mut self, wait_min: usize) -> io::Result<()>;
    /// Takes one completion.
    fn pop(&mut self) -> Option<Completion>;
}

/// A file, a block device or a simulation of one.
pub trait Device: Send + Sync {
    /// Size in bytes.
    fn size_bytes(&self) -> u64;
    /// What direct I/O needs here.
    fn alignment(&self) -> Alignment;
    /// Makes exactly the first `size_bytes` of the device usable: allocated on disk, none beyond them.
    fn allocate(&self, size_bytes: u64) -> io::Result<()>;
    /// Reads from `offset` into the first `len` bytes of the buffer, blocking; may be short.
    fn read_at(&self, buf: &mut AlignedBuf, start: usize, len: usize, offset: u64) -> io::Result<usize>;
    /// A new queue.
    fn queue(&self, shape: QueueShape) -> io::Result<Box<dyn IoQueue>>;
    /// The open file, for rings of other crates; `None` where there is none.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}
