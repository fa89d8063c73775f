//! Per-slab state that readers look at without a lock.
//!
//! A reader is not counted in. It notes the slab's epoch while it holds the index shard that names the block, reads,
//! and looks at the epoch again: eviction removes a slab's blocks from the index, then raises the epoch, then lets the
//! slab be written. So an unchanged epoch after the read proves that nothing was overwritten before the read ended,
//! and readers share no cache line that anybody writes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::geometry::{Geometry, SlabId};

/// Value of `written_bytes` for a sealed slab.
const SEALED: u32 = u32::MAX;

#[derive(Debug, Default)]
struct Slab {
    epoch: AtomicU32,
    /// Data before this offset is on the device; [`SEALED`] when the footer is there too.
    written_bytes: AtomicU32,
    generation: AtomicU64,
}

/// How many times a slab was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Epoch(u32);

pub(crate) struct Slabs(Box<[Slab]>);

impl Slabs {
    pub(crate) fn new(geometry: Geometry) -> Self {
        Self(geometry.slabs().map(|_| Slab::default()).collect())
    }

    fn slab(&self, slab: SlabId) -> &Slab {
        &self.0[slab.0 as usize]
    }

    pub(crate) fn epoch(&self, slab: SlabId) -> Epoch {
        Epoch(self.slab(slab).epoch.load(Ordering::Acquire))
    }

    /// The slab is given up: all reads planned before now are void.
    pub(crate) fn bump_epoch(&self, slab: SlabId) {
        self.slab(slab).epoch.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn start(&self, slab: SlabId, generation: u64) {
        self.slab(slab).written_bytes.store(0, Ordering::Release);
        self.slab(slab).generation.store(generation, Ordering::Release);
    }

    pub(crate) fn set_written(&self, slab: SlabId, bytes: u32) {
        self.slab(slab).written_bytes.store(bytes, Ordering::Release);
    }

    pub(crate) fn set_sealed(&self, slab: SlabId) {
        self.set_written(slab, SEALED);
    }

    /// True when the slab's data up to this offset can be read from the device.
    pub(crate) fn is_written(&self, slab: SlabId, end_bytes: u32) -> bool {
        self.slab(slab).written_bytes.load(Ordering::Acquire) >= end_bytes
    }

    pub(crate) fn is_sealed(&self, slab: SlabId) -> bool {
        self.slab(slab).written_bytes.load(Ordering::Acquire) == SEALED
    }

    pub(crate) fn generation(&self, slab: SlabId) -> u64 {
        self.slab(slab).generation.load(Ordering::Acquire)
    }
}
