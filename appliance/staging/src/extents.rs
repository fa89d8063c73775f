//! Sets of byte ranges: which bytes of a file are here, and which differ from the store's.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A set of bytes as sorted ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extents {
    ranges: Vec<(u64, u64)>,
}

impl Extents {
    /// The set of one range.
    pub fn of(range: Range<u64>) -> Self {
        let mut extents = Self::default();
        extents.insert(range);
        extents
    }

    /// Adds a range.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        if let Some(last) = self.ranges.last_mut()
            && last.0 <= range.start
            && range.start <= last.1
        {
            last.1 = last.1.max(range.end);
            return;
        }
        let first = self.ranges.partition_point(|&(_, end)| end < range.start);
        let last = self.ranges.partition_point(|&(start, _)| start <= range.end);
        let start = self.ranges.get(first).map_or(range.start, |found| found.0.min(range.start));
        let end = if last > first { self.ranges[last - 1].1.max(range.end) } else { range.end };
        self.ranges.splice(first..last, [(start.min(range.start), end)]);
    }

    /// Adds all ranges of another set.
    pub fn extend(&mut self, other: &Extents) {
        for range in other.iter() {
            self.insert(range);
        }
    }

    /// Drops what lies at or behind `end`.
    pub fn clip(&mut self, end: u64) {
        let kept = self.ranges.partition_point(|&(start, _)| start < end);
        self.ranges.truncate(kept);
        if let Some(last) = self.ranges.last_mut() {
            last.1 = last.1.min(end);
        }
    }

    /// Does it have every byte of the range?
    pub fn covers(&self, range: Range<u64>) -> bool {
        range.is_empty() || self.gaps(range).next().is_none()
    }

    /// Would the range join one that is there?
    pub(crate) fn touches(&self, range: Range<u64>) -> bool {
        let first = self.ranges.partition_point(|&(_, end)| end < range.start);
        self.ranges.get(first).is_some_and(|found| found.0 <= range.end)
    }

    /// The parts of `range` that are in the set.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.ranges.partition_point(|&(_, end)| end <= range.start);
        let Range { start, end } = range;
        self.ranges[first..]
            .iter()
            .take_while(move |found| found.0 < end)
            .map(move |found| found.0.max(start)..found.1.min(end))
    }

    /// The parts of `range` that are not in the set.
    pub fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut at = range.start;
        let end = range.end;
        self.within(range).chain(std::iter::once(end..end)).filter_map(move |found| {
            let gap = at..found.start;
            at = found.end;
            (!gap.is_empty()).then_some(gap)
        })
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|&(start, end)| start..end)
    }

    /// Number of bytes in the set.
    pub fn total_bytes(&self) -> u64 {
        self.ranges.iter().map(|&(start, end)| end - start).sum()
    }

    /// Number of ranges.
    pub fn count(&self) -> usize {
        self.ranges.len()
    }

    /// Is nothing in it?
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// First byte behind the last range.
    pub fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |last| last.1)
    }

    /// Is it sorted and free of touching and empty ranges, as a record from a disk has to be?
    pub(crate) fn is_well_formed(&self) -> bool {
        self.ranges.iter().all(|&(start, end)| start < end)
            && self.ranges.windows(2).all(|pair| pair[0].1 < pair[1].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPAN: u64 = 64;

    fn as_bits(extents: &Extents) -> Vec<bool> {
        let mut bits = vec![false; SPAN as usize];
        for range in extents.iter() {
            bits[range.start as usize..range.end as usize].fill(true);
        }
        bits
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_bytes(
            steps in prop::collection::vec((0..SPAN, 0..SPAN, prop::bool::weighted(0.15)), 0..24),
            asked in (0..SPAN, 0..SPAN),
        ) {
            let mut extents = Extents::default();
            let mut model = vec![false; SPAN as usize];
            for (a, b, clips) in steps {
                if clips {
                    extents.clip(a);
                    model[a as usize..].fill(false);
                } else {
                    extents.insert(a.min(b)..a.max(b));
                    model[a.min(b) as usize..a.max(b) as usize].fill(true);
                }
                prop_assert!(extents.is_well_formed());
            }
            prop_assert_eq!(as_bits(&extents), model.clone());
            prop_assert_eq!(extents.total_bytes(), model.iter().filter(|bit| **bit).count() as u64);
            let range = asked.0.min(asked.1)..asked.0.max(asked.1);
            for (found, expected) in [(extents.within(range.clone()).collect::<Vec<_>>(), true), (extents.gaps(range.clone()).collect(), false)] {
                let mut seen = vec![false; SPAN as usize];
                found.iter().for_each(|part| seen[part.start as usize..part.end as usize].fill(true));
                for at in range.clone() {
                    prop_assert_eq!(seen[at as usize], model[at as usize] == expected);
                }
                prop_assert!(found.iter().all(|part| range.start <= part.start && part.end <= range.end));
            }
        }
    }
}
