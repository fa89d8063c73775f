//! [`Demand`]: whether readers wait for stores right now.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Readers that read one file after the other are still at it for this long after an answer.
const AFTERGLOW: Duration = Duration::from_millis(50);

/// The reads of stores that somebody waits for, over all mounts: they share this host's network. Uploads look at it and
/// step back.
#[derive(Debug, Default)]
pub struct Demand(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    reading: usize,
    ended: Option<Instant>,
}

/// A read that somebody waits for; it ends when this is dropped.
#[derive(Debug)]
pub struct DemandRead<'a>(&'a Demand);

impl Demand {
    /// A read begins.
    pub fn read(&self) -> DemandRead<'_> {
        self.0.lock().reading += 1;
        DemandRead(self)
    }

    /// Whether somebody waits, or did a moment ago.
    pub fn is_there(&self) -> bool {
        let state = self.0.lock();
        state.reading > 0 || state.ended.is_some_and(|ended| ended.elapsed() < AFTERGLOW)
    }
}

impl Drop for DemandRead<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.reading -= 1;
        state.ended = Some(Instant::now());
    }
}
