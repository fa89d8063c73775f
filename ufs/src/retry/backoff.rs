//! Pauses between tries: full jitter, `rand(0, min(cap, base * 2^n))`, as in the AWS Builders' Library article
//! "Timeouts, retries, and backoff with jitter".

use std::time::Duration;

use crate::Error;
use crate::retry::Limits;

/// The pause before try `failures + 1`. A store that named a pause gets at least that.
pub(super) fn pause(limits: &Limits, failures: u32, error: &Error) -> Duration {
    let jittered = ceiling(limits, failures).mul_f64(rand::random::<f64>());
    match error {
        Error::Throttled { retry_after: Some(asked), .. } => *asked + jittered,
        _ => jittered,
    }
}

fn ceiling(limits: &Limits, failures: u32) -> Duration {
    let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    limits.backoff_min.saturating_mul(doubled).min(limits.backoff_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_millis(1000),
            ..Limits::default()
        }
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let ceilings_ms: Vec<_> = (1..=6).map(|n| ceiling(&limits(), n).as_millis()).collect();
        assert_eq!(ceilings_ms, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(ceiling(&limits(), 40), limits().backoff_max);
    }

    #[test]
    fn pauses_spread_from_zero_to_the_ceiling() {
        let error = Error::Unavailable { url: String::new(), reason: String::new(), source: None };
        let pauses: Vec<_> = (0..1000).map(|_| pause(&limits(), 3, &error)).collect();
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(400)));
        let low = pauses.iter().filter(|pause| **pause < Duration::from_millis(200)).count();
        assert!((350..650).contains(&low), "{low} of 1000 pauses in the lower half");
    }

    #[test]
    fn a_pause_that_the_store_asks_for_is_kept() {
        let error = Error::Throttled { url: String::new(), retry_after: Some(Duration::from_secs(3)) };
        assert!(pause(&limits(), 1, &error) >= Duration::from_secs(3));
    }
}
