//! A file mapped into memory for reading.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::ptr;
use std::slice;

/// The whole of a file that is not empty, mapped shared and read-only. Reading a page that cannot be had is SIGBUS.
pub struct FileMap {
    start: *mut libc::c_void,
    len: usize,
}

impl FileMap {
    /// Maps a file of one byte or more.
    pub fn new(file: &File) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let (read, shared) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: mmap(2) with no address given picks a free one, so no mapping of this process is replaced; the
        // descriptor is open for reading during the call, and the mapping is given back once, in `drop`.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, read, shared, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { start, len }) }
    }
}

impl Deref for FileMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` bytes until `drop`, pages are initialised by the kernel, and a file of a
        // read-only mount does not change under the reference.
        unsafe { slice::from_raw_parts(self.start.cast(), self.len) }
    }
}

impl Drop for FileMap {
    fn drop(&mut self) {
        // SAFETY: the range is that of the one mapping made in `new`, and no reference into it outlives `self`.
        let unmapped = unsafe { libc::munmap(self.start, self.len) };
        assert_eq!(unmapped, 0, "munmap: {}", io::Error::last_os_error());
    }
}
