//! [`ReplyData`]: answers with bytes.

use std::io::IoSlice;
use std::sync::Arc;

use super::pending::Pending;
use super::{Answer, ReplyBuffer, Responder};
use crate::types::{Errno, Unique};

/// Answers `read` and `readlink` with bytes, which are not copied in this process.
///
/// An answer longer than asked for is refused by the kernel, and the caller gets `EIO`.
#[derive(Debug)]
#[must_use = "a reply that is dropped answers EIO"]
pub struct ReplyData {
    pub(super) pending: Pending,
}

impl ReplyData {
    /// A handle for one request. For transports and tests.
    pub fn new(request: Unique, responder: Arc<dyn Responder>) -> ReplyData {
        ReplyData { pending: Pending::new(request, responder) }
    }

    /// The request that this answers.
    pub fn unique(&self) -> Unique {
        self.pending.unique()
    }

    /// The memory that the answer is sent from, where the transport has such; else the handle comes back.
    pub fn buffered(self) -> Result<ReplyBuffer, ReplyData> {
        if self.pending.has_buffer() { Ok(ReplyBuffer { pending: self.pending }) } else { Err(self) }
    }

    /// Answers with one run of bytes; an empty one is the end of the file.
    pub fn bytes(self, data: &[u8]) {
        self.pending.answer(&Answer::Data(&[IoSlice::new(data)]));
    }

    /// Answers with several runs of bytes, which the kernel reads as one. More than 1023 are copied together first.
    pub fn vectored(self, data: &[IoSlice<'_>]) {
        self.pending.answer(&Answer::Data(data));
    }

    /// Answers with an error.
    pub fn error(self, errno: Errno) {
        self.pending.answer(&Answer::Error(errno));
    }
}
