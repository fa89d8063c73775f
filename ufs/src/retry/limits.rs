//! [`Limits`]: how long a call may take and how often it is tried.

use std::time::Duration;

/// Time limits and retries of every call to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One try of one call, up to the answer's headers for a read. A write gets more time the more bytes it carries:
    /// see [`Limits::UPLOAD_RATE_MIN`].
    pub attempt_timeout: Duration,
    /// All tries of one call together, pauses included. For a read: the time spent waiting for the store without
    /// getting on.
    pub total_timeout: Duration,
    /// The body of a read makes no progress for this long: it is taken up again from the offset reached.
    pub stall_timeout: Duration,
    /// Tries of one call; for a read, tries in a row that give no byte.
    pub attempts_max: u32,
    /// Upper end of the first pause; doubles with every try.
    pub backoff_min: Duration,
    /// Upper end of every pause.
    pub backoff_max: Duration,
}

impl Limits {
    /// Bytes a second below which an upload counts as failed: its tries get a second more for each of these.
    pub const UPLOAD_RATE_MIN: u64 = 1 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(5),
            attempts_max: 8,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
        }
    }
}
