//! Passthrough: the kernel reads, writes and maps a file of another file system instead of asking (Linux 6.9).
//!
//! Parts: [`probe`] asks before anything is mounted; [`BackingFiles`] registers files with the connection, [`BackingId`] is one that is registered;
//! [`InodeModes`] keeps the kernel's rules of which opens of an inode go together.
//!
//! Flow: the session hands [`BackingFiles`] to [`FileSystem::passthrough`](crate::FileSystem::passthrough); the file
//! system registers an open file once, asks [`InodeModes`] at each open how to answer, answers
//! [`Opened::passthrough`](crate::Opened::passthrough), and tells [`InodeModes`] of each release.
//!
//! Trade: what is read here is seen by nobody, so neither checked nor counted. After a write the kernel knows a grown
//! size and asks for attributes again: `getattr` has to answer with those of the backing file. `fsync` comes to the
//! file system and does nothing to the backing file by itself.
//!
//! What the kernel does with it: `fs/fuse/backing.c` (registration), `fs/fuse/passthrough.c` (I/O),
//! `fs/fuse/iomode.c` (rules of an inode).

mod inode_modes;

use std::io;
use std::num::NonZeroI32;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};

use nix::errno::Errno as OsErrno;

pub use inode_modes::{InodeModes, OpenMode};

use crate::negotiate::Capability;
use crate::session::{Channel, RingRefusal, SessionConfig, init};
use crate::sys::{device, unattached};

/// Asks the kernel whether it passes through to `file`, on a connection of its own that is mounted nowhere. Needs root.
pub fn probe(file: &impl AsFd) -> Result<(), PassthroughError> {
    let connection = unattached::connect().map_err(refusal)?;
    let config = SessionConfig { passthrough: true, ..SessionConfig::default() };
    let info = init::answer(&connection.device, &config, None, Err(RingRefusal::NotWanted))
        .map_err(|error| PassthroughError::Refused(io::Error::other(error)))?;
    if !info.has(Capability::Passthrough) {
        return Err(PassthroughError::NotOffered);
    }
    // The registration ends with the connection.
    device::backing_open(connection.device.as_fd(), file.as_fd()).map(drop).map_err(refusal)
}

/// A file can't be given to the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassthroughError {
    /// The kernel has no passthrough.
    #[error("this kernel has no FUSE passthrough (Linux 6.9, CONFIG_FUSE_PASSTHROUGH)")]
    NotOffered,
    /// The session ended.
    #[error("the FUSE session has ended")]
    Ended,
    /// The kernel lets nobody else register files.
    #[error("passthrough needs CAP_SYS_ADMIN (in the host's user namespace)")]
    NotAllowed,
    /// The file lies on a file system that stacks on others, such as overlayfs.
    #[error(
        "passthrough does not reach files on a stacked file system (overlayfs, another FUSE passthrough mount)"
    )]
    Stacked,
    /// The file can't be read and written by the kernel: no regular file, or an odd file system.
    #[error("passthrough does not reach files of this kind or file system")]
    Unsupported,
    /// Anything else.
    #[error("the kernel refused a backing file: {0}")]
    Refused(#[source] io::Error),
}

/// Registers backing files with the connection of one mount.
#[derive(Debug, Clone)]
pub struct BackingFiles {
    /// Weak: a registration that is kept does not keep the connection open.
    channel: Weak<Channel>,
}

/// A file that is registered with the kernel, for answers with [`Opened::passthrough`](crate::Opened::passthrough).
/// Keep it until the last open that was answered with it is released; dropping it takes the registration back, and
/// what is mapped from it stays mapped.
#[derive(Debug)]
pub struct BackingId {
    number: NonZeroI32,
    channel: Weak<Channel>,
}

impl BackingFiles {
    pub(crate) fn new(channel: &Arc<Channel>) -> BackingFiles {
        BackingFiles { channel: Arc::downgrade(channel) }
    }

    /// Registers an open regular file. The kernel opens it again for each open that is answered with the id, with the
    /// flags of that open and the credentials that this thread has now; `file` can be closed.
    ///
    /// Each call makes a new id, and opens of one inode must share one: see [`InodeModes`].
    pub fn register(&self, file: &impl AsFd) -> Result<BackingId, PassthroughError> {
        let channel = self.channel.upgrade().ok_or(PassthroughError::Ended)?;
        let number = device::backing_open(channel.fd(), file.as_fd()).map_err(refusal)?;
        let number = NonZeroI32::new(number).ok_or(PassthroughError::Unsupported)?;
        Ok(BackingId { number, channel: Weak::clone(&self.channel) })
    }
}

/// Errors of `fuse_backing_open()`.
fn refusal(errno: OsErrno) -> PassthroughError {
    match errno {
        OsErrno::EPERM => PassthroughError::NotAllowed,
        OsErrno::ELOOP => PassthroughError::Stacked,
        OsErrno::EOPNOTSUPP => PassthroughError::Unsupported,
        OsErrno::ENODEV | OsErrno::ENOTCONN => PassthroughError::Ended,
        _ => PassthroughError::Refused(errno.into()),
    }
}

impl BackingId {
    pub(crate) fn number(&self) -> NonZeroI32 {
        self.number
    }
}

impl Drop for BackingId {
    fn drop(&mut self) {
        // Without a connection there is nothing to take back.
        let Some(channel) = self.channel.upgrade() else { return };
        if let Err(errno) = device::backing_close(channel.fd(), self.number.get()) {
            tracing::warn!(number = self.number, %errno, "a backing file could not be taken back");
        }
    }
}
