//! Waiting for a condition, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest wait of [`settled`], and for how long a value must not change there.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(20);
const QUIET_TIME: Duration = Duration::from_millis(150);

/// Looks until `probe` gives a value; panics with `what` when that takes longer than `limit`.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(PAUSE);
    }
}

/// The value of a counter once it stands still: for traffic that goes on after the call that caused it.
#[track_caller]
pub fn settled<T: PartialEq>(mut counter: impl FnMut() -> T) -> T {
    let mut last = counter();
    let mut since = Instant::now();
    eventually("a counter stands still", SETTLE_TIME_MAX, || {
        let now = counter();
        if now != last {
            last = now;
            since = Instant::now();
        }
        (since.elapsed() >= QUIET_TIME).then_some(())
    });
    last
}
