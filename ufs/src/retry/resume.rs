//! The body of a read that goes on after the connection broke, ended short or stalled.
//!
//! Each new request asks for the bytes that are still missing of the same version, so the stream never mixes two.
//! Bounds: `attempts_max` failures in a row without a byte, `total_timeout` of waiting without a byte, and a slowest
//! rate over the whole body, which ends a stream that drips one byte at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::try_unfold;
use tokio::time::{Instant, sleep, timeout};

use super::attempts::timed_out;
use super::{Shared, backoff};
use crate::{Body, ByteRange, Error, Key, Result, Ufs, Version};

/// Bytes a second that a body must reach over its length, beyond `total_timeout` of waiting.
const DOWNLOAD_RATE_MIN: u64 = 64 << 10;

struct Resuming<U> {
    shared: Arc<Shared<U>>,
    key: Key,
    version: Version,
    /// What is still to come.
    left: ByteRange,
    body: Option<Body>,
    failures: u32,
    failing_since: Option<Instant>,
    /// Time spent waiting for the store, and how much of it is allowed.
    waited: Duration,
    waited_max: Duration,
}

/// Wraps the first body of a read.
pub(super) fn resuming<U: Ufs>(
    shared: Arc<Shared<U>>,
    key: Key,
    version: Version,
    range: ByteRange,
    body: Body,
) -> Body {
    let waited_max = shared.limits.total_timeout + Duration::from_secs(range.len() / DOWNLOAD_RATE_MIN);
    let state = Resuming {
        shared,
        key,
        version,
        left: range,
        body: Some(body),
        failures: 0,
        failing_since: None,
        waited: Duration::ZERO,
        waited_max,
    };
    try_unfold(state, |mut state| async move { Ok(state.next().await?.map(|chunk| (chunk, state))) }).boxed()
}

impl<U: Ufs> Resuming<U> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.left.is_empty() {
            let started = Instant::now();
            let step = self.step().await;
            // A consumer that looks away for long is not the store's fault.
            let limits = &self.shared.limits;
            self.waited += started.elapsed().min(limits.stall_timeout.max(limits.attempt_timeout));
            match step {
                Ok(Some(chunk)) if !chunk.is_empty() => return self.advance(chunk).map(Some),
                Ok(_) => {}
                Err(error) if error.is_retryable() => self.failed(error).await?,
                Err(error) => return Err(error),
            }
            if self.waited > self.waited_max {
                return Err(self.unavailable(format!("the body drips: {:.0?} of waiting", self.waited)));
            }
        }
        Ok(None)
    }

    /// Opens the body or takes its next chunk; `None` after opening.
    async fn step(&mut self) -> Result<Option<Bytes>> {
        let limits = &self.shared.limits;
        match &mut self.body {
            Some(body) => match timeout(limits.stall_timeout, body.next()).await {
                Ok(Some(chunk)) => chunk.map(Some),
                Ok(None) => Err(self.unavailable("the body ended too early".into())),
                Err(_) => Err(self.unavailable(format!("the body stalled for {:.1?}", limits.stall_timeout))),
            },
            None => {
                let read = self.shared.store.read(&self.key, Some(&self.version), self.left);
                let opened = timeout(limits.attempt_timeout, read).await;
                self.body =
                    Some(opened.map_err(|_| timed_out(self.shared.store.url(), limits.attempt_timeout))??);
                Ok(None)
            }
        }
    }

    fn advance(&mut self, chunk: Bytes) -> Result<Bytes> {
        let len = chunk.len() as u64;
        if len > self.left.len() {
            let reason = format!("{} bytes more than the range has", len - self.left.len());
            return Err(Error::Protocol { url: self.shared.store.url().to_owned(), reason, source: None });
        }
        self.left.start += len;
        self.failures = 0;
        self.failing_since = None;
        Ok(chunk)
    }

    /// Drops the body and waits for the next try, or gives up.
    async fn failed(&mut self, error: Error) -> Result<()> {
        self.body = None;
        self.failures += 1;
        let limits = &self.shared.limits;
        let pause = backoff::pause(limits, self.failures, &error);
        let deadline = *self.failing_since.get_or_insert_with(Instant::now) + limits.total_timeout;
        if self.failures >= limits.attempts_max || Instant::now() + pause >= deadline {
            return Err(error);
        }
        tracing::debug!(%error, key = %self.key, offset = self.left.start, ?pause, "taking a body up again");
        sleep(pause).await;
        Ok(())
    }

    fn unavailable(&self, reason: String) -> Error {
        Error::Unavailable { url: self.shared.store.url().to_owned(), reason, source: None }
    }
}
