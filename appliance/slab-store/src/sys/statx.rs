//! Direct I/O alignment of an open file: statx(2), STATX_DIOALIGN, Linux 6.1.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use crate::device::Alignment;

/// Asks the kernel what direct I/O needs. `None`: it does not say (older than 6.1, or a file system without support
/// for the question). An offset alignment of 0 is the documented "no direct I/O here".
pub(crate) fn direct_io_alignment(file: &File) -> io::Result<Option<Alignment>> {
    let mut answer = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: statx(2) needs an open descriptor (`file` lives across the call), a NUL-terminated path (the literal;
    // empty, with AT_EMPTY_PATH) and room for one `struct statx`, which `answer` is.
    let result = unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_DIOALIGN,
            answer.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all bit patterns of `struct statx` are valid, and it began zeroed.
    let answer = unsafe { answer.assume_init() };
    let known = answer.stx_mask & libc::STATX_DIOALIGN != 0;
    Ok(known.then_some(Alignment {
        offset_bytes: answer.stx_dio_offset_align,
        memory_bytes: answer.stx_dio_mem_align,
    }))
}
