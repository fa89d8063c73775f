//! [`Pending`]: a request that must be answered exactly once.

use std::fmt;
use std::sync::Arc;

use super::{Answer, Buffered, Responder};
use crate::types::Unique;

pub(super) struct Pending {
    request: Unique,
    /// Taken by the answer; still there in `drop` when none was given.
    responder: Option<Arc<dyn Responder>>,
}

impl Pending {
    pub(super) fn new(request: Unique, responder: Arc<dyn Responder>) -> Pending {
        Pending { request, responder: Some(responder) }
    }

    pub(super) fn unique(&self) -> Unique {
        self.request
    }

    pub(super) fn has_buffer(&self) -> bool {
        self.buffer().is_some()
    }

    /// The way to the request's memory, if its transport has one.
    pub(super) fn buffer(&self) -> Option<&dyn Buffered> {
        self.responder.as_deref()?.buffered()
    }

    /// Lets `hand_over` pass the duty to answer on to the transport.
    pub(super) fn give_back(mut self, hand_over: impl FnOnce(Unique, &dyn Buffered)) {
        if let Some(responder) = self.responder.take()
            && let Some(buffer) = responder.buffered()
        {
            hand_over(self.request, buffer);
        }
    }

    pub(super) fn answer(mut self, answer: &Answer<'_>) {
        if let Some(responder) = self.responder.take() {
            responder.answer(self.request, answer);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(responder) = self.responder.take() {
            responder.dropped(self.request);
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending({})", self.request.0)
    }
}
