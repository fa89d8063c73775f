//! [`Arena`]: the memory of a ring's entries, and [`EntryMemory`], the part of one entry.
//!
//! An [`EntryMemory`] is the only way to its bytes and can't be copied: who holds it may use them, and giving it to the
//! ring gives the bytes to the kernel. The pages are taken from the system when they are first used.

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use super::abi::fuse_uring_req_header;

/// Distance of headers: whole cache lines.
const HEADER_STRIDE: usize = size_of::<fuse_uring_req_header>().next_multiple_of(64);

/// Bytes of memory for `entries` entries.
pub(crate) const fn arena_bytes(entries: u64, payload_bytes: u64) -> u64 {
    entries * (payload_bytes + HEADER_STRIDE as u64)
}

struct Arena {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value until it is dropped, and it gives out no references itself.
unsafe impl Send for Arena {}
// SAFETY: as above; a shared arena can only be dropped.
unsafe impl Sync for Arena {}

impl Arena {
    fn new(length: usize) -> io::Result<Arena> {
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no memory that is in use.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Arena { start, length }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: `munmap` wants a mapping of ours that nobody uses: each `EntryMemory` holds the arena, and so none is left.
        if unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) } != 0 {
            tracing::warn!(error = %io::Error::last_os_error(), "memory of a ring can't be given back");
        }
    }
}

/// Header and payload of one entry.
pub(crate) struct EntryMemory {
    header: NonNull<fuse_uring_req_header>,
    payload: NonNull<u8>,
    payload_bytes: usize,
    /// Keeps the mapping.
    _arena: Arc<Arena>,
}

// SAFETY: the value is the only way to its part of the mapping, and the mapping is bound to no thread.
unsafe impl Send for EntryMemory {}

impl EntryMemory {
    /// Memory for `count` entries in one mapping: payloads of `payload_bytes`, a multiple of the page size, then headers.
    pub(crate) fn allocate(count: usize, payload_bytes: usize) -> io::Result<Vec<EntryMemory>> {
        let payloads = count * payload_bytes;
        let arena = Arc::new(Arena::new(payloads + count * HEADER_STRIDE)?);
        let part = |index: usize| {
            // SAFETY: `add` wants offsets inside of the mapping, which has room for `count` payloads and headers.
            let (payload, header) = unsafe {
                (arena.start.add(index * payload_bytes), arena.start.add(payloads + index * HEADER_STRIDE))
            };
            EntryMemory { header: header.cast(), payload, payload_bytes, _arena: Arc::clone(&arena) }
        };
        Ok((0..count).map(part).collect())
    }

    pub(crate) fn header(&self) -> &fuse_uring_req_header {
        // SAFETY: the part is mapped, aligned to 64 bytes, initialised (zeroed), any bytes are a header, and only `self`
        // leads to it.
        unsafe { self.header.as_ref() }
    }

    pub(crate) fn header_mut(&mut self) -> &mut fuse_uring_req_header {
        // SAFETY: as for `header`; `&mut self` makes the borrow the only one.
        unsafe { self.header.as_mut() }
    }

    pub(crate) fn payload(&self) -> &[u8] {
        // SAFETY: the part is mapped and initialised (zeroed) over `payload_bytes`, and only `self` leads to it.
        unsafe { std::slice::from_raw_parts(self.payload.as_ptr(), self.payload_bytes) }
    }

    pub(crate) fn payload_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `payload`; `&mut self` makes the borrow the only one.
        unsafe { std::slice::from_raw_parts_mut(self.payload.as_ptr(), self.payload_bytes) }
    }

    /// Where the kernel finds header and payload.
    pub(super) fn iovecs(&self) -> [libc::iovec; 2] {
        let header = libc::iovec {
            iov_base: self.header.as_ptr().cast(),
            iov_len: size_of::<fuse_uring_req_header>(),
        };
        [header, libc::iovec { iov_base: self.payload.as_ptr().cast(), iov_len: self.payload_bytes }]
    }

    /// The address of `length` bytes at `position` of the payload. Panics when they are not inside of it.
    pub(super) fn payload_at(&self, position: usize, length: usize) -> *mut u8 {
        assert!(position + length <= self.payload_bytes, "a read outside of its payload");
        self.payload.as_ptr().wrapping_add(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_apart_and_outlive_each_other() {
        let mut parts = EntryMemory::allocate(3, 8192).expect("memory");
        for (value, part) in (1_u8..).zip(&mut parts) {
            part.payload_mut().fill(value);
            part.header_mut().ring_ent_in_out.commit_id = u64::from(value);
        }
        let last = parts.pop().expect("three");
        drop(parts);
        assert!(last.payload().iter().all(|&byte| byte == 3) && last.payload().len() == 8192);
        assert_eq!(last.header().ring_ent_in_out.commit_id, 3);
        assert_eq!(last.payload().as_ptr().align_offset(4096), 0);
    }
}
