//! [`InodeModes`]: which way the opens of an inode go.
//!
//! The kernel (`fs/fuse/iomode.c`) refuses an open with `EIO` that does not go with those that the inode has already:
//! one through the page cache beside passthrough (`ETXTBSY` inside), a second backing file (`EBUSY`), any without
//! passthrough while there is one with it (`EINVAL`). A mapping of an open for direct I/O uses the page cache, which
//! we do not see, so here direct opens do not go with passthrough either, unless they carry the backing file.
//!
//! ```text
//!                     .-- open, nothing to back it --> Cached ---.
//!   idle (no entry) --+-- open for direct I/O -------> Direct ---+-- last release --> idle
//!                     '-- open, a file to back it ---> Passthrough (one file, until the last release)
//!
//!   Cached + open for direct I/O: stays Cached, the open is direct.   Direct + open: becomes Cached.
//!   Passthrough + any open: passthrough with the same file; direct I/O keeps only mappings on it.
//! ```
//!
//! The server's view is never behind the kernel's: an open counts here before it is answered, and a release comes after
//! the kernel let go of the mode.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;

use super::BackingId;
use crate::types::NodeId;

/// How to answer an open. `B` holds the [`BackingId`], and what else the file system wants to keep as long.
#[derive(Debug)]
pub enum OpenMode<B = BackingId> {
    /// Through the page cache.
    Cached,
    /// With [`OpenedFlags::DIRECT_IO`](crate::OpenedFlags::DIRECT_IO).
    Direct,
    /// With [`Opened::passthrough`](crate::Opened::passthrough) and this file.
    Passthrough(Arc<B>),
    /// With [`Opened::passthrough`](crate::Opened::passthrough), this file and
    /// [`OpenedFlags::DIRECT_IO`](crate::OpenedFlags::DIRECT_IO).
    DirectPassthrough(Arc<B>),
}

/// One inode that is open.
#[derive(Debug)]
enum InodeMode<B> {
    Cached { opens: usize },
    Direct { opens: usize },
    Passthrough { opens: usize, backing: Arc<B> },
}

/// The modes of all inodes of a mount that are open. One lock, held for a look-up. The `B` of an inode in passthrough is
/// kept until its last release, as the kernel asks for.
#[derive(Debug)]
pub struct InodeModes<B = BackingId> {
    open: Mutex<HashMap<NodeId, InodeMode<B>>>,
}

impl<B> Default for InodeModes<B> {
    fn default() -> Self {
        Self { open: Mutex::default() }
    }
}

impl<B> InodeModes<B> {
    /// An open. When no other open of the inode has decided yet, `backing` is asked for a file to pass through to; it is
    /// called with the lock held and must not call back.
    pub fn open(&self, node: NodeId, backing: impl FnOnce() -> Option<Arc<B>>) -> OpenMode<B> {
        match self.open.lock().entry(node) {
            Entry::Occupied(mode) => mode.into_mut().join(),
            Entry::Vacant(idle) => match backing() {
                Some(backing) => {
                    idle.insert(InodeMode::Passthrough { opens: 1, backing: Arc::clone(&backing) });
                    OpenMode::Passthrough(backing)
                }
                None => {
                    idle.insert(InodeMode::Cached { opens: 1 });
                    OpenMode::Cached
                }
            },
        }
    }

    /// An open whose reads and writes must come to the file system.
    pub fn open_direct(&self, node: NodeId) -> OpenMode<B> {
        match self.open.lock().entry(node) {
            Entry::Occupied(mode) => mode.into_mut().join_direct(),
            Entry::Vacant(idle) => {
                idle.insert(InodeMode::Direct { opens: 1 });
                OpenMode::Direct
            }
        }
    }

    /// One open of the inode is released.
    pub fn release(&self, node: NodeId) {
        let mut open = self.open.lock();
        let Entry::Occupied(mut mode) = open.entry(node) else {
            debug_assert!(false, "{node:?} is released more often than opened");
            return;
        };
        let opens = mode.get_mut().opens();
        *opens -= 1;
        if *opens == 0 {
            mode.remove();
        }
    }
}

impl<B> InodeMode<B> {
    fn opens(&mut self) -> &mut usize {
        match self {
            InodeMode::Cached { opens }
            | InodeMode::Direct { opens }
            | InodeMode::Passthrough { opens, .. } => opens,
        }
    }

    fn join(&mut self) -> OpenMode<B> {
        *self.opens() += 1;
        match self {
            InodeMode::Passthrough { backing, .. } => OpenMode::Passthrough(Arc::clone(backing)),
            InodeMode::Cached { opens } | InodeMode::Direct { opens } => {
                *self = InodeMode::Cached { opens: *opens };
                OpenMode::Cached
            }
        }
    }

    fn join_direct(&mut self) -> OpenMode<B> {
        *self.opens() += 1;
        match self {
            InodeMode::Passthrough { backing, .. } => OpenMode::DirectPassthrough(Arc::clone(backing)),
            InodeMode::Cached { .. } | InodeMode::Direct { .. } => OpenMode::Direct,
        }
    }
}
