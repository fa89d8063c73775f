//! Requests over io_uring (`FUSE_OVER_IO_URING`, Linux 6.14) in place of reads and writes of /dev/fuse.
//!
//! Parts: [`shape`] decides how many entries of what size the kernel gets; [`entry`] is one of them and the responder of the
//! request in it; [`inbox`] brings entries that were answered back to their ring; [`engine`] is the thread of a ring.
//!
//! Flow: the kernel has a queue for each possible CPU and fills an entry of the queue of the CPU that the caller runs on.
//! An engine serves the entries of several queues with one ring: it decodes the request in the entry's own memory, calls
//! the file system, and commits the answer together with the wish for the next request. What the file system answers
//! later, from any thread, comes through the inbox. One io_uring_enter(2) submits all that came up since the last.
//! FORGET, INTERRUPT and notifications stay on /dev/fuse, which one session thread reads.
//!
//! Trade: memory for the largest request in each entry, of which there are queues times depth, used or not; so requests are
//! kept small here (see [`shape`]), and a request that waits for a store holds an entry of its CPU's queue meanwhile.

mod engine;
mod entry;
mod inbox;
mod shape;

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

pub(super) use engine::{Engine, Start};
pub(super) use inbox::Inbox;
pub use shape::RingShape;

use super::SessionConfig;
use super::stats::Counters;
use crate::sys::ring::EntryRing;
use crate::sys::wake::WakeFd;
use crate::types::Device;

/// The switch of the kernel module; there since Linux 6.14.
const SWITCH: &str = "/sys/module/fuse/parameters/enable_uring";

/// Why requests do not go over io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingRefusal {
    /// The session was told to use /dev/fuse.
    #[error("requests go through /dev/fuse: that is set")]
    NotWanted,
    /// The kernel does not have it.
    #[error("this kernel does not have it; Linux 6.14 does")]
    NoKernelSupport,
    /// The kernel has it switched off.
    #[error("it is switched off; echo Y > /sys/module/fuse/parameters/enable_uring and mount again")]
    SwitchedOff,
    /// The memory that is set does not hold enough entries.
    #[error("the memory for rings does not hold two requests for each CPU; set more memory")]
    NoMemory,
    /// io_uring itself can't be used.
    #[error(
        "io_uring can't be used here; see kernel.io_uring_disabled, the seccomp profile and the limit on open files"
    )]
    NoIoUring,
    /// The kernel did not take the entries.
    #[error("the kernel refused the entries of a ring; see the log")]
    RegistrationFailed,
}

impl RingRefusal {
    /// The reason as the table of capabilities shows it.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            RingRefusal::NotWanted => "requests go through /dev/fuse: that is set",
            RingRefusal::NoKernelSupport => "this kernel does not have it; Linux 6.14 does",
            RingRefusal::SwitchedOff => "fuse.enable_uring is N",
            RingRefusal::NoMemory => "the memory for rings does not hold two requests for each CPU",
            RingRefusal::NoIoUring => "io_uring can't be used here",
            RingRefusal::RegistrationFailed => "the kernel refused the entries of a ring",
        }
    }

    /// Why the kernel did not offer it.
    pub(super) fn not_offered() -> RingRefusal {
        if fs::exists(SWITCH).unwrap_or(false) {
            RingRefusal::SwitchedOff
        } else {
            RingRefusal::NoKernelSupport
        }
    }
}

/// Rings that are made but not known to the kernel's FUSE yet.
pub(super) struct Rings {
    pub(super) shape: RingShape,
    rings: Vec<Unstarted>,
}

/// The ring of an engine, and the queues that it will serve.
pub(super) struct Unstarted {
    pub(super) ring: EntryRing,
    pub(super) queues: std::ops::Range<u16>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) counters: Arc<Counters>,
}

impl Rings {
    /// Makes the rings of a session, before the kernel is told that there will be any.
    pub(super) fn prepare(
        config: &SessionConfig,
        fuse: BorrowedFd<'_>,
        devices: &[Device<'_>],
    ) -> Result<Rings, RingRefusal> {
        let queues = possible_cpus().ok_or(RingRefusal::NoKernelSupport)?;
        let shape = RingShape::fit(queues, config.ring_bytes_max).ok_or(RingRefusal::NoMemory)?;
        let shape = shape.at_most(config.read_bytes_max.max(config.write_bytes_max));
        let engines = config.threads.min(usize::from(queues));
        let rings = (0..engines).map(|index| Unstarted::new(shape, index, engines, fuse, devices));
        match rings.collect::<io::Result<_>>() {
            Ok(rings) => Ok(Rings { shape, rings }),
            Err(error) => {
                tracing::info!(%error, "no ring for FUSE requests");
                Err(RingRefusal::NoIoUring)
            }
        }
    }

    pub(super) fn into_rings(self) -> Vec<Unstarted> {
        self.rings
    }
}

impl Unstarted {
    fn new(
        shape: RingShape,
        index: usize,
        engines: usize,
        fuse: BorrowedFd<'_>,
        devices: &[Device<'_>],
    ) -> io::Result<Unstarted> {
        let border = |engine: usize| (usize::from(shape.queues) * engine / engines) as u16;
        let queues = border(index)..border(index + 1);
        let entries = queues.len() * usize::from(shape.depth);
        let wake = Arc::new(WakeFd::new()?);
        let ring = EntryRing::new(fuse, devices, entries, Arc::clone(&wake))?;
        Ok(Unstarted { ring, queues, inbox: Arc::new(Inbox::new(wake, entries)), counters: Arc::default() })
    }
}

/// Count of CPUs that the kernel may ever have, which is its count of queues.
fn possible_cpus() -> Option<u16> {
    let text = fs::read_to_string("/sys/devices/system/cpu/possible").ok()?;
    count_cpus(&text)
}

/// Counts a list such as `0-3,8`.
fn count_cpus(list: &str) -> Option<u16> {
    list.trim().split(',').try_fold(0_u16, |count, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted_from_lists_and_ranges() {
        for (list, count) in [("0\n", 1), ("0-1\n", 2), ("0-127\n", 128), ("0,2-3,8-15", 11)] {
            assert_eq!(count_cpus(list), Some(count), "{list}");
        }
        for list in ["", "a", "3-1", "0-", "0-70000"] {
            assert_eq!(count_cpus(list), None, "{list}");
        }
    }
}
