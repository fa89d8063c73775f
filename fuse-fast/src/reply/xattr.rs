//! [`ReplyXattr`]: answers with an extended attribute, or only with its length.

use std::io::IoSlice;
use std::sync::Arc;

use super::pending::Pending;
use super::{Answer, Responder};
use crate::types::{Errno, Unique};

/// Answers `getxattr` and `listxattr`.
#[derive(Debug)]
#[must_use = "a reply that is dropped answers EIO"]
pub struct ReplyXattr {
    pending: Pending,
    /// Bytes that the caller has room for; 0 asks for the length alone.
    size_bytes: u32,
}

impl ReplyXattr {
    /// A handle for one request. For transports and tests.
    pub fn new(request: Unique, responder: Arc<dyn Responder>, size_bytes: u32) -> ReplyXattr {
        ReplyXattr { pending: Pending::new(request, responder), size_bytes }
    }

    /// Answers with the value: its length when that was asked for, `ERANGE` when the caller's room is too small.
    pub fn value(self, value: &[u8]) {
        let room = self.size_bytes as usize;
        match u32::try_from(value.len()) {
            Ok(size) if room == 0 => self.pending.answer(&Answer::XattrSize(size)),
            Ok(_) if value.len() <= room => self.pending.answer(&Answer::Data(&[IoSlice::new(value)])),
            Ok(_) => self.error(Errno::ERANGE),
            Err(_) => self.error(Errno::E2BIG),
        }
    }

    /// Answers with an error.
    pub fn error(self, errno: Errno) {
        self.pending.answer(&Answer::Error(errno));
    }
}
