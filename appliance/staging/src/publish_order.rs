//! Which publish events may reach the store, so that it shows a prefix of their order in each tree.
//!
//! A *tree* is named by the first directories of a path, `tree_depth` of them. A path with fewer directories is
//! *outside*: related to everything. An event may be published when no earlier related one is left.

use std::collections::{BTreeSet, HashMap};

use crate::types::EventSeq;

/// Trees that an event may be in before it counts as outside: one for each name that it had.
const TREES_MAX: usize = 4;

/// The trees of one event; none means outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footprint {
    trees: Vec<Box<str>>,
}

impl Footprint {
    /// Of an event with these paths. `is_directory`: the paths name directories, which belong to the tree that they begin.
    pub(crate) fn new<'p>(
        paths: impl Iterator<Item = &'p str>,
        is_directory: bool,
        tree_depth: usize,
    ) -> Self {
        let mut trees: Vec<Box<str>> = Vec::new();
        for path in paths {
            match tree_of(path, is_directory, tree_depth) {
                Some(tree) if trees.iter().any(|known| **known == *tree) => {}
                Some(tree) if trees.len() < TREES_MAX => trees.push(tree.into()),
                _ => return Self { trees: Vec::new() },
            }
        }
        Self { trees }
    }

    /// Do they have a tree in common, or is one of them outside?
    #[cfg(test)]
    fn is_related(&self, other: &Self) -> bool {
        self.trees.is_empty()
            || other.trees.is_empty()
            || self.trees.iter().any(|tree| other.trees.contains(tree))
    }
}

fn tree_of(path: &str, is_directory: bool, tree_depth: usize) -> Option<&str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain(is_directory.then_some(path.len()));
    ends.take(tree_depth)
        .enumerate()
        .last()
        .filter(|(index, _)| index + 1 == tree_depth)
        .map(|(_, end)| &path[..end])
}

/// All events that are not yet published.
#[derive(Debug, Default)]
pub(crate) struct PublishOrder {
    all: BTreeSet<EventSeq>,
    outside: BTreeSet<EventSeq>,
    trees: HashMap<Box<str>, BTreeSet<EventSeq>>,
}

impl PublishOrder {
    /// Adds an event at its place.
    pub(crate) fn insert(&mut self, seq: EventSeq, footprint: &Footprint) {
        self.all.insert(seq);
        if footprint.trees.is_empty() {
            self.outside.insert(seq);
        }
        for tree in &footprint.trees {
            self.trees.entry(tree.clone()).or_default().insert(seq);
        }
    }

    /// It is published, or needs not be any more.
    pub(crate) fn remove(&mut self, seq: EventSeq, footprint: &Footprint) {
        self.all.remove(&seq);
        self.outside.remove(&seq);
        for tree in &footprint.trees {
            if let Some(events) = self.trees.get_mut(tree) {
                events.remove(&seq);
                if events.is_empty() {
                    self.trees.remove(tree);
                }
            }
        }
    }

    /// Is there a later related event?
    pub(crate) fn has_later(&self, seq: EventSeq, footprint: &Footprint) -> bool {
        let is_later = |events: &BTreeSet<EventSeq>| events.last().is_some_and(|last| *last > seq);
        if footprint.trees.is_empty() {
            return is_later(&self.all);
        }
        is_later(&self.outside)
            || footprint.trees.iter().any(|tree| self.trees.get(tree).is_some_and(is_later))
    }

    /// Is every earlier related event gone?
    pub(crate) fn may_publish(&self, seq: EventSeq, footprint: &Footprint) -> bool {
        let is_first = |events: &BTreeSet<EventSeq>| events.first().is_none_or(|first| *first >= seq);
        if footprint.trees.is_empty() {
            return is_first(&self.all);
        }
        is_first(&self.outside)
            && footprint.trees.iter().all(|tree| self.trees.get(tree).is_none_or(is_first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn trees_are_the_first_directories() {
        assert_eq!(tree_of("run/a/b", false, 1), Some("run"));
        assert_eq!(tree_of("run/a/b", false, 2), Some("run/a"));
        assert_eq!(tree_of("run/a/b", false, 3), None);
        assert_eq!(tree_of("file", false, 1), None);
        assert_eq!(tree_of("run", true, 1), Some("run"));
        assert_eq!(tree_of("run", true, 2), None);
    }

    const PATHS: [&str; 7] = ["top", "a/x", "a/y", "b/x", "b/c/z", "c/x", "d/x"];

    proptest! {
        /// Whatever order workers finish in, the published ones are a prefix among any two related events.
        #[test]
        fn the_published_set_is_a_prefix(
            events in prop::collection::vec(prop::collection::vec(0..PATHS.len(), 1..4), 1..20),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let footprints: Vec<_> = events.iter()
                .map(|paths| Footprint::new(paths.iter().map(|path| PATHS[*path]), false, 1))
                .collect();
            let mut order = PublishOrder::default();
            for (at, footprint) in footprints.iter().enumerate() {
                order.insert(EventSeq(at as u64), footprint);
            }
            let mut open: Vec<usize> = (0..footprints.len()).collect();
            for pick in picks {
                if open.is_empty() {
                    break;
                }
                let at = *pick.get(&open);
                let is_first = open.iter().all(|other| *other >= at || !footprints[*other].is_related(&footprints[at]));
                prop_assert_eq!(order.may_publish(EventSeq(at as u64), &footprints[at]), is_first);
                if is_first {
                    order.remove(EventSeq(at as u64), &footprints[at]);
                    open.retain(|other| *other != at);
                }
            }
            if open.is_empty() {
                prop_assert!(order.all.is_empty() && order.outside.is_empty() && order.trees.is_empty());
            } else {
                let first = open.iter().min().copied().unwrap_or(0);
                prop_assert!(order.may_publish(EventSeq(first as u64), &footprints[first]), "the first never waits");
            }
        }
    }
}
