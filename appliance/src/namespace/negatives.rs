//! [`NameTimes`]: names with a time, in memory: those that were absent, and those in doubt.
//!
//! Absence that a listing tells costs nothing; one set holds what single questions told. The other holds names whose
//! node a reader found to be replaced or gone. Both are bounded.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::entry::Number;
use super::record::WallMs;

/// Most names in a set: about 100 bytes each, so 3 MiB a set at most.
const NAMES_MAX: usize = 1 << 15;

/// A bounded set of names of directories.
#[derive(Default)]
pub(super) struct NameTimes {
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    of: HashMap<Number, HashMap<Box<str>, WallMs>>,
    count: usize,
}

impl NameTimes {
    /// Remembers a name. False when there was no room: then the set begins anew with this name alone.
    pub(super) fn insert(&self, directory: Number, name: &str, at: WallMs) -> bool {
        let mut names = self.names.lock();
        let has_room = names.count < NAMES_MAX;
        if !has_room {
            *names = Names::default();
        }
        if names.of.entry(directory).or_default().insert(name.into(), at).is_none() {
            names.count += 1;
        }
        has_room
    }

    pub(super) fn get(&self, directory: Number, name: &str) -> Option<WallMs> {
        let names = self.names.lock();
        names.of.get(&directory)?.get(name).copied()
    }

    pub(super) fn remove(&self, directory: Number, name: &str) {
        let mut names = self.names.lock();
        let Some(of) = names.of.get_mut(&directory) else { return };
        let (was_there, is_empty) = (of.remove(name).is_some(), of.is_empty());
        if is_empty {
            names.of.remove(&directory);
        }
        names.count -= usize::from(was_there);
    }

    /// Takes out the names of a directory that are older than `before`, since it was listed then.
    pub(super) fn take_older(&self, directory: Number, before: WallMs) -> Vec<Box<str>> {
        let mut names = self.names.lock();
        let Some(of) = names.of.get_mut(&directory) else { return Vec::new() };
        let taken: Vec<_> = of.extract_if(|_, at| *at < before).map(|(name, _)| name).collect();
        if of.is_empty() {
            names.of.remove(&directory);
        }
        names.count -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_bounded() {
        let set = NameTimes::default();
        let overflows = (0..=NAMES_MAX).filter(|i| !set.insert(Number(1), &i.to_string(), WallMs(0)));
        assert_eq!(overflows.count(), 1);
        assert_eq!(set.names.lock().count, 1);
    }

    #[test]
    fn a_listing_takes_the_older_names_of_its_directory() {
        let set = NameTimes::default();
        set.insert(Number(1), "old", WallMs(1));
        set.insert(Number(1), "new", WallMs(2));
        set.insert(Number(2), "other", WallMs(1));
        assert_eq!(set.take_older(Number(1), WallMs(2)), [Box::from("old")]);
        assert_eq!(set.get(Number(1), "new"), Some(WallMs(2)));
        assert_eq!(set.get(Number(2), "other"), Some(WallMs(1)));
        set.remove(Number(1), "new");
        set.remove(Number(2), "other");
        let names = set.names.lock();
        assert_eq!((names.count, names.of.len()), (0, 0));
    }
}
