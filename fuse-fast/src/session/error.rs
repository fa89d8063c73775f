//! [`SessionError`].

use std::io;

use super::RingRefusal;
use crate::mount::MountError;
use crate::negotiate::ProtocolVersion;

/// A session did not start, or ended in another way than by an unmount.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A setting is out of range.
    #[error("session setting {setting} = {value}: allowed is {allowed}")]
    BadSetting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// What may be there.
        allowed: &'static str,
    },
    /// The kernel is too old.
    #[error("this kernel speaks FUSE {kernel}; at least 7.31 is needed (Linux 5.4)")]
    KernelTooOld {
        /// What it speaks.
        kernel: ProtocolVersion,
    },
    /// The first request was not INIT, or not one that can be read.
    #[error("the kernel's first FUSE request is not a valid INIT")]
    BadInit,
    /// The connection ended before it was agreed on: unmounted from outside.
    #[error("the mount was gone before the session started: {0}")]
    Init(#[source] io::Error),
    /// A thread could not be started.
    #[error("can't start a session thread: {0}")]
    Thread(#[source] io::Error),
    /// The file system could not make the state of a thread.
    #[error("can't set up session thread {index}: {source}")]
    Worker {
        /// Which thread.
        index: usize,
        /// Why.
        source: io::Error,
    },
    /// FUSE over io_uring was demanded and can't be had.
    #[error("FUSE over io_uring can't be used: {0}; or set transport = auto")]
    NoRing(#[from] RingRefusal),
    /// A ring failed.
    #[error("io_uring of a session thread: {0}")]
    Ring(#[source] io::Error),
    /// A thread ended by a panic outside of a request.
    #[error("a session thread panicked")]
    ThreadPanicked,
    /// Reading the device failed in a way that the protocol does not know.
    #[error("reading /dev/fuse: {0}")]
    Device(#[source] io::Error),
    /// Unmounting failed.
    #[error(transparent)]
    Unmount(#[from] MountError),
    /// Threads are still inside the file system.
    #[error("{threads} session threads are still busy in the file system after the connection was aborted")]
    StillRunning {
        /// How many.
        threads: usize,
    },
}
