//! [`PlannedRead`]: one read from its plan to verified bytes, whatever ring carries it out.
//!
//! Flow: [`SlabStore::start`](crate::SlabStore::start) looks the blocks up and says what to read; a ring reads all of
//! [`PlannedRead::runs`] into one buffer; [`SlabStore::finish`](crate::SlabStore::finish) verifies every byte. Either may
//! ask for reads (again): when a slab was given up, or a segment written, under a read, it is planned anew, at most
//! [`ATTEMPTS_MAX`] times. A [`Reader`](crate::Reader) does the same with a ring of its own.

use std::ops::Range;

use crate::key::ObjectKey;
use crate::read_plan::{ReadPlan, Run, Verdict};
use crate::shared::Shared;

/// Times a read is planned: once, and again when a slab was given up or a segment written under it.
const ATTEMPTS_MAX: u8 = 3;

/// What to do next with a [`PlannedRead`].
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Carry out the runs, then finish.
    Read,
    /// The bytes lie here in the buffer, verified.
    Hit(Range<usize>),
    /// Not all blocks are cached, or they could not be read or verified (both counted).
    Miss,
    /// The blocks are there, but must be read with more around them than the buffer holds: use a
    /// [`Reader`](crate::Reader).
    NoRoom,
}

/// What is read.
struct Target {
    object: ObjectKey,
    range: Range<u64>,
    object_size: u64,
    attempts: u8,
}

/// A read under way; reusable, so that planning allocates nothing in the long run.
#[derive(Default)]
pub struct PlannedRead {
    plan: ReadPlan,
    target: Option<Target>,
}

impl PlannedRead {
    /// The direct reads to carry out, all into one buffer.
    pub fn runs(&self) -> &[Run] {
        self.plan.runs()
    }

    pub(crate) fn plan(&self) -> &ReadPlan {
        &self.plan
    }

    pub(crate) fn aim(&mut self, object: &ObjectKey, range: Range<u64>, object_size: u64) {
        self.target = Some(Target { object: object.clone(), range, object_size, attempts: 0 });
    }

    /// Plans (again) and fills in what is still in memory.
    pub(crate) fn issue(&mut self, shared: &Shared, buf: &mut [u8]) -> Step {
        let Some(target) = &mut self.target else { return Step::Miss };
        while target.attempts < ATTEMPTS_MAX {
            target.attempts += 1;
            if !self.plan.build(shared, &target.object, target.range.clone(), target.object_size) {
                return Step::Miss;
            }
            if self.plan.buffer_bytes() > buf.len() {
                return Step::NoRoom;
            }
            // When it is not filled, it was written meanwhile: it is on the device now.
            if !self.plan.has_unwritten() || self.plan.fill(shared, buf) {
                return Step::Read;
            }
        }
        Step::Miss
    }

    /// Verifies what was read; plans again when it is stale.
    pub(crate) fn judge(&mut self, shared: &Shared, buf: &mut [u8]) -> Step {
        match self.plan.check(shared, buf) {
            Verdict::Good => Step::Hit(self.plan.result()),
            Verdict::Stale => self.issue(shared, buf),
            Verdict::Mismatch => Step::Miss,
        }
    }

    /// Carries on as far as it goes without reading.
    pub(crate) fn advance(&mut self, shared: &Shared, mut step: Step, buf: &mut [u8]) -> Step {
        while step == Step::Read && self.runs().is_empty() {
            step = self.judge(shared, buf);
        }
        match step {
            Step::Hit(_) => shared.counters.hits.add(1),
            Step::Miss => shared.counters.misses.add(1),
            Step::Read | Step::NoRoom => {}
        }
        step
    }
}
