//! [`LentFile`]: a complete file in the kernel's hands.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crate::entry::Pin;
use crate::files::Files;

/// A complete file, for passthrough. It is not evicted while this lives; should it be dropped as damaged, it stays
/// readable and its bytes stay counted.
pub struct LentFile {
    // In this order: the files are closed before the entry may go.
    files: Arc<Files>,
    pin: Pin,
}

impl LentFile {
    pub(crate) fn new(files: Arc<Files>, pin: Pin) -> Self {
        pin.0.charge.lend();
        Self { files, pin }
    }

    /// The file was found damaged, or its disk failed: nothing new should be read from it.
    pub fn is_dropped(&self) -> bool {
        self.pin.0.is_gone()
    }
}

impl AsFd for LentFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.files.data.as_fd()
    }
}

impl std::fmt::Debug for LentFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LentFile({})", self.pin.0.paths.data.display())
    }
}
