//! Telling the kernel what to forget: the namespace's events as FUSE notifications.

use std::sync::OnceLock;

use fuse_fast::NodeId;
use fuse_fast::notify::{Notifier, NotifyError};

use crate::namespace::{Ino, KernelCache};

/// The kernel's side of one mount. Before the session is up nothing is cached there, and events need not go anywhere.
/// The namespace calls it from a thread of its own, so it may wait for the kernel.
#[derive(Default)]
pub(super) struct KernelNotifier {
    notifier: OnceLock<Notifier>,
}

impl KernelNotifier {
    /// The session is up.
    pub(super) fn connect(&self, notifier: Notifier) {
        let first = self.notifier.set(notifier).is_ok();
        debug_assert!(first, "a mount has one session");
    }

    fn send(&self, notify: impl FnOnce(&Notifier) -> Result<(), NotifyError>) {
        match self.notifier.get().map(notify) {
            None | Some(Ok(()) | Err(NotifyError::Ended)) => {}
            Some(Err(error)) => tracing::warn!(%error, "the kernel could not be told of a change"),
        }
    }
}

impl KernelCache for KernelNotifier {
    fn entry_changed(&self, parent: Ino, name: &str) {
        self.send(|notifier| notifier.inval_entry(NodeId(parent.get()), name.as_ref()));
    }

    fn inode_changed(&self, ino: Ino) {
        self.send(|notifier| notifier.inval_inode(NodeId(ino.get()), 0, 0));
    }
}
