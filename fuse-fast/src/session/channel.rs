//! [`Channel`]: one descriptor of the connection, the answers that go through it, and what it counts.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno as OsErrno;
use zerocopy::IntoBytes;

use super::stats::Counters;
use crate::reply::{Answer, Responder};
use crate::sys::abi::fuse_out_header;
use crate::sys::{device, encode};
use crate::types::{Errno, Unique};

/// Runs of bytes that an answer passes on without copying; the header takes one more. UIO_MAXIOV is 1024.
const RUNS_MAX: usize = 1023;
/// Runs whose list fits on the stack.
const RUNS_ON_STACK: usize = 15;

/// A descriptor of the connection. The answer to a request must go to the descriptor that it came from, so each reply
/// holds the channel of its request.
#[derive(Debug)]
pub(crate) struct Channel {
    fd: OwnedFd,
    counters: Arc<Counters>,
}

/// The descriptor of the connection as its first channel.
pub(super) fn first(fd: OwnedFd) -> Vec<Arc<Channel>> {
    vec![Arc::new(Channel::new(fd))]
}

/// Adds clones of the first channel's descriptor up to `count` channels; fewer when it can't be cloned.
pub(super) fn clone_up_to(channels: &mut Vec<Arc<Channel>>, count: usize) {
    while channels.len() < count {
        match device::clone(channels[0].fd()) {
            Ok(clone) => channels.push(Arc::new(Channel::new(clone))),
            Err(error) => {
                tracing::info!(%error, "/dev/fuse can't be cloned: session threads share one descriptor");
                break;
            }
        }
    }
}

impl Channel {
    pub(super) fn new(fd: OwnedFd) -> Channel {
        Channel { fd, counters: Arc::default() }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Writes a message that nobody asked for: `code` instead of an error, and no request.
    pub(crate) fn notify(&self, code: i32, message: &[u8], data: &[u8]) -> nix::Result<()> {
        self.write(Unique(0), code, &[IoSlice::new(message), IoSlice::new(data)])
    }

    /// Delivers an answer. When the kernel finds it wrong the caller gets `EIO`, rather than waits.
    fn deliver(&self, request: Unique, error: i32, parts: &[IoSlice<'_>]) {
        match self.write(request, error, parts) {
            Ok(()) => {}
            Err(OsErrno::ENOENT | OsErrno::ENODEV | OsErrno::ECONNABORTED) => {
                self.counters.undeliverable.add(1)
            }
            Err(refusal) => {
                self.counters.refused.add(1);
                tracing::warn!(request = request.0, %refusal, "the kernel refused an answer");
                if parts.is_empty() {
                    return;
                }
                // ENOENT here says that the refusal has already ended the request.
                if let Err(second) = self.write(request, -libc::EIO, &[]) {
                    tracing::debug!(request = request.0, %second, "the request had ended");
                }
            }
        }
    }

    fn write(&self, request: Unique, error: i32, parts: &[IoSlice<'_>]) -> nix::Result<()> {
        let body: usize = parts.iter().map(|part| part.len()).sum();
        let total = size_of::<fuse_out_header>() + body;
        let len = u32::try_from(total).map_err(|_| OsErrno::EINVAL)?;
        let header = fuse_out_header { len, error, unique: request.0 };
        let head = IoSlice::new(header.as_bytes());
        let written = match parts {
            [] => device::write(&self.fd, &[head]),
            [one] => device::write(&self.fd, &[head, *one]),
            _ if parts.len() <= RUNS_ON_STACK => {
                let mut all = [head; RUNS_ON_STACK + 1];
                all[1..=parts.len()].copy_from_slice(parts);
                device::write(&self.fd, &all[..=parts.len()])
            }
            _ => self.write_many(head, parts),
        }?;
        // The device takes a message whole or fails.
        if written == total { Ok(()) } else { Err(OsErrno::EMSGSIZE) }
    }

    fn write_many(&self, head: IoSlice<'_>, parts: &[IoSlice<'_>]) -> nix::Result<usize> {
        if parts.len() > RUNS_MAX {
            let joined: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            return device::write(&self.fd, &[head, IoSlice::new(&joined)]);
        }
        let all: Vec<IoSlice<'_>> = std::iter::once(head).chain(parts.iter().copied()).collect();
        device::write(&self.fd, &all)
    }
}

impl Responder for Channel {
    fn answer(&self, request: Unique, answer: &Answer<'_>) {
        if let Answer::Error(_) = answer {
            self.counters.errors.add(1);
        }
        encode::answer(answer, |error, parts| self.deliver(request, error, parts));
    }

    fn dropped(&self, request: Unique) {
        self.counters.dropped.add(1);
        self.answer(request, &Answer::Error(Errno::EIO));
    }
}
