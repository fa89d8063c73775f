//! A heap buffer on a page border, as O_DIRECT and registered buffers want it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Zeroed bytes on a 4096-byte border, with a length that is a multiple of 4096. Its address never changes.
pub struct AlignedBuf {
    start: NonNull<u8>,
    len: usize,
}

/// Alignment of every buffer: the greatest that a supported device asks for.
pub(crate) const BUF_ALIGN: usize = 4096;

impl AlignedBuf {
    /// Allocates at least `len` bytes, rounded up to 4096; aborts like `Vec` when there is no memory.
    pub fn new(len: usize) -> Self {
        let len = len.max(1).next_multiple_of(BUF_ALIGN);
        let layout = Self::layout(len);
        // SAFETY: `alloc_zeroed` needs a layout of non-zero size: `len` is at least BUF_ALIGN.
        let start = unsafe { alloc_zeroed(layout) };
        match NonNull::new(start) {
            Some(start) => Self { start, len },
            None => handle_alloc_error(layout),
        }
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len, BUF_ALIGN).expect("a power of two, and lengths far below isize::MAX")
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` initialised (zeroed) bytes while `self` lives, and `&self` forbids
        // writes through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc_zeroed` with this very layout and is freed once.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.len)) }
    }
}

// SAFETY: the buffer is plain memory that `self` alone owns; no thread affinity.
unsafe impl Send for AlignedBuf {}
// SAFETY: `&AlignedBuf` gives read access alone.
unsafe impl Sync for AlignedBuf {}
