//! What goes wrong with single events, for the retries and for `forebay status`.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use staging::{EventSeq, StageError};

/// Pauses between tries double up to this, so that a store that is back is noticed within seconds.
const PAUSE_MAX: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Failing files that a status tells of.
const SHOWN_MAX: usize = 10;

/// Why an event was not published this time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The store said no, or nothing.
    #[error(transparent)]
    Store(#[from] ufs::Error),
    /// The staged tree refused.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The staged data cannot be read.
    #[error("the staged data cannot be read: {0}; check the disk of the staging directory")]
    Disk(#[from] io::Error),
    /// No store of the mount can have the path.
    #[error("no store of this mount can have it: no store lies there, or the name is too long for one")]
    NoTarget,
    /// The file was written while it was sent.
    #[error("it was changed while it was sent")]
    Changed,
}

impl Failure {
    /// The store will go on saying no until somebody does something.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Store(error) => match error {
                ufs::Error::Denied { .. }
                | ufs::Error::NoSpace { .. }
                | ufs::Error::NoSuchStore { .. }
                | ufs::Error::Config { .. }
                | ufs::Error::Unsupported { .. } => true,
                ufs::Error::NotFound { .. }
                | ufs::Error::Changed { .. }
                | ufs::Error::PreconditionFailed { .. }
                | ufs::Error::InvalidRange { .. }
                | ufs::Error::Throttled { .. }
                | ufs::Error::Unavailable { .. }
                | ufs::Error::Protocol { .. }
                | ufs::Error::Io { .. } => false,
            },
            Self::Stage(_) | Self::Disk(_) | Self::NoTarget => true,
            Self::Changed => false,
        }
    }
}

/// One event that fails.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    pub(super) path: Box<str>,
    pub(super) reason: String,
    pub(super) is_refusal: bool,
    pub(super) tries: u32,
    pub(super) since: Instant,
    /// When the last try ended.
    pub(super) last: Instant,
}

/// The events that fail now; bounded by the events of the staged tree.
#[derive(Default)]
pub(super) struct Failures(Mutex<BTreeMap<EventSeq, Failing>>);

impl Failures {
    /// Takes note of a failure; logged when it is the first or has another cause. Gives the pause before the next try.
    pub(super) fn failed(&self, seq: EventSeq, path: &str, failure: &Failure) -> Duration {
        if matches!(failure, Failure::Changed) {
            return PAUSE_MIN;
        }
        let (reason, now) = (failure.to_string(), Instant::now());
        let mut failures = self.0.lock();
        let failing = failures.entry(seq).or_insert_with(|| Failing {
            path: path.into(),
            reason: String::new(),
            is_refusal: false,
            tries: 0,
            since: now,
            last: now,
        });
        if failing.reason != reason {
            tracing::warn!(
                path,
                reason,
                "not in the store yet; the data stays on this host and is tried again"
            );
        }
        (failing.reason, failing.is_refusal, failing.last) = (reason, failure.is_refusal(), now);
        failing.tries = failing.tries.saturating_add(1);
        pause(failing.tries)
    }

    /// The event is done or gone.
    pub(super) fn ended(&self, seq: EventSeq) {
        if let Some(failing) = self.0.lock().remove(&seq) {
            tracing::info!(path = %failing.path, tries = failing.tries, "goes on after failures");
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.lock().len() as u64
    }

    /// The oldest ones.
    pub(super) fn shown(&self) -> Vec<Failing> {
        self.0.lock().values().take(SHOWN_MAX).cloned().collect()
    }

    /// The first one that satisfies a condition.
    pub(super) fn find(&self, mut is_it: impl FnMut(EventSeq, &Failing) -> bool) -> Option<Failing> {
        self.0.lock().iter().find(|(seq, failing)| is_it(**seq, failing)).map(|(_, failing)| failing.clone())
    }
}

/// Doubling, with the upper half spread at random.
fn pause(tries: u32) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(PAUSE_MAX).mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_seconds_and_no_further() {
        for (tries, ceiling_ms) in [(1, 250), (2, 500), (3, 1000), (5, 4000), (6, 5000), (60, 5000)] {
            let pause = pause(tries).as_millis();
            assert!((ceiling_ms / 2..=ceiling_ms).contains(&pause), "{tries} tries: {pause} ms");
        }
    }

    #[test]
    fn a_failure_is_shown_until_it_ends() {
        let failures = Failures::default();
        let denied = ufs::Error::Denied { url: "s3://b/".into(), reason: "no".into(), setting: "check" };
        failures.failed(EventSeq(7), "a/b", &Failure::Store(denied));
        failures.failed(EventSeq(8), "c", &Failure::Changed);
        let shown = failures.shown();
        assert_eq!((shown.len(), &*shown[0].path, shown[0].is_refusal), (1, "a/b", true));
        failures.ended(EventSeq(7));
        assert_eq!(failures.count(), 0);
    }
}
