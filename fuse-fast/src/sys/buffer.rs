//! [`PageBuffer`]: the memory that requests are read into.

use std::alloc::{self, Layout};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Zeroed memory that starts at a page, so that the kernel copies whole pages and direct I/O can use it.
#[derive(Debug)]
pub(crate) struct PageBuffer {
    memory: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory is owned by this value alone and reached only through its references.
unsafe impl Send for PageBuffer {}

impl PageBuffer {
    /// Takes `size_bytes`, rounded up to whole pages.
    pub(crate) fn new(size_bytes: usize) -> PageBuffer {
        let page = page_bytes();
        let size = size_bytes.max(1).next_multiple_of(page);
        let layout =
            Layout::from_size_align(size, page).expect("a page is a power of two, and sizes are small");
        // SAFETY: `alloc_zeroed` wants a layout of more than 0 bytes, and `size` is at least a page.
        let memory = unsafe { alloc::alloc_zeroed(layout) };
        let memory = NonNull::new(memory).unwrap_or_else(|| alloc::handle_alloc_error(layout));
        PageBuffer { memory, layout }
    }
}

impl Deref for PageBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory has `layout.size()` initialised bytes, lives as long as `self`, and is borrowed with it.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.layout.size()) }
    }
}

impl DerefMut for PageBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `&mut self` makes the borrow the only one.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.layout.size()) }
    }
}

impl Drop for PageBuffer {
    fn drop(&mut self) {
        // SAFETY: `dealloc` wants memory from this allocator and its layout: both are from `new`.
        unsafe { alloc::dealloc(self.memory.as_ptr(), self.layout) }
    }
}

/// Size of a page of this machine.
pub(crate) fn page_bytes() -> usize {
    match nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE) {
        Ok(Some(bytes)) if bytes > 0 => bytes as usize,
        _ => 4096,
    }
}
