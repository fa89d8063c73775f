//! How the memory bound is shared out, once, when the store opens.

use crate::error::OpenError;
use crate::geometry::Geometry;

const SEGMENTS_MIN: u64 = 8;
const SEGMENTS_MAX: u64 = 32;
/// Meta parts that can be in memory at once: two open, two waiting to be sealed, one encoded, one read for eviction.
const METAS_MAX: u64 = 6;
const META_BYTES_MIN: u64 = 64 * 1024;
const INDEX_BYTES_MIN: u64 = 512 * 1024;
const GHOST_BYTES_MIN: u64 = 64 * 1024;

/// Parts of the memory bound, in bytes unless named otherwise. Their sum is at most the bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Number of write segments. Two are open, two are kept for blocks that span segments, the rest are in flight.
    pub(crate) segments: usize,
    pub(crate) page_tables_bytes: usize,
    pub(crate) ghost_bytes: usize,
    /// Greatest meta part of a footer: a slab of very small blocks is sealed when it reaches this.
    pub(crate) meta_bytes: usize,
    pub(crate) index_bytes: usize,
}

impl Budget {
    pub(crate) fn new(memory_bytes: u64, geometry: Geometry) -> Result<Self, OpenError> {
        let (segment, slab) = (u64::from(geometry.segment_bytes()), u64::from(geometry.slab_bytes));
        // A page table in memory, its copy in each open slab and one being sealed.
        let table = geometry.pages() as u64 * 4;
        let segments = (memory_bytes / 16 / segment).clamp(SEGMENTS_MIN, SEGMENTS_MAX);
        let meta = (memory_bytes / 32).clamp(META_BYTES_MIN, slab / 8);
        let ghost = prev_power_of_two((memory_bytes / 32).max(GHOST_BYTES_MIN));
        let page_tables = (memory_bytes / 8).max(4 * table);
        let fixed = segments * segment + METAS_MAX * (meta + table) + ghost + page_tables;
        let needed_bytes = fixed + INDEX_BYTES_MIN;
        if memory_bytes < needed_bytes {
            return Err(OpenError::MemoryTooSmall { memory_bytes, needed_bytes });
        }
        Ok(Self {
            segments: segments as usize,
            page_tables_bytes: page_tables as usize,
            ghost_bytes: ghost as usize,
            meta_bytes: meta as usize,
            index_bytes: (memory_bytes - fixed) as usize,
        })
    }
}

fn prev_power_of_two(value: u64) -> u64 {
    1 << value.ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fit_the_bound() {
        for (capacity, memory) in [(9 << 20, 8 << 20), (1 << 30, 64 << 20), (20 << 30, 256 << 20)] {
            let geometry = Geometry::new(capacity, None).unwrap();
            let budget = Budget::new(memory, geometry).unwrap();
            let segments = budget.segments * geometry.segment_bytes() as usize;
            let sum = segments + budget.page_tables_bytes + budget.ghost_bytes + 6 * budget.meta_bytes;
            assert!(sum + budget.index_bytes <= memory as usize, "{budget:?}");
        }
    }

    #[test]
    fn too_little_names_what_is_needed() {
        let geometry = Geometry::new(20 << 30, None).unwrap();
        let Err(OpenError::MemoryTooSmall { needed_bytes, .. }) = Budget::new(1 << 20, geometry) else {
            panic!("1 MiB cannot do");
        };
        assert!(Budget::new(needed_bytes * 2, geometry).is_ok());
    }
}
