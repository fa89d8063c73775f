//! Opens that the kernel serves by itself, from the file of a complete large object.
//!
//! Only objects that belong in files take part; all opens of their inodes are answered by the rules of
//! [`InodeModes`]. An inode that is open through the page cache when its object becomes complete stays there until its
//! last close. Whatever goes wrong here costs the speed of passthrough and nothing else: the open goes through us.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use backing_store::{BackingStore, LentFile};
use fuse_fast::passthrough::{BackingFiles, BackingId, InodeModes, OpenMode};
use fuse_fast::{FileHandle, NodeId, Opened, OpenedFlags};

use crate::cache::Cache;
use crate::object::Object;
use crate::status::PassthroughStatus;

/// What an inode in passthrough uses. In this order: the kernel gives the file up before the cache does.
struct Backing {
    id: BackingId,
    file: LentFile,
}

/// Passthrough of one mount.
#[derive(Default)]
pub struct Passthrough {
    /// Set when the session agreed on it.
    files: OnceLock<BackingFiles>,
    modes: InodeModes<Backing>,
    opens: AtomicU64,
    cached_opens: AtomicU64,
    failures: AtomicU64,
}

impl Passthrough {
    /// The kernel agreed.
    pub(super) fn connect(&self, files: BackingFiles) {
        let first = self.files.set(files).is_ok();
        debug_assert!(first, "a mount has one session");
    }

    /// Answers an open of an object.
    pub(super) fn open(
        &self,
        cache: Option<&Cache>,
        node: NodeId,
        object: &Object,
        handle: FileHandle,
    ) -> Opened {
        let cached = OpenedFlags::KEEP_CACHE | OpenedFlags::NO_FLUSH;
        let Some(large) = self.governed(cache, object) else { return Opened::new(handle, cached) };
        let direct = OpenedFlags::DIRECT_IO | OpenedFlags::NO_FLUSH;
        match self.modes.open(node, || self.back(large, object)) {
            OpenMode::Cached => {
                self.cached_opens.fetch_add(1, Ordering::Relaxed);
                Opened::new(handle, cached)
            }
            OpenMode::Direct => Opened::new(handle, direct),
            // Its file was found damaged while it is open: the kernel takes no other, but reads can come to us.
            OpenMode::Passthrough(backing) if backing.file.is_dropped() => {
                Opened::passthrough(handle, direct, &backing.id)
            }
            OpenMode::DirectPassthrough(backing) => Opened::passthrough(handle, direct, &backing.id),
            OpenMode::Passthrough(backing) => {
                self.opens.fetch_add(1, Ordering::Relaxed);
                Opened::passthrough(handle, OpenedFlags::NO_FLUSH, &backing.id)
            }
        }
    }

    /// An open of an object is released.
    pub(super) fn release(&self, cache: Option<&Cache>, node: NodeId, object: &Object) {
        if self.governed(cache, object).is_some() {
            self.modes.release(node);
        }
    }

    /// Whether the opens of an object go by the rules: decided by its size, so the same at open and release.
    fn governed<'c>(&self, cache: Option<&'c Cache>, object: &Object) -> Option<&'c BackingStore> {
        self.files.get()?;
        cache?.large(object)
    }

    fn back(&self, large: &BackingStore, object: &Object) -> Option<Arc<Backing>> {
        let file = large.lend(&object.cache_key)?;
        match self.files.get()?.register(&file) {
            Ok(id) => Some(Arc::new(Backing { id, file })),
            Err(error) => {
                if self.failures.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(%error, key = %object.key, "no passthrough for a file; more are counted only");
                }
                None
            }
        }
    }

    /// The counters for `forebay status`.
    pub fn status(&self) -> PassthroughStatus {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PassthroughStatus {
            active: self.files.get().is_some(),
            opens: get(&self.opens),
            cached_opens: get(&self.cached_opens),
            failures: get(&self.failures),
        }
    }
}
