//! Whether this process may have an io_uring.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Bytes of `struct io_uring_params` (include/uapi/linux/io_uring.h, unchanged since 5.1).
const PARAMS_BYTES: usize = 120;

/// Makes a ring of one entry and closes it. Fails with EPERM where kernel.io_uring_disabled or a container's seccomp
/// filter forbids rings, and with ENOSYS on kernels without them.
pub(in crate::doctor) fn probe_io_uring() -> io::Result<()> {
    let mut params = [0u64; PARAMS_BYTES / 8];
    // SAFETY: io_uring_setup(2) wants a count of entries and a pointer to a writable io_uring_params of 120 bytes with
    // zeroed reserved fields: `params` has that size, is zeroed, is aligned to 8 bytes, and outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1u32, params.as_mut_ptr()) };
    let fd = i32::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}
