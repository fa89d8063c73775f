//! statx(2) for the alignment of direct I/O.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// What O_DIRECT wants of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Alignment {
    pub(in crate::doctor) memory_bytes: u32,
    pub(in crate::doctor) offset_bytes: u32,
}

/// The alignment that the file system asks for (STATX_DIOALIGN, Linux 6.1); `None` where it does not say, and zeros
/// where it has no direct I/O.
pub(in crate::doctor) fn direct_io_alignment(file: &File) -> io::Result<Option<Alignment>> {
    let mut statx = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: statx(2) wants an open descriptor, a NUL-terminated path, which is empty here and makes AT_EMPTY_PATH ask
    // for the descriptor itself, and a writable buffer of its own type. `file` keeps the descriptor open.
    let result = unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_DIOALIGN,
            statx.as_mut_ptr(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zero is a valid statx, and the kernel has written into it since.
    let statx = unsafe { statx.assume_init() };
    let told = statx.stx_mask & libc::STATX_DIOALIGN != 0;
    let alignment =
        Alignment { memory_bytes: statx.stx_dio_mem_align, offset_bytes: statx.stx_dio_offset_align };
    Ok(told.then_some(alignment))
}
