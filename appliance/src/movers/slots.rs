//! How many requests run against the stores at once, with room kept for readers who wait.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::memory::Class;

/// Requests in flight, all classes. One core saturates a 10 GB/s link with far fewer 4 MiB parts; small objects at
/// 30 ms a request need about this many for 2,000 objects/s.
const REQUESTS_MAX: usize = 64;

/// Of those, what read-ahead and warm-ups may hold.
const BACKGROUND_MAX: usize = 48;

pub(super) struct Slots {
    all: Semaphore,
    background: Semaphore,
}

/// The right to have one request in flight.
pub(super) struct Slot<'a> {
    _all: SemaphorePermit<'a>,
    _background: Option<SemaphorePermit<'a>>,
}

impl Default for Slots {
    fn default() -> Self {
        Self { all: Semaphore::new(REQUESTS_MAX), background: Semaphore::new(BACKGROUND_MAX) }
    }
}

impl Slots {
    pub(super) async fn take(&self, class: Class) -> Slot<'_> {
        let background = match class {
            Class::Demand => None,
            Class::Background => {
                Some(self.background.acquire().await.expect("the semaphore is never closed"))
            }
        };
        let all = self.all.acquire().await.expect("the semaphore is never closed");
        Slot { _all: all, _background: background }
    }
}
