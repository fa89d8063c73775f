//! Opening, cloning, reading and writing /dev/fuse.

use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::abi::DEV_IOC_CLONE;

/// The device that connections are made through.
pub(crate) const DEVICE: &str = "/dev/fuse";

/// Opens the device; the descriptor belongs to no connection yet.
pub(crate) fn open() -> io::Result<OwnedFd> {
    OpenOptions::new().read(true).write(true).open(DEVICE).map(OwnedFd::from)
}

/// Another descriptor of the same connection with a queue of its own, so that threads do not meet on one lock
/// (`FUSE_DEV_IOC_CLONE`, since Linux 4.2). A request must be answered on the descriptor that it was read from.
pub(crate) fn clone(connection: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let fresh = open()?;
    let source = connection.as_raw_fd() as u32;
    // SAFETY: the ioctl reads one u32 from its argument, which points to one that lives over the call; both
    // descriptors are open.
    let result = unsafe { libc::ioctl(fresh.as_raw_fd(), DEV_IOC_CLONE as libc::Ioctl, &source) };
    nix::errno::Errno::result(result)?;
    Ok(fresh)
}

/// Reads one request; blocks until there is one. Errors: `ENODEV` after an unmount, `ECONNABORTED` or `ENODEV` after an
/// abort; `ENOENT`, `EINTR` and `EAGAIN` mean that there is none, read again.
pub(crate) fn read(device: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<usize> {
    nix::unistd::read(device, buffer)
}

/// Writes one message, which the kernel takes whole or not at all.
pub(crate) fn write(device: &impl AsFd, parts: &[IoSlice<'_>]) -> nix::Result<usize> {
    nix::sys::uio::writev(device, parts)
}
