//! [`SessionConfig`].

use std::thread::available_parallelism;

use super::SessionError;
use crate::sys::abi::READ_BUFFER_BYTES_MIN;

/// Room for a request besides its data: headers, names, a whole extended attribute (64 KiB).
const OVERHEAD_BYTES: usize = 4096;
const OTHER_REQUEST_BYTES_MAX: usize = 128 * 1024;

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Over io_uring where that is possible, else through /dev/fuse.
    #[default]
    Auto,
    /// Over io_uring, or the session does not start.
    Ring,
    /// Through /dev/fuse.
    Device,
}

/// How a session serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionConfig {
    /// How requests travel.
    pub transport: Transport,
    /// Memory for the entries of rings, in all: see [`RingShape`](super::RingShape).
    pub ring_bytes_max: u64,
    /// Count of threads, 1..=256. Each serves one request at a time and keeps a buffer of `write_bytes_max` + 4 KiB.
    pub threads: usize,
    /// Largest `read`, 4 KiB..=16 MiB. The kernel's own limit is in the sysctl fs.fuse.max_pages_limit (default 256
    /// pages; since Linux 6.13), older kernels stop at 256 pages.
    pub read_bytes_max: u32,
    /// Largest `write`, 4 KiB..=16 MiB, and at most the larger one of what `read_bytes_max` gives.
    pub write_bytes_max: u32,
    /// Requests of the kernel's own (read-ahead, asynchronous direct I/O) in flight at once.
    pub max_background: u16,
    /// Count of them from which on the mount counts as congested; `None` for three quarters.
    pub congestion_threshold: Option<u16>,
    /// Lets the kernel read and write backing files itself, where it can (Linux 6.9). A mount with this counts as one
    /// level of stacking: overlayfs takes it as a layer, but not once more on top of that.
    pub passthrough: bool,
    /// Read-ahead of a file. The kernel grants 128 KiB at most; as root the session raises it in sysfs.
    pub readahead_bytes_max: u32,
}

impl Default for SessionConfig {
    fn default() -> SessionConfig {
        let cores = available_parallelism().map_or(4, usize::from);
        SessionConfig {
            transport: Transport::Auto,
            ring_bytes_max: 256 * 1024 * 1024,
            threads: cores.clamp(4, 16),
            read_bytes_max: 1024 * 1024,
            write_bytes_max: 128 * 1024,
            max_background: 64,
            congestion_threshold: None,
            passthrough: true,
            readahead_bytes_max: 4 * 1024 * 1024,
        }
    }
}

impl SessionConfig {
    const TRANSFER_BYTES: std::ops::RangeInclusive<u32> = 4096..=16 * 1024 * 1024;

    pub(super) fn checked(self) -> Result<SessionConfig, SessionError> {
        let bad = |setting, value: u64, allowed| Err(SessionError::BadSetting { setting, value, allowed });
        if !(1..=256).contains(&self.threads) {
            return bad("threads", self.threads as u64, "1 to 256");
        }
        if !Self::TRANSFER_BYTES.contains(&self.read_bytes_max) {
            return bad("read_bytes_max", self.read_bytes_max.into(), "4 KiB to 16 MiB");
        }
        if !Self::TRANSFER_BYTES.contains(&self.write_bytes_max) {
            return bad("write_bytes_max", self.write_bytes_max.into(), "4 KiB to 16 MiB");
        }
        if self.max_background == 0 {
            return bad("max_background", 0, "1 to 65535");
        }
        Ok(self)
    }

    pub(super) fn congestion(&self) -> u16 {
        self.congestion_threshold
            .unwrap_or(self.max_background - self.max_background / 4)
            .min(self.max_background)
    }

    /// Size of a thread's buffer. The kernel refuses to read into less than the largest write and its header.
    pub(super) fn buffer_bytes(&self) -> usize {
        let data = (self.write_bytes_max as usize).max(OTHER_REQUEST_BYTES_MAX);
        (data + OVERHEAD_BYTES).max(READ_BUFFER_BYTES_MIN)
    }
}
