//! Write segments: aligned pieces of open slabs in memory.
//!
//! A segment is filled, then frozen (immutable, shared with the kernel and with readers), then written, then kept until
//! the next segment of its slab is written too: a block may span two segments, and is read either from memory or from
//! the device, never half from each.

use std::sync::Arc;

use crate::geometry::SlabId;
use crate::sys::AlignedBuf;

/// A full segment.
pub(crate) struct Frozen {
    pub(crate) slab: SlabId,
    /// Offset in the slab.
    pub(crate) start: u32,
    /// Bytes that count; a multiple of the page size.
    pub(crate) len: u32,
    pub(crate) data: Arc<AlignedBuf>,
}

impl Frozen {
    pub(crate) fn end(&self) -> u32 {
        self.start + self.len
    }
}

/// Free buffers and frozen segments. Their number, with the two being filled, never changes.
pub(crate) struct Segments {
    pool: Vec<AlignedBuf>,
    frozen: Vec<Frozen>,
}

impl Segments {
    pub(crate) fn new(count: usize, bytes: u32) -> Self {
        Self { pool: (0..count).map(|_| AlignedBuf::new(bytes as usize)).collect(), frozen: Vec::new() }
    }

    pub(crate) fn is_pool_empty(&self) -> bool {
        self.pool.is_empty()
    }

    pub(crate) fn take(&mut self) -> Option<AlignedBuf> {
        self.pool.pop()
    }

    pub(crate) fn give_back(&mut self, buf: AlignedBuf) {
        self.pool.push(buf);
    }

    pub(crate) fn freeze(&mut self, frozen: Frozen) {
        self.frozen.push(frozen);
    }

    pub(crate) fn frozen_count(&self) -> usize {
        self.frozen.len()
    }

    /// The segments frozen since there were `count`.
    pub(crate) fn frozen_from(&self, count: usize) -> &[Frozen] {
        &self.frozen[count..]
    }

    /// Frees the slab's segments that end at or before `end`. The ring has dropped its references by then.
    pub(crate) fn release(&mut self, slab: SlabId, end: u32) {
        let done = |frozen: &mut Frozen| frozen.slab == slab && frozen.end() <= end;
        for frozen in self.frozen.extract_if(.., done) {
            match Arc::try_unwrap(frozen.data) {
                Ok(buf) => self.pool.push(buf),
                // Somebody still holds it: a fresh buffer keeps the number right.
                Err(shared) => self.pool.push(AlignedBuf::new(shared.len())),
            }
        }
    }

    /// Copies the part of `start..` of the slab that lies in frozen segments; gives back the bytes copied.
    pub(crate) fn copy(&self, slab: SlabId, start: u32, out: &mut [u8]) -> usize {
        let end = start + out.len() as u32;
        let mut copied = 0;
        for frozen in self.frozen.iter().filter(|frozen| frozen.slab == slab) {
            copied += copy_overlap(frozen.start, &frozen.data[..frozen.len as usize], start, end, out);
        }
        copied
    }
}

/// Copies what `bytes`, which lie at `at`, have of `start..end`.
pub(crate) fn copy_overlap(at: u32, bytes: &[u8], start: u32, end: u32, out: &mut [u8]) -> usize {
    let (low, high) = (start.max(at), end.min(at + bytes.len() as u32));
    if low >= high {
        return 0;
    }
    let from = &bytes[(low - at) as usize..(high - at) as usize];
    out[(low - start) as usize..(high - start) as usize].copy_from_slice(from);
    from.len()
}
