//! [`RingEntry`]: one entry, and the responder of the request that is in it.
//!
//! The memory of an entry is in one place at a time: with the ring while the kernel may use it, with the engine while the
//! request's arguments are read from it, else here. An answer goes straight into the memory when it is here. When the
//! engine has it, the answer is kept aside, since the arguments may still be looked at; these answers are small: a
//! request that comes with a payload of its own is answered with a name, attributes or a count.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use zerocopy::IntoBytes;

use super::inbox::Inbox;
use crate::reply::{Answer, Buffered, Responder};
use crate::session::stats::Counters;
use crate::sys::abi::fuse_out_header;
use crate::sys::arena::EntryMemory;
use crate::sys::encode;
use crate::sys::ring::EntryIndex;
use crate::types::{DeviceRead, Errno, ReadToken, Unique};

pub(super) struct RingEntry {
    index: EntryIndex,
    inbox: Arc<Inbox>,
    counters: Arc<Counters>,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    /// The request that is being served.
    request: Option<Unique>,
    /// Longest answer that it takes.
    answer_bytes_max: usize,
    memory: Option<EntryMemory>,
    /// An answer that could not be put into the memory yet.
    aside: Vec<u8>,
    /// Device reads that were asked for.
    reads: Vec<DeviceRead>,
    token: Option<ReadToken>,
    wish: Option<Wish>,
}

/// What the ring has to do with an entry.
#[derive(Clone, Copy)]
enum Wish {
    /// Deliver the answer: an error, or so many bytes.
    Commit { error: i32, length: usize },
    /// Carry out the device reads.
    Read,
}

/// What an entry that was in the inbox wants.
pub(super) enum Work<'a> {
    /// The memory holds the answer to this request.
    Commit(Unique, EntryMemory),
    /// These reads are to be carried out.
    Read(&'a [DeviceRead], EntryMemory),
}

impl RingEntry {
    pub(super) fn new(index: EntryIndex, inbox: Arc<Inbox>, counters: Arc<Counters>) -> RingEntry {
        RingEntry { index, inbox, counters, slot: Mutex::default() }
    }

    /// A request is served from now on. It is answered once, with at most so many bytes.
    pub(super) fn begin(&self, request: Unique, answer_bytes_max: usize) {
        let mut slot = self.slot.lock();
        slot.request = Some(request);
        slot.answer_bytes_max = answer_bytes_max;
        slot.aside.clear();
        slot.token = None;
        slot.wish = None;
    }

    /// The engine does not need the memory (any more).
    pub(super) fn put(&self, mut memory: EntryMemory) {
        let mut slot = self.slot.lock();
        memory.payload_mut()[..slot.aside.len()].copy_from_slice(&slot.aside);
        slot.memory = Some(memory);
    }

    /// The token of the device reads that are done.
    pub(super) fn take_token(&self) -> Option<ReadToken> {
        self.slot.lock().token.take()
    }

    /// Hands what is to be done to `work`, and the memory with it.
    pub(super) fn with_work(&self, work: impl FnOnce(Work<'_>)) {
        let mut slot = self.slot.lock();
        let Some((wish, mut memory)) = slot.wish.take().zip(slot.memory.take()) else { return };
        match wish {
            Wish::Commit { error, length } => {
                let Some(request) = slot.request.take() else { return };
                write_answer(&mut memory, request, error, length);
                work(Work::Commit(request, memory));
            }
            Wish::Read => work(Work::Read(&slot.reads, memory)),
        }
    }

    /// Notes an answer, whose bytes `store` puts in place. What is longer than asked for is an error of the file system, as
    /// on /dev/fuse.
    fn conclude(&self, request: Unique, error: i32, length: usize, store: impl FnOnce(&mut Slot)) {
        let mut slot = self.slot.lock();
        if slot.request != Some(request) || slot.wish.is_some() {
            return self.counters.undeliverable.add(1);
        }
        slot.wish = Some(if length <= slot.answer_bytes_max {
            store(&mut slot);
            Wish::Commit { error, length }
        } else {
            self.counters.refused.add(1);
            tracing::warn!(request = request.0, length, "an answer is longer than was asked for");
            Wish::Commit { error: -libc::EIO, length: 0 }
        });
        drop(slot);
        self.inbox.push(self.index);
    }
}

impl Slot {
    fn store(&mut self, parts: &[IoSlice<'_>]) {
        match &mut self.memory {
            Some(memory) => {
                let mut rest = memory.payload_mut();
                for part in parts {
                    let (place, behind) = rest.split_at_mut(part.len());
                    place.copy_from_slice(part);
                    rest = behind;
                }
            }
            None => parts.iter().for_each(|part| self.aside.extend_from_slice(part)),
        }
    }
}

/// Writes what the kernel reads beside the payload.
fn write_answer(memory: &mut EntryMemory, request: Unique, error: i32, length: usize) {
    let len = (size_of::<fuse_out_header>() + length) as u32;
    let out = fuse_out_header { len, error, unique: request.0 };
    let header = memory.header_mut();
    header.in_out.as_mut_bytes()[..size_of::<fuse_out_header>()].copy_from_slice(out.as_bytes());
    header.ring_ent_in_out.payload_sz = length as u32;
}

impl Responder for RingEntry {
    fn answer(&self, request: Unique, answer: &Answer<'_>) {
        if let Answer::Error(_) = answer {
            self.counters.errors.add(1);
        }
        encode::answer(answer, |error, parts| {
            let length = parts.iter().map(|part| part.len()).sum();
            self.conclude(request, error, length, |slot| slot.store(parts));
        });
    }

    fn dropped(&self, request: Unique) {
        self.counters.dropped.add(1);
        self.answer(request, &Answer::Error(Errno::EIO));
    }

    fn buffered(&self) -> Option<&dyn Buffered> {
        Some(self)
    }
}

impl Buffered for RingEntry {
    fn with_buffer(&self, _request: Unique, with: &mut dyn FnMut(&mut [u8])) {
        let mut slot = self.slot.lock();
        let memory =
            slot.memory.as_mut().expect("a read has no payload that the engine keeps the memory for");
        with(memory.payload_mut());
    }

    fn filled(&self, request: Unique, bytes: Range<usize>) {
        self.conclude(request, 0, bytes.len(), |slot| {
            if let Some(memory) = slot.memory.as_mut().filter(|_| bytes.start > 0) {
                memory.payload_mut().copy_within(bytes, 0);
            }
        });
    }

    fn read(&self, request: Unique, reads: &[DeviceRead], token: ReadToken) {
        let mut slot = self.slot.lock();
        debug_assert_eq!(slot.request, Some(request), "a reply lives as long as its request");
        slot.reads.clear();
        slot.reads.extend_from_slice(reads);
        slot.token = Some(token);
        slot.wish = Some(Wish::Read);
        drop(slot);
        self.inbox.push(self.index);
    }
}
