//! Sealed slabs in the order in which they will be given up: S3-FIFO with slabs in place of objects.
//!
//! New blocks go to slabs of the small queue; blocks that were read while there, and blocks that come back soon, go to
//! slabs of the main queue. The small queue gives up slabs while it holds more than a tenth of all.

use std::collections::VecDeque;

use crate::format::footer::QueueKind;
use crate::geometry::SlabId;

/// Part of the sealed slabs that the small queue keeps: one in so many.
const SMALL_SHARE: usize = 10;

/// Each slab is in at most one of the two, so both are bounded by the number of slabs.
#[derive(Default)]
pub(crate) struct EvictionQueues {
    small: VecDeque<SlabId>,
    main: VecDeque<SlabId>,
}

impl EvictionQueues {
    pub(crate) fn push(&mut self, kind: QueueKind, slab: SlabId) {
        match kind {
            QueueKind::Small => self.small.push_back(slab),
            QueueKind::Main => self.main.push_back(slab),
        }
    }

    /// Takes the slab to give up next.
    pub(crate) fn pop(&mut self) -> Option<(QueueKind, SlabId)> {
        let small_max = (self.len() / SMALL_SHARE).max(1);
        let from_small = self.small.len() > small_max || self.main.is_empty();
        let small = |slab| (QueueKind::Small, slab);
        let main = |slab| (QueueKind::Main, slab);
        if from_small {
            self.small.pop_front().map(small).or_else(|| self.main.pop_front().map(main))
        } else {
            self.main.pop_front().map(main)
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.small.len() + self.main.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_goes_first_until_a_tenth_is_left() {
        let mut queues = EvictionQueues::default();
        (0..4).for_each(|slab| queues.push(QueueKind::Small, SlabId(slab)));
        (10..26).for_each(|slab| queues.push(QueueKind::Main, SlabId(slab)));
        let order: Vec<_> = std::iter::from_fn(|| queues.pop()).map(|(_, slab)| slab.0).collect();
        assert_eq!(order[..4], [0, 1, 2, 10]);
        assert_eq!(order.len(), 20);
        assert!(queues.is_empty());
    }
}
