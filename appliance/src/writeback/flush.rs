//! Waiting until everything at and below a path is in the stores.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use staging::{EventSeq, EventView, StageError};

use super::engine::Writeback;

/// One look is answered after this at the latest, so that whoever asks can show progress.
const LOOK_TIME_MAX: Duration = Duration::from_millis(500);

/// Body of `POST /v1/flush`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlushRequest {
    /// An absolute path inside a mount.
    pub path: PathBuf,
    /// What the first answer said: changes after the first request are not waited for.
    pub until: Option<u64>,
}

/// Answer of `POST /v1/flush`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlushProgress {
    /// To be sent with the next request.
    pub until: u64,
    /// Changes that the stores do not have yet.
    pub changes_left: u64,
    /// Bytes of the files among them.
    pub bytes_left: u64,
    /// Why the first of them was not taken the last time.
    pub failing: Option<String>,
    /// The store refuses, or the staging directory has failed: waiting alone will not help.
    pub is_refused: bool,
}

impl FlushProgress {
    /// Everything is in the stores.
    pub fn is_done(&self) -> bool {
        self.changes_left == 0
    }
}

impl Writeback {
    /// Sends what is at and below a path (inside the mount, without a leading slash) now, and says how far that is. Answers
    /// when it is done, or after half a second.
    pub async fn flush(&self, path: &str, until: Option<u64>) -> Result<FlushProgress, StageError> {
        let started = Instant::now();
        let staging = &self.engine.staging;
        let until = match until {
            Some(until) => until,
            None => {
                staging.hasten(path)?;
                staging.events_below(path).iter().map(|event| event.seq.0).max().unwrap_or(0)
            }
        };
        let mut ended = self.engine.ended.subscribe();
        loop {
            let progress = self.progress(path, until);
            let left = LOOK_TIME_MAX.saturating_sub(started.elapsed());
            if progress.is_done() || left.is_zero() {
                return Ok(progress);
            }
            // Late or ended: the next look tells.
            if tokio::time::timeout(left, ended.changed()).await.is_err() {
                return Ok(self.progress(path, until));
            }
        }
    }

    /// Sends what is at a path now, and returns when the store has it. `Err(None)` when the store refuses it.
    pub async fn send(&self, path: &str) -> Result<(), Option<StageError>> {
        let mut until = None;
        loop {
            let progress = self.flush(path, until).await?;
            if progress.is_done() {
                return Ok(());
            }
            // One try is made whatever an earlier one got.
            if progress.is_refused && until.is_some() {
                return Err(None);
            }
            until = Some(progress.until);
        }
    }

    fn progress(&self, path: &str, until: u64) -> FlushProgress {
        let events = self.engine.staging.events_below(path);
        let left: Vec<&EventView> = events.iter().filter(|event| event.seq.0 <= until).collect();
        let last = left.last().map(|event| event.seq);
        // What has to come before counts too.
        let failing = last.and_then(|last| self.engine.failures.find(|seq: EventSeq, _| seq <= last));
        let poisoned = self.engine.staging.stats().poisoned;
        FlushProgress {
            until,
            changes_left: left.len() as u64,
            bytes_left: left.iter().map(|event| event.size_bytes).sum(),
            is_refused: poisoned.is_some() || failing.as_ref().is_some_and(|failing| failing.is_refusal),
            failing: poisoned
                .map(Into::into)
                .or(failing.map(|failing| format!("{}: {}", failing.path, failing.reason))),
        }
    }
}
