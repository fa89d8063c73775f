//! [`Attempts`]: one call, tried until it succeeds, fails for good or runs out of tries or time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::backoff;
use crate::retry::Limits;
use crate::{Error, Result};

/// The tries of one call. Holds the count of those that failed, to be asked afterwards.
pub(super) struct Attempts<'a> {
    url: &'a str,
    limits: &'a Limits,
    allowance: Duration,
    failures: u32,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(url: &'a str, limits: &'a Limits) -> Self {
        Self { url, limits, allowance: Duration::ZERO, failures: 0 }
    }

    /// Gives every try, and so all of them, more time.
    pub(super) fn with_allowance(mut self, allowance: Duration) -> Self {
        self.allowance = allowance;
        self
    }

    /// Tries that failed so far.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) async fn run<T, F, C>(&mut self, mut call: C) -> Result<T>
    where
        C: FnMut() -> F,
        F: Future<Output = Result<T>>,
    {
        let deadline = Instant::now() + self.limits.total_timeout + self.allowance;
        loop {
            let attempt_timeout = self.limits.attempt_timeout + self.allowance;
            let left = deadline.saturating_duration_since(Instant::now()).min(attempt_timeout);
            let error = match timeout(left, call()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) if !error.is_retryable() => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => timed_out(self.url, left),
            };
            self.failures += 1;
            let pause = backoff::pause(self.limits, self.failures, &error);
            if self.failures >= self.limits.attempts_max || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, failures = self.failures, ?pause, "trying a store call again");
            sleep(pause).await;
        }
    }
}

/// No answer within the limit of a try.
pub(super) fn timed_out(url: &str, limit: Duration) -> Error {
    Error::Unavailable { url: url.to_owned(), reason: format!("no answer within {limit:.1?}"), source: None }
}
