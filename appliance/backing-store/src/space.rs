//! [`Space`]: what the files take on disk, to the last descriptor.
//!
//! A file that has lost its name keeps its bytes until the last descriptor and the last mapping are gone, those that the
//! kernel made for passthrough too. So bytes are not given back when a file is removed but when its [`Charge`] is
//! dropped, which everything that holds the file open holds; and a file that the kernel had is asked for mappings first.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::sys;

/// The account of one store.
pub(crate) struct Space {
    limit_bytes: u64,
    used_bytes: AtomicU64,
    /// Files without a name that somebody has still mapped.
    lingering: Mutex<Vec<Lingering>>,
}

struct Lingering {
    file: Arc<File>,
    _charge: Arc<Charge>,
}

/// Bytes of one object's files.
pub(crate) struct Charge {
    space: Arc<Space>,
    bytes: AtomicU64,
    /// The kernel had the file, so that mappings may outlive all that we know of.
    lent: AtomicBool,
    /// The file has no name any more.
    removed: AtomicBool,
}

impl Space {
    pub(crate) fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self { limit_bytes, used_bytes: AtomicU64::new(0), lingering: Mutex::default() })
    }

    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Acquire)
    }

    /// Takes bytes for an object if the limit allows.
    pub(crate) fn charge(self: &Arc<Self>, bytes: u64) -> Option<Arc<Charge>> {
        let charge = Charge {
            space: Arc::clone(self),
            bytes: AtomicU64::new(0),
            lent: AtomicBool::new(false),
            removed: AtomicBool::new(false),
        };
        charge.grow(bytes).then(|| Arc::new(charge))
    }

    /// Lets go of removed files that nobody has mapped any more.
    pub(crate) fn reap(&self) {
        self.lingering.lock().retain(|lingering| !sys::is_open_nowhere_else(&lingering.file));
    }

    /// Count of removed files that somebody has still mapped.
    pub(crate) fn lingering(&self) -> usize {
        self.lingering.lock().len()
    }
}

impl Charge {
    /// Takes more bytes if the limit allows.
    pub(crate) fn grow(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.space.limit_bytes);
        let taken = self.space.used_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok();
        if taken {
            self.bytes.fetch_add(bytes, Ordering::AcqRel);
        }
        taken
    }

    /// Gives a part back.
    pub(crate) fn shrink(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.space.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    pub(crate) fn lend(&self) {
        self.lent.store(true, Ordering::Release);
    }

    pub(crate) fn remove(&self) {
        self.removed.store(true, Ordering::Release);
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// A descriptor of the object's data is about to be closed: keeps it, and with it the bytes, while others have the
    /// nameless file mapped.
    pub(crate) fn closing(self: &Arc<Self>, file: &Arc<File>) {
        if self.is_removed() && self.lent.load(Ordering::Acquire) && !sys::is_open_nowhere_else(file) {
            let lingering = Lingering { file: Arc::clone(file), _charge: Arc::clone(self) };
            self.space.lingering.lock().push(lingering);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.space.used_bytes.fetch_sub(*self.bytes.get_mut(), Ordering::AcqRel);
    }
}
