//! A child process that inherits one descriptor.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// Makes the child keep `fd` open over its exec, under the same number. `fd` must stay open until the child is spawned.
pub(crate) fn inherit(command: &mut Command, fd: RawFd) {
    let keep = move || {
        // SAFETY: `fcntl(F_SETFD)` takes any number and touches no memory; it fails on one that is not open.
        let result = unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are allowed: fcntl is one, and
    // `last_os_error` reads errno alone.
    unsafe { command.pre_exec(keep) };
}

/// Receives one message that carries a descriptor (`SCM_RIGHTS`); `None` when the peer closed without one.
pub(crate) fn receive_fd(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0_u8; 1];
    let mut control = nix::cmsg_space!([RawFd; 1]);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = part
            && let Some(&fd) = fds.first()
        {
            // SAFETY: the kernel just made this descriptor for us, and nobody else knows its number.
            return Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok(None)
}
