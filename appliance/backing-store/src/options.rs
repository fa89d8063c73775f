//! [`Options`].

use std::path::PathBuf;
use std::time::Duration;

/// Least size of an object that can be kept as a file: eight blocks.
pub const OBJECT_BYTES_MIN: u64 = 1 << 20;

/// What a store is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the files; made when it is not there. Nobody else may write in it.
    pub directory: PathBuf,
    /// Bytes that all files together may take on disk, checksums included.
    pub budget_bytes: u64,
    /// Objects from this size on are taken; at least [`OBJECT_BYTES_MIN`].
    pub object_bytes_min: u64,
    /// Bytes a second that the scrubber reads; 0 turns it off.
    pub scrub_bytes_per_s: u64,
    /// Least time from the begin of one round of the scrubber to that of the next.
    pub scrub_round_min: Duration,
}

impl Options {
    /// A store with the defaults of the daemon.
    pub fn new(directory: PathBuf, budget_bytes: u64) -> Self {
        Self {
            directory,
            budget_bytes,
            object_bytes_min: 8 << 20,
            scrub_bytes_per_s: 32 << 20,
            scrub_round_min: Duration::from_secs(600),
        }
    }
}
