//! When single questions about a directory become an import of all of it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::namespace::entry::Number;
use crate::namespace::import;
use crate::namespace::place::Place;
use crate::namespace::shared::Shared;

/// Questions after which a directory is imported. One or two are a path being opened; at the fourth somebody is working
/// through the directory, and a page of its listing answers a thousand questions for the price of one. Should the import
/// fail it is tried again at 16, 64 and so on.
const IMPORT_AT: u32 = 4;
/// Directories that are counted at once; then counting begins anew.
const DIRECTORIES_MAX: usize = 1 << 14;

/// Questions per directory since its last import.
#[derive(Default)]
pub(in crate::namespace) struct Misses {
    counts: Mutex<HashMap<Number, u32>>,
}

impl Misses {
    /// Counts a question; whether it is time for an import.
    fn add(&self, directory: Number) -> bool {
        let mut counts = self.counts.lock();
        if counts.len() >= DIRECTORIES_MAX {
            counts.clear();
        }
        let count = counts.entry(directory).or_default();
        *count = count.saturating_add(1);
        *count >= IMPORT_AT && count.is_power_of_two() && count.trailing_zeros().is_multiple_of(2)
    }

    /// The directory was imported.
    pub(in crate::namespace) fn reset(&self, directory: Number) {
        self.counts.lock().remove(&directory);
    }
}

/// Counts a question, and starts an import if it is time. Strict mounts ask for each name whatever is listed.
pub(super) fn count(shared: &Arc<Shared>, place: &Place) {
    if !shared.rules.is_strict() && shared.misses.add(place.number) {
        import::start(shared, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_due_at_powers_of_four() {
        let misses = Misses::default();
        let due: Vec<_> = (1..=300).filter(|_| misses.add(Number(1))).collect();
        assert_eq!(due, [4, 16, 64, 256]);
        misses.reset(Number(1));
        assert!((1..4).all(|_| !misses.add(Number(1))));
    }
}
