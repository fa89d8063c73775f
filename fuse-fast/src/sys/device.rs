//! Opening, cloning, reading and writing /dev/fuse.

use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::abi::{DEV_IOC_BACKING_CLOSE, DEV_IOC_BACKING_OPEN, DEV_IOC_CLONE, fuse_backing_map};

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

/// Registers a file with a connection (`FUSE_DEV_IOC_BACKING_OPEN`, since Linux 6.9); gives its number, which is not 0.
/// The kernel keeps a reference of its own on the file.
pub(crate) fn backing_open(connection: BorrowedFd<'_>, file: BorrowedFd<'_>) -> nix::Result<i32> {
    let map = fuse_backing_map { fd: file.as_raw_fd(), ..fuse_backing_map::default() };
    // SAFETY: the ioctl reads one fuse_backing_map from its argument, which lives over the call; both descriptors are
    // open.
    let result = unsafe { libc::ioctl(connection.as_raw_fd(), DEV_IOC_BACKING_OPEN as libc::Ioctl, &map) };
    nix::errno::Errno::result(result)
}

/// Takes a registered file back. Open files that use it go on using it.
pub(crate) fn backing_close(connection: BorrowedFd<'_>, number: i32) -> nix::Result<()> {
    // SAFETY: the ioctl reads one u32 from its argument, which lives over the call; the descriptor is open.
    let result =
        unsafe { libc::ioctl(connection.as_raw_fd(), DEV_IOC_BACKING_CLOSE as libc::Ioctl, &number) };
    nix::errno::Errno::result(result).map(drop)
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
