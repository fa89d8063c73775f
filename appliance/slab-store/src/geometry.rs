//! Where things lie on the device: the header, then slabs of one size.

use crate::checksum::PAGE_BYTES;
use crate::error::OpenError;
use crate::key::BLOCK_BYTES;

/// Room before the first slab: two superblocks, and the slabs begin on a 1 MiB border.
pub(crate) const HEADER_BYTES: u64 = 1 << 20;
/// Unit of offsets and lengths inside a slab.
pub(crate) const UNIT_BYTES: u32 = 512;
/// Size of a slab's last part, which says whether the slab counts.
pub(crate) const TRAILER_BYTES: u32 = 4096;
/// Blocks of this length and more begin on a page border and have their pages in the page table.
pub(crate) const LARGE_BLOCK_BYTES: u32 = 64 * 1024;
pub(crate) const SLAB_BYTES_MIN: u64 = 1 << 20;
pub(crate) const SLAB_BYTES_DEFAULT: u64 = 64 << 20;
pub(crate) const SLAB_BYTES_MAX: u64 = 1 << 30;
/// Two open slabs, two being sealed, two kept free for eviction, and two to evict.
pub(crate) const SLABS_MIN: u32 = 8;
const SEGMENT_BYTES_MAX: u32 = 1 << 20;

const _: () = assert!(BLOCK_BYTES.is_multiple_of(PAGE_BYTES as u32) && LARGE_BLOCK_BYTES <= BLOCK_BYTES);
const _: () = assert!(SLAB_BYTES_MIN / 4 >= 2 * BLOCK_BYTES as u64, "a block spans at most two segments");
const _: () = assert!(SLAB_BYTES_MAX <= u32::MAX as u64, "offsets in a slab are u32");

/// Number of a slab, 0 to `slab_count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlabId(pub(crate) u32);

/// Offset in a slab, in units of [`UNIT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Units(pub(crate) u32);

impl Units {
    pub(crate) fn bytes(self) -> u32 {
        self.0 * UNIT_BYTES
    }

    /// Rounds up.
    pub(crate) fn from_bytes(bytes: u32) -> Self {
        Self(bytes.div_ceil(UNIT_BYTES))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) slab_bytes: u32,
    pub(crate) slab_count: u32,
}

impl Geometry {
    /// The geometry of a new cache: the slab size given, or one that makes at least 128 slabs, 64 MiB at most.
    pub(crate) fn new(capacity_bytes: u64, slab_bytes: Option<u64>) -> Result<Self, OpenError> {
        let (min_bytes, max_bytes) = (SLAB_BYTES_MIN, SLAB_BYTES_MAX);
        let slab_bytes = slab_bytes.unwrap_or_else(|| {
            let wanted = (capacity_bytes / 128).max(1);
            (1 << wanted.ilog2()).clamp(SLAB_BYTES_MIN, SLAB_BYTES_DEFAULT)
        });
        if !slab_bytes.is_power_of_two() || !(min_bytes..=max_bytes).contains(&slab_bytes) {
            return Err(OpenError::SlabSize { slab_bytes, min_bytes, max_bytes });
        }
        Self::of_slabs(capacity_bytes, slab_bytes as u32).ok_or(OpenError::CapacityTooSmall {
            capacity_bytes,
            needed_bytes: HEADER_BYTES + slab_bytes * u64::from(SLABS_MIN),
        })
    }

    /// As many slabs of this size as the capacity holds; `None` when they are fewer than [`SLABS_MIN`].
    pub(crate) fn of_slabs(capacity_bytes: u64, slab_bytes: u32) -> Option<Self> {
        let count = capacity_bytes.saturating_sub(HEADER_BYTES) / u64::from(slab_bytes);
        let slab_count = u32::try_from(count).unwrap_or(u32::MAX);
        (slab_count >= SLABS_MIN).then_some(Self { slab_bytes, slab_count })
    }

    /// Bytes of the device that are used.
    pub(crate) fn total_bytes(self) -> u64 {
        HEADER_BYTES + u64::from(self.slab_count) * u64::from(self.slab_bytes)
    }

    pub(crate) fn slab_offset(self, slab: SlabId) -> u64 {
        HEADER_BYTES + u64::from(slab.0) * u64::from(self.slab_bytes)
    }

    pub(crate) fn slabs(self) -> impl Iterator<Item = SlabId> {
        (0..self.slab_count).map(SlabId)
    }

    /// Offset of the trailer in its slab.
    pub(crate) fn trailer_start(self) -> u32 {
        self.slab_bytes - TRAILER_BYTES
    }

    /// Pages of a slab, which is the number of entries of its page table.
    pub(crate) fn pages(self) -> usize {
        self.slab_bytes as usize / PAGE_BYTES
    }

    /// Bytes of a page table on disk: 4 for each page, in whole pages.
    pub(crate) fn page_table_bytes(self) -> u32 {
        ((self.pages() * 4).next_multiple_of(PAGE_BYTES)) as u32
    }

    /// Offset of the page table in its slab, right before the trailer so that one read fetches both.
    pub(crate) fn page_table_start(self) -> u32 {
        self.trailer_start() - self.page_table_bytes()
    }

    /// Size of a write segment.
    pub(crate) fn segment_bytes(self) -> u32 {
        (self.slab_bytes / 4).min(SEGMENT_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slab_size_follows_capacity() {
        assert_eq!(Geometry::new(20 << 30, None).unwrap().slab_bytes, 64 << 20);
        assert_eq!(Geometry::new(20 << 30, None).unwrap().slab_count, 319);
        assert_eq!(Geometry::new(1 << 30, None).unwrap().slab_bytes, 8 << 20);
        assert_eq!(Geometry::new(9 << 20, None).unwrap(), Geometry { slab_bytes: 1 << 20, slab_count: 8 });
    }

    #[test]
    fn budget_is_never_exceeded() {
        for capacity in [9 << 20, (9 << 20) + 4097, 77 << 20, (1 << 30) - 1, 300 << 30] {
            assert!(Geometry::new(capacity, None).unwrap().total_bytes() <= capacity);
        }
    }

    #[test]
    fn unusable_sizes_are_refused() {
        assert!(matches!(Geometry::new((9 << 20) - 1, None), Err(OpenError::CapacityTooSmall { .. })));
        assert!(matches!(Geometry::new(1 << 30, Some(3 << 20)), Err(OpenError::SlabSize { .. })));
        assert!(matches!(Geometry::new(1 << 30, Some(2 << 30)), Err(OpenError::SlabSize { .. })));
    }
}
