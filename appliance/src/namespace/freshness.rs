//! How long what is known is believed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::entry::Number;
use super::record::WallMs;
use crate::config::Consistency;

/// What the kernel is told where nothing has to be asked again: 100 years.
pub const VALID_FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Listings expire up to this share of the time to live early, each by its own amount, so that a thousand directories
/// that were listed together do not all ask the store in the same second.
const JITTER_SHARE: u32 = 10;

/// Where the wall time comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// A clock of one's own, for tests.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(super) fn now(&self) -> SystemTime {
        (self.0)()
    }

    pub(super) fn now_ms(&self) -> WallMs {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A mount's [`Consistency`] at work.
pub(super) struct Rules {
    consistency: Consistency,
    pub(super) clock: Clock,
    /// What was learned before this is doubted; see [`distrust_all`](Self::distrust_all).
    trusted_from_ms: AtomicU64,
}

impl Rules {
    pub(super) fn new(consistency: Consistency, clock: Clock) -> Self {
        Self { consistency, clock, trusted_from_ms: AtomicU64::new(0) }
    }

    /// For how much longer something learned at `since` may be believed; `None` when the store has to be asked.
    /// `of` spreads the expiry. A time in the future means that the clock was set back: nothing is known then.
    pub(super) fn valid_for(&self, of: Number, since: WallMs) -> Option<Duration> {
        if since.0 < self.trusted_from_ms.load(Ordering::Relaxed) {
            return None;
        }
        match self.consistency {
            Consistency::Immutable => Some(VALID_FOREVER),
            Consistency::Ttl(ttl) => {
                let age = Duration::from_millis(self.clock.now_ms().0.checked_sub(since.0)?);
                ttl.saturating_sub(jitter(of, ttl)).checked_sub(age).filter(|left| !left.is_zero())
            }
            Consistency::Strict => None,
        }
    }

    /// What the kernel is told about something that the store said just now.
    pub(super) fn valid_from_now(&self) -> Duration {
        match self.consistency {
            Consistency::Immutable => VALID_FOREVER,
            Consistency::Ttl(ttl) => ttl,
            Consistency::Strict => Duration::ZERO,
        }
    }

    pub(super) fn negative_valid_for(&self) -> Duration {
        self.valid_from_now()
    }

    pub(super) fn is_strict(&self) -> bool {
        self.consistency == Consistency::Strict
    }

    /// Everything known so far has to be asked again.
    pub(super) fn distrust_all(&self) {
        let from = self.clock.now_ms().0.saturating_add(1);
        self.trusted_from_ms.fetch_max(from, Ordering::Relaxed);
    }
}

fn jitter(of: Number, ttl: Duration) -> Duration {
    let share = (of.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
    (ttl / JITTER_SHARE).mul_f64(f64::from(share) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(consistency: Consistency, now_ms: u64) -> Rules {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now_ms);
        Rules::new(consistency, Clock::new(move || now))
    }

    #[test]
    fn a_ttl_ends_within_its_last_tenth() {
        let ttl = Consistency::Ttl(Duration::from_secs(10));
        for number in 0..1000u64 {
            let left = |age_ms: u64| rules(ttl, 100_000).valid_for(Number(number), WallMs(100_000 - age_ms));
            assert!(left(8_999).is_some_and(|left| left <= Duration::from_millis(1_001)));
            assert_eq!(left(10_000), None);
        }
    }

    #[test]
    fn expiry_is_spread() {
        let ttl = Consistency::Ttl(Duration::from_secs(10));
        let alive =
            (0..1000u64).filter(|n| rules(ttl, 9_500).valid_for(Number(*n), WallMs(0)).is_some()).count();
        assert!((400..600).contains(&alive), "{alive} of 1000 alive in the middle of the spread");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_all_unknown() {
        let ttl = Consistency::Ttl(Duration::from_secs(10));
        assert_eq!(rules(ttl, 1_000).valid_for(Number(1), WallMs(1_001)), None);
    }

    #[test]
    fn immutable_is_for_ever_until_distrusted_and_strict_never() {
        let immutable = rules(Consistency::Immutable, 5);
        assert_eq!(immutable.valid_for(Number(1), WallMs(1)), Some(VALID_FOREVER));
        immutable.distrust_all();
        assert_eq!(immutable.valid_for(Number(1), WallMs(5)), None);
        assert_eq!(immutable.valid_for(Number(1), WallMs(6)), Some(VALID_FOREVER));
        assert_eq!(rules(Consistency::Strict, 5).valid_for(Number(1), WallMs(5)), None);
    }
}
