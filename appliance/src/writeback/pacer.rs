//! [`Pacer`]: keeps the bytes of a mount's uploads to a bandwidth.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Unused bandwidth that may be made up for; more is lost.
const CREDIT: Duration = Duration::from_millis(100);

/// Gives each transfer its time slot.
pub(super) struct Pacer {
    bytes_per_second: Option<u64>,
    free_at: Mutex<Option<Instant>>,
}

impl Pacer {
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, free_at: Mutex::new(None) }
    }

    /// Waits until `bytes` may go out.
    pub(super) async fn wait(&self, bytes: u64) {
        if let Some(start) = self.book(bytes, Instant::now()) {
            sleep_until(start).await;
        }
    }

    /// When `bytes` may go out.
    fn book(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let rate = self.bytes_per_second?;
        let mut free_at = self.free_at.lock();
        let start = free_at.unwrap_or(now).max(now - CREDIT);
        *free_at = Some(start + Duration::from_secs_f64(bytes as f64 / rate as f64));
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept() {
        let (pacer, now) = (Pacer::new(Some(1 << 20)), Instant::now());
        let starts: Vec<_> = (0..11).filter_map(|_| pacer.book(1 << 20, now)).collect();
        assert_eq!(starts[0], now);
        assert_eq!(starts[10], now + Duration::from_secs(10));
    }

    #[test]
    fn what_was_not_used_is_lost_but_for_a_moment() {
        let (pacer, now) = (Pacer::new(Some(1 << 20)), Instant::now());
        pacer.book(1 << 20, now);
        let later = now + Duration::from_secs(60);
        assert_eq!(pacer.book(1 << 20, later), Some(later - CREDIT));
        assert_eq!(pacer.book(1, later), Some(later - CREDIT + Duration::from_secs(1)));
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        assert_eq!(Pacer::new(None).book(u64::MAX, Instant::now()), None);
    }
}
