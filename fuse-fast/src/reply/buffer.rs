//! [`ReplyBuffer`]: a read whose bytes go into the memory that the kernel takes the answer from.

use std::ops::Range;
use std::sync::Arc;

use super::pending::Pending;
use super::{Answer, ReplyData, Responder};
use crate::types::{DeviceRead, Errno, ReadToken, Unique};

/// What a transport does for a [`ReplyBuffer`]. The memory belongs to the request until it is answered.
pub trait Buffered {
    /// Calls `with` with the memory, which is at least as long as the answer may be and starts at a page.
    fn with_buffer(&self, request: Unique, with: &mut dyn FnMut(&mut [u8]));

    /// Answers with these bytes of the memory; those that do not lie at its start are moved there.
    fn filled(&self, request: Unique, bytes: Range<usize>);

    /// Reads into the memory, then calls [`FileSystem::device_read_done`](crate::FileSystem::device_read_done).
    fn read(&self, request: Unique, reads: &[DeviceRead], token: ReadToken);
}

/// Answers a read out of the request's own memory: no copy in this process.
#[derive(Debug)]
#[must_use = "a reply that is dropped answers EIO"]
pub struct ReplyBuffer {
    pub(super) pending: Pending,
}

impl ReplyBuffer {
    /// A handle for one request of a transport with [`Responder::buffered`].
    pub fn new(request: Unique, responder: Arc<dyn Responder>) -> ReplyBuffer {
        debug_assert!(responder.buffered().is_some(), "the transport has memory of its requests");
        ReplyBuffer { pending: Pending::new(request, responder) }
    }

    /// The request that this answers.
    pub fn unique(&self) -> Unique {
        self.pending.unique()
    }

    /// Looks at the memory or writes to it. It is at least as long as the answer may be and starts at a page.
    pub fn with<R>(&mut self, with: impl FnOnce(&mut [u8]) -> R) -> R {
        let request = self.pending.unique();
        let (mut with, mut result) = (Some(with), None);
        let buffer = self.pending.buffer().expect("a ReplyBuffer is only made where there is one");
        buffer.with_buffer(request, &mut |bytes| result = with.take().map(|with| with(bytes)));
        result.expect("the memory belongs to the request until it is answered")
    }

    /// Answers with these bytes of the memory. Those that do not lie at its start cost a move.
    pub fn filled(self, bytes: Range<usize>) {
        self.pending.give_back(|request, buffer| buffer.filled(request, bytes));
    }

    /// Lets the transport read from devices into the memory, at least once, without waiting for it. It comes back through
    /// [`FileSystem::device_read_done`](crate::FileSystem::device_read_done) on the same session thread.
    pub fn read(self, reads: &[DeviceRead], token: ReadToken) {
        debug_assert!(!reads.is_empty(), "a request that reads nothing would never come back");
        self.pending.give_back(|request, buffer| buffer.read(request, reads, token));
    }

    /// To answer with bytes from elsewhere.
    pub fn into_data(self) -> ReplyData {
        ReplyData { pending: self.pending }
    }

    /// Answers with an error.
    pub fn error(self, errno: Errno) {
        self.pending.answer(&Answer::Error(errno));
    }
}
