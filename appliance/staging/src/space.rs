//! Budgets: bytes that the store does not have, bytes that are kept for readers, and when a write may go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A sum that many threads change.
#[derive(Debug, Default)]
pub(crate) struct Sum(AtomicU64);

impl Sum {
    /// One part of the sum is no longer `from` but `to`.
    pub(crate) fn change(&self, from: u64, to: u64) {
        if to >= from {
            self.0.fetch_add(to - from, Ordering::Relaxed);
        } else {
            self.0.fetch_sub(from - to, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The sums of one mount.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) dirty_bytes: Sum,
    pub(crate) kept_bytes: Sum,
    pub(crate) dirty_files: Sum,
    pub(crate) dirty_limit_bytes: u64,
    drain: Mutex<Drain>,
}

/// What a write has to do before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Now,
    /// Answer the request only after this time, so that writers run as fast as the store takes their data.
    After(Duration),
    /// ENOSPC: `dirty_limit` is used up.
    NoSpace,
}

/// Longest time that one answer is held back, and greatest debt of all writers together.
const HOLD_MAX: Duration = Duration::from_secs(60);
/// Rate that is assumed of a store that has not yet taken anything; writers slow down to it near the limit.
const FIRST_RATE_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
/// Time over which the drain rate is averaged.
const RATE_SPAN_SECS: f64 = 5.0;

/// The rate at which the store takes data, and when the bytes that were let in are paid for.
#[derive(Debug)]
struct Drain {
    rate_bytes: f64,
    drained_bytes: u64,
    since: Option<Instant>,
    paid_until: Option<Instant>,
}

impl Space {
    pub(crate) fn new(dirty_limit_bytes: u64) -> Self {
        Self {
            dirty_bytes: Sum::default(),
            kept_bytes: Sum::default(),
            dirty_files: Sum::default(),
            dirty_limit_bytes,
            drain: Mutex::new(Drain {
                rate_bytes: FIRST_RATE_BYTES,
                drained_bytes: 0,
                since: None,
                paid_until: None,
            }),
        }
    }

    /// May `bytes` more be written?
    pub(crate) fn admit(&self, bytes: u64, now: Instant) -> Admission {
        let dirty = self.dirty_bytes.get();
        if dirty.saturating_add(bytes) > self.dirty_limit_bytes {
            return Admission::NoSpace;
        }
        let threshold = self.dirty_limit_bytes / 4 * 3;
        if dirty < threshold {
            return Admission::Now;
        }
        self.drain.lock().hold(bytes, now)
    }

    /// The store took this much.
    pub(crate) fn drained(&self, bytes: u64, now: Instant) {
        self.drain.lock().drained(bytes, now);
    }

    /// Bytes a second that the store takes.
    pub(crate) fn drain_rate_bytes(&self) -> u64 {
        self.drain.lock().rate_bytes as u64
    }
}

impl Drain {
    /// Lets bytes in one after the other at the drain rate.
    fn hold(&mut self, bytes: u64, now: Instant) -> Admission {
        let begins = self.paid_until.map_or(now, |paid| paid.max(now));
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate_bytes.max(1.0));
        let ends = (begins + cost).min(now + HOLD_MAX);
        self.paid_until = Some(ends);
        match ends - now {
            Duration::ZERO => Admission::Now,
            wait => Admission::After(wait),
        }
    }

    fn drained(&mut self, bytes: u64, now: Instant) {
        let since = *self.since.get_or_insert(now);
        self.drained_bytes += bytes;
        let secs = (now - since).as_secs_f64();
        if secs >= RATE_SPAN_SECS {
            self.rate_bytes = (self.rate_bytes + self.drained_bytes as f64 / secs) / 2.0;
            (self.drained_bytes, self.since) = (0, Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 30;

    #[test]
    fn writers_are_free_then_slowed_to_the_drain_rate_then_refused() {
        let space = Space::new(LIMIT);
        let start = Instant::now();
        assert_eq!(space.admit(1 << 20, start), Admission::Now);
        space.dirty_bytes.change(0, LIMIT / 4 * 3);
        let mut now = start;
        for _ in 0..64 {
            if let Admission::After(wait) = space.admit(1 << 20, now) {
                now += wait;
            }
        }
        let rate = 64.0 * f64::from(1 << 20) / (now - start).as_secs_f64();
        assert!((rate / FIRST_RATE_BYTES - 1.0).abs() < 0.05, "{rate} bytes a second");
        space.dirty_bytes.change(0, LIMIT / 4);
        assert_eq!(space.admit(1, now), Admission::NoSpace);
    }

    #[test]
    fn the_rate_follows_the_store() {
        let space = Space::new(LIMIT);
        let start = Instant::now();
        for second in 0..60 {
            space.drained(100 << 20, start + Duration::from_secs(second));
        }
        let rate = space.drain_rate_bytes() as f64 / f64::from(100 << 20);
        assert!((0.8..1.3).contains(&rate), "{rate}");
    }
}
