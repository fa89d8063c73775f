//! Counters of a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::abi::Opcode;

/// Opcodes are below this; the last slot counts unknown ones.
const SLOTS: usize = 64;

/// A counter that is only ever added up; it orders nothing.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one channel or ring counts. A cache line of its own, so that threads do not share one.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Counters {
    requests: [Counter; SLOTS],
    pub(super) errors: Counter,
    pub(super) dropped: Counter,
    pub(super) panics: Counter,
    pub(super) undeliverable: Counter,
    pub(super) refused: Counter,
    pub(super) malformed: Counter,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            requests: std::array::from_fn(|_| Counter::default()),
            errors: Counter::default(),
            dropped: Counter::default(),
            panics: Counter::default(),
            undeliverable: Counter::default(),
            refused: Counter::default(),
            malformed: Counter::default(),
        }
    }
}

impl Counters {
    pub(super) fn count_request(&self, opcode: Opcode) {
        self.requests[opcode as usize % SLOTS].add(1);
    }
}

/// Counts of a session since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// Requests by name of the operation, those that came at least once.
    pub requests: Vec<(&'static str, u64)>,
    /// Answers that were errors, among them those of names that do not exist.
    pub error_answers: u64,
    /// Replies that were dropped unanswered; the caller got `EIO`.
    pub dropped_replies: u64,
    /// Requests whose handling panicked.
    pub panics: u64,
    /// Answers that nobody waited for any more: the request was interrupted, or the connection had ended.
    pub undeliverable_answers: u64,
    /// Answers that the kernel found wrong, such as more bytes than asked for; the caller got `EIO`.
    pub refused_answers: u64,
    /// Requests that could not be decoded.
    pub malformed_requests: u64,
}

impl SessionStats {
    /// Requests of all kinds.
    pub fn requests_total(&self) -> u64 {
        self.requests.iter().map(|(_, count)| count).sum()
    }

    /// Requests of one kind, by the name used in `requests`.
    pub fn requests_of(&self, name: &str) -> u64 {
        self.requests.iter().filter(|(known, _)| *known == name).map(|(_, count)| count).sum()
    }
}

/// Reads the counters of a session from outside of it.
#[derive(Debug, Clone)]
pub struct StatsHandle {
    pub(super) counters: Vec<Arc<Counters>>,
}

impl StatsHandle {
    /// Counters since the start; the last ones once the session has ended.
    pub fn read(&self) -> SessionStats {
        sum(self.counters.iter().map(Arc::as_ref))
    }
}

/// Adds up the counters of all channels.
pub(super) fn sum<'a>(counters: impl Iterator<Item = &'a Counters>) -> SessionStats {
    let all: Vec<&Counters> = counters.collect();
    let total = |field: fn(&Counters) -> &Counter| all.iter().map(|&counters| field(counters).get()).sum();
    let requests = Opcode::ALL.iter().filter_map(|&opcode| {
        let count = all.iter().map(|counters| counters.requests[opcode as usize % SLOTS].get()).sum();
        (count > 0).then_some((opcode.name(), count))
    });
    SessionStats {
        requests: requests.collect(),
        error_answers: total(|counters| &counters.errors),
        dropped_replies: total(|counters| &counters.dropped),
        panics: total(|counters| &counters.panics),
        undeliverable_answers: total(|counters| &counters.undeliverable),
        refused_answers: total(|counters| &counters.refused),
        malformed_requests: total(|counters| &counters.malformed),
    }
}

const _: () = assert!((Opcode::CopyFileRange64 as usize) < SLOTS);
