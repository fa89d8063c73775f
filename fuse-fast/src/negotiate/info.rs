//! [`ConnectionInfo`]: the outcome.

use std::fmt;

use super::table::{Capability, Decision};
use crate::session::{RingRefusal, RingShape};

/// A version of the FUSE protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProtocolVersion {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A capability, what became of it, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilityRow {
    /// Which one.
    pub capability: Capability,
    /// What this crate wants.
    pub decision: Decision,
    /// The kernel has it.
    pub offered: bool,
}

impl CapabilityRow {
    /// Whether it is in use.
    pub fn is_active(&self) -> bool {
        self.offered && matches!(self.decision, Decision::Take { .. })
    }

    /// Why it is in use or not, in one line.
    pub fn reason(&self) -> &'static str {
        match (self.decision, self.offered) {
            (Decision::Take { .. }, false) => "this kernel does not have it",
            (Decision::Take { reason } | Decision::Refuse { reason }, _) => reason,
        }
    }
}

/// What kernel and session agreed on.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// The rings that requests arrive on, or why they come through /dev/fuse.
    pub ring: Result<RingShape, RingRefusal>,
    /// Version that the kernel speaks.
    pub kernel: ProtocolVersion,
    /// Version in use: the smaller one of both sides.
    pub protocol: ProtocolVersion,
    /// Largest `read` that arrives.
    pub read_bytes_max: u32,
    /// Largest `write` that arrives.
    pub write_bytes_max: u32,
    /// Read-ahead that the kernel granted at INIT. The session raises the one in force through sysfs where it may.
    pub readahead_bytes_max: u32,
    /// Requests that the kernel sends ahead without a waiting caller (read-ahead, asynchronous direct I/O) at once.
    pub max_background: u16,
    /// Count of them from which on the kernel holds back more.
    pub congestion_threshold: u16,
    /// The table.
    pub capabilities: Vec<CapabilityRow>,
}

impl ConnectionInfo {
    /// The kernel turned out not to take the rings.
    pub(crate) fn fall_back(&mut self, refusal: RingRefusal) {
        self.ring = Err(refusal);
        let rows = self.capabilities.iter_mut().filter(|row| row.capability == Capability::OverIoUring);
        rows.for_each(|row| row.decision = Decision::Refuse { reason: refusal.reason() });
    }

    /// Whether a capability is in use.
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.iter().any(|row| row.capability == capability && row.is_active())
    }
}
