//! [`Notifier`]: tells the kernel what to forget, or to know.
//!
//! The kernel takes locks of the node or directory to carry out a notification, and callers hold those locks while
//! they wait for an answer. So: never notify inside a handler, and never while holding a lock that a handler needs.
//! The first is refused with [`NotifyError::InHandler`]; the second is up to the caller.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Weak};

use nix::errno::Errno as OsErrno;
use zerocopy::IntoBytes;

use crate::session::Channel;
use crate::sys::abi::{
    EXPIRE_ONLY, fuse_notify_delete_out, fuse_notify_inval_entry_out, fuse_notify_inval_inode_out,
    fuse_notify_store_out, notify_code,
};
use crate::types::NodeId;

thread_local! {
    static SESSION_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as one that runs handlers, until the guard is dropped.
pub(crate) fn mark_session_thread() -> SessionThread {
    SESSION_THREAD.set(true);
    SessionThread
}

pub(crate) struct SessionThread;

impl Drop for SessionThread {
    fn drop(&mut self) {
        SESSION_THREAD.set(false);
    }
}

/// A notification was not delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The session ended, and with it everything the kernel knew.
    #[error("the FUSE session has ended")]
    Ended,
    /// Called on a thread that runs handlers, where it could wait for itself.
    #[error("a notification inside a request handler can deadlock: send it from another thread")]
    InHandler,
    /// The kernel refused it.
    #[error("the kernel refused a FUSE notification: {0}")]
    Refused(#[source] io::Error),
}

/// Sends notifications, from any thread but those of the session. What the kernel does not know is no error.
#[derive(Debug, Clone)]
pub struct Notifier {
    /// Weak: a notifier that is kept does not keep the connection open.
    channel: Weak<Channel>,
}

impl Notifier {
    pub(crate) fn new(channel: &Arc<Channel>) -> Notifier {
        Notifier { channel: Arc::downgrade(channel) }
    }

    /// Forget the attributes of a node.
    pub fn inval_attributes(&self, node: NodeId) -> Result<(), NotifyError> {
        // A negative offset leaves the data alone.
        self.inval_inode_message(node, -1, 0)
    }

    /// Forget the attributes of a node and its cached data from `offset` on: `length_bytes`, or all the rest when that
    /// is 0. Data is dropped in whole pages; dirty pages are written first, pages in use by a read are waited for.
    pub fn inval_inode(&self, node: NodeId, offset: u64, length_bytes: u64) -> Result<(), NotifyError> {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.inval_inode_message(node, signed(offset), signed(length_bytes))
    }

    fn inval_inode_message(&self, node: NodeId, off: i64, len: i64) -> Result<(), NotifyError> {
        let message = fuse_notify_inval_inode_out { ino: node.0, off, len };
        self.send(notify_code::INVAL_INODE, message.as_bytes(), &[])
    }

    /// Forget what `name` in `parent` leads to, also that it does not exist. Mounts below it are detached.
    pub fn inval_entry(&self, parent: NodeId, name: &OsStr) -> Result<(), NotifyError> {
        self.inval_entry_message(parent, name, 0)
    }

    /// Look `name` in `parent` up again at its next use, without dropping what is open or mounted below it. Since 7.38;
    /// kernels without it do the same as for [`inval_entry`](Self::inval_entry).
    pub fn expire_entry(&self, parent: NodeId, name: &OsStr) -> Result<(), NotifyError> {
        self.inval_entry_message(parent, name, EXPIRE_ONLY)
    }

    fn inval_entry_message(&self, parent: NodeId, name: &OsStr, flags: u32) -> Result<(), NotifyError> {
        let message = fuse_notify_inval_entry_out { parent: parent.0, namelen: length(name.len()), flags };
        self.send(notify_code::INVAL_ENTRY, message.as_bytes(), &ended_by_nul(name))
    }

    /// `name` in `parent`, which led to `child`, is deleted: who watches the directory is told.
    pub fn delete(&self, parent: NodeId, child: NodeId, name: &OsStr) -> Result<(), NotifyError> {
        let namelen = length(name.len());
        let message = fuse_notify_delete_out { parent: parent.0, child: child.0, namelen, padding: 0 };
        self.send(notify_code::DELETE, message.as_bytes(), &ended_by_nul(name))
    }

    /// Puts data into the page cache of a node; the file grows to its end if it is smaller.
    pub fn store(&self, node: NodeId, offset: u64, data: &[u8]) -> Result<(), NotifyError> {
        let message = fuse_notify_store_out { nodeid: node.0, offset, size: length(data.len()), padding: 0 };
        self.send(notify_code::STORE, message.as_bytes(), data)
    }

    fn send(&self, code: i32, message: &[u8], data: &[u8]) -> Result<(), NotifyError> {
        if SESSION_THREAD.get() {
            return Err(NotifyError::InHandler);
        }
        let channel = self.channel.upgrade().ok_or(NotifyError::Ended)?;
        match channel.notify(code, message, data) {
            // The kernel does not know the node or the name: nothing to forget.
            Ok(()) | Err(OsErrno::ENOENT) => Ok(()),
            // A directory that is not empty stays in the tree of names.
            Err(OsErrno::ENOTEMPTY) if code == notify_code::DELETE => Ok(()),
            Err(OsErrno::ENODEV | OsErrno::ECONNABORTED) => Err(NotifyError::Ended),
            Err(errno) => Err(NotifyError::Refused(errno.into())),
        }
    }
}

/// A length for the wire. What is too long becomes a length that does not fit the message, and the kernel refuses it.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The kernel wants names with their NUL, which the length does not count.
fn ended_by_nul(name: &OsStr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 1);
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(0);
    bytes
}
