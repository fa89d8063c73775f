//! Cutting a file into the parts of an upload: what is sent, and what the store copies from what it has.

use std::ops::Range;

use staging::Extents;
use ufs::PartNumber;

/// "Amazon S3 multipart upload limits".
const PARTS_MAX: u64 = 10_000;
/// Part sizes are multiples of this, so that reads are aligned.
const PART_STEP_BYTES: u64 = 1 << 20;
/// The longest part that is copied in one request: S3 allows 5 GiB, and a request must end in time.
const COPY_BYTES_MAX: u64 = 1 << 30;

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) number: PartNumber,
    pub(super) range: Range<u64>,
    /// The store has these bytes, at the same offsets of the base.
    pub(super) is_copy: bool,
}

/// The length of parts for a file of this size: as set, or longer when there would be too many.
pub(super) fn part_bytes(size_bytes: u64, wanted_bytes: u64) -> u64 {
    size_bytes.div_ceil(PARTS_MAX).next_multiple_of(PART_STEP_BYTES).max(wanted_bytes)
}

/// The parts of a file. `unchanged_end` is how much of the base counts, 0 without one.
pub(super) fn plan(size_bytes: u64, part_bytes: u64, changed: &Extents, unchanged_end: u64) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut start = 0;
    while start < size_bytes {
        let range = start..size_bytes.min(start + part_bytes);
        start = range.end;
        let is_copy = range.end <= unchanged_end && changed.within(range.clone()).next().is_none();
        match parts.last_mut() {
            Some(last) if is_copy && last.is_copy && range.end - last.range.start <= COPY_BYTES_MAX => {
                last.range.end = range.end;
            }
            _ => {
                let number = PartNumber(u16::try_from(parts.len() + 1).expect("part_bytes keeps to 10,000"));
                parts.push(Part { number, range, is_copy });
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn an_append_sends_the_tail_and_the_last_part() {
        let mut changed = Extents::default();
        changed.insert(100 * MIB..101 * MIB);
        let parts = plan(101 * MIB, 16 * MIB, &changed, 100 * MIB);
        let sent: Vec<_> = parts.iter().filter(|part| !part.is_copy).map(|part| part.range.clone()).collect();
        assert_eq!((sent.len(), sent[0].clone()), (1, 96 * MIB..101 * MIB));
        assert_eq!(parts[0].range, 0..96 * MIB);
        assert_eq!(parts.len(), 2);
    }

    #[test]
    fn parts_grow_so_that_ten_thousand_are_enough() {
        assert_eq!(part_bytes(1 << 30, 16 * MIB), 16 * MIB);
        let long = 5 << 40;
        let grown = part_bytes(long, 16 * MIB);
        assert_eq!(grown % MIB, 0);
        assert!(long.div_ceil(grown) <= 10_000 && long.div_ceil(grown) > 9_900);
        assert_eq!(plan(long, grown, &Extents::default(), 0).len() as u64, long.div_ceil(grown));
    }

    proptest! {
        #[test]
        fn parts_cover_the_file_and_copy_only_what_is_unchanged(
            size in 1u64..200 * MIB,
            base in 0u64..200 * MIB,
            written in proptest::collection::vec((0u64..200 * MIB, 1u64..30 * MIB), 0..5),
        ) {
            let mut changed = Extents::default();
            written.iter().for_each(|(start, len)| changed.insert(*start..start + len));
            let parts = plan(size, 8 * MIB, &changed, base.min(size));
            let mut at = 0;
            for (part, number) in parts.iter().zip(1..) {
                prop_assert_eq!((part.range.start, part.number), (at, PartNumber(number)));
                at = part.range.end;
                let is_last = at == size;
                prop_assert!(is_last || part.range.end - part.range.start >= 8 * MIB);
                if part.is_copy {
                    prop_assert!(part.range.end <= base);
                    prop_assert!(changed.within(part.range.clone()).next().is_none());
                }
            }
            prop_assert_eq!(at, size);
        }
    }
}
