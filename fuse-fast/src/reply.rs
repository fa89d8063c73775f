//! Handles that answer a request.
//!
//! Job: make it impossible to answer a request twice or never, from whatever thread the answer comes.
//!
//! Parts: [`Responder`] is where answers go (a transport implements it); [`Answer`] is what goes there; [`Reply`],
//! [`ReplyData`], [`ReplyDirectory`] and [`ReplyXattr`] are handles for one kind of answer each, consumed by the call
//! that answers. [`ReplyBuffer`] is a [`ReplyData`] whose transport has memory of the request itself to read into.
//!
//! Flow: the transport makes a handle per request, the file system keeps it as long as it likes and consumes it; a
//! handle that is dropped instead reaches [`Responder::dropped`], so the caller gets `EIO` rather than waits for ever.
//!
//! Trade: one atomic increment and decrement per request for the shared [`Responder`], and no allocation.

mod answer;
mod buffer;
mod data;
mod directory;
mod pending;
mod xattr;

use std::marker::PhantomData;
use std::sync::Arc;

pub use answer::{Answer, Body};
pub use buffer::{Buffered, ReplyBuffer};
pub use data::ReplyData;
pub use directory::{Added, DirRecord, Listing, Record, ReplyDirectory};
pub use xattr::ReplyXattr;

use crate::types::{Errno, Unique};
use pending::Pending;

/// Where answers go. Implemented by each transport, and by tests that want to see the answers.
pub trait Responder: Send + Sync {
    /// Delivers the answer to a request. Called at most once per request, from any thread. Failures are the
    /// transport's to count: whoever answered can do nothing about them.
    fn answer(&self, request: Unique, answer: &Answer<'_>);

    /// The handle was dropped unanswered: the transport counts it and answers `EIO`.
    fn dropped(&self, request: Unique);

    /// The way to the memory of the request, on transports that have it.
    fn buffered(&self) -> Option<&dyn Buffered> {
        None
    }
}

/// Answers a request with a `T` or an error.
#[derive(Debug)]
#[must_use = "a reply that is dropped answers EIO"]
pub struct Reply<T: Body> {
    pending: Pending,
    body: PhantomData<fn(T)>,
}

impl<T: Body> Reply<T> {
    /// A handle for one request. For transports and tests.
    pub fn new(request: Unique, responder: Arc<dyn Responder>) -> Reply<T> {
        Reply { pending: Pending::new(request, responder), body: PhantomData }
    }

    /// The request that this answers.
    pub fn unique(&self) -> Unique {
        self.pending.unique()
    }

    /// Answers with a value.
    pub fn ok(self, value: T) {
        self.pending.answer(&value.answer());
    }

    /// Answers with an error.
    pub fn error(self, errno: Errno) {
        self.pending.answer(&Answer::Error(errno));
    }

    /// Answers with either.
    pub fn result(self, result: Result<T, Errno>) {
        match result {
            Ok(value) => self.ok(value),
            Err(errno) => self.error(errno),
        }
    }
}

#[cfg(test)]
mod tests;
