//! [`Running`]: how many threads of a session still run, to wait for with a deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    state: Arc<(Mutex<usize>, Condvar)>,
}

/// A thread that runs, until this is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    running: Running,
}

impl Running {
    pub(super) fn register(&self) -> Registered {
        *self.state.0.lock() += 1;
        Registered { running: self.clone() }
    }

    /// Waits until no thread runs; the count of those that still do when the time is over.
    pub(super) fn wait(&self, limit: Duration) -> usize {
        let deadline = Instant::now() + limit;
        let mut count = self.state.0.lock();
        while *count > 0 {
            if self.state.1.wait_until(&mut count, deadline).timed_out() {
                break;
            }
        }
        *count
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        *self.running.state.0.lock() -= 1;
        self.running.state.1.notify_all();
    }
}
