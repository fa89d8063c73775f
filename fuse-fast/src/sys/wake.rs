//! [`WakeFd`]: an eventfd(2) that wakes the thread of a ring.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

#[derive(Debug)]
pub(crate) struct WakeFd(OwnedFd);

impl WakeFd {
    pub(crate) fn new() -> io::Result<WakeFd> {
        // SAFETY: eventfd(2) takes two plain numbers and touches no memory of ours.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        nix::errno::Errno::result(fd)?;
        // SAFETY: the kernel just made this descriptor for us, and nobody else knows its number.
        Ok(WakeFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Ends the read that waits, or the next one. Blocks only after 2^64 calls without a read.
    pub(crate) fn wake(&self) {
        if let Err(errno) = nix::unistd::write(&self.0, &1_u64.to_ne_bytes()) {
            tracing::error!(%errno, "a ring's thread can't be woken");
        }
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for WakeFd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}
