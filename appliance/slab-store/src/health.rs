//! When a device counts as failed: a leaky bucket of errors.
//!
//! Each error fills it, each success after an error drains a little. One bad sector among good reads never fails a
//! store; a device that answers most calls with errors does so within [`ERRORS_MAX`] calls.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Errors in a row that fail the store.
pub(crate) const ERRORS_MAX: u32 = 16;
/// Successes that pay for one error.
const SUCCESSES_PER_ERROR: u32 = 64;

#[derive(Debug, Default)]
pub(crate) struct Health {
    level: AtomicU32,
    failed: AtomicBool,
}

impl Health {
    /// Counts an error; true when this one fails the store.
    pub(crate) fn error(&self) -> bool {
        let level = self.level.fetch_add(SUCCESSES_PER_ERROR, Relaxed) + SUCCESSES_PER_ERROR;
        level >= ERRORS_MAX * SUCCESSES_PER_ERROR && self.fail()
    }

    /// Counts a success. Costs one load of a shared, unwritten line while there are no errors.
    pub(crate) fn success(&self) {
        if self.level.load(Relaxed) != 0 {
            // An update lost to a race only makes the bucket drain later.
            self.level.fetch_update(Relaxed, Relaxed, |level| level.checked_sub(1)).ok();
        }
    }

    /// Fails the store for good; true for the call that did it.
    pub(crate) fn fail(&self) -> bool {
        !self.failed.swap(true, Relaxed)
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_a_row_fail_and_rare_ones_do_not() {
        let rare = Health::default();
        for _ in 0..10 * ERRORS_MAX {
            assert!(!rare.error());
            (0..SUCCESSES_PER_ERROR).for_each(|_| rare.success());
        }
        assert!(!rare.is_failed());
        let broken = Health::default();
        let fatal = (1..=ERRORS_MAX).map(|_| broken.error()).collect::<Vec<_>>();
        assert_eq!(fatal.iter().position(|f| *f), Some(ERRORS_MAX as usize - 1));
        assert!(broken.is_failed());
    }
}
