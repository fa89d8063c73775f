//! [`Peer`]: the process behind a control socket, of which one may await the end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::UnixStream;

/// A handle of the process itself, not of its number, which another process may get.
pub(super) struct Peer(OwnedFd);

impl Peer {
    /// The process that listens at the other end. The handle is of that process if it answers anything after this.
    ///
    /// Fails when the process is in a pid namespace that cannot be seen from here.
    pub(super) fn of(stream: &UnixStream) -> io::Result<Self> {
        let pid = stream.peer_cred()?.pid().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Self(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Blocks until the process has ended, which makes the handle readable (pidfd_open(2)), or the time is over. Whether
    /// it has ended.
    pub(super) fn wait_for_end(&self, limit: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let ended = poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout)?;
        Ok(ended > 0)
    }
}
