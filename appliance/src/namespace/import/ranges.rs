//! Cutting a flat listing into ranges of keys.

use ufs::{Entry as StoreEntry, Key};

use crate::namespace::place::Place;
use crate::namespace::tree::Origin;

/// Ranges of one import: some more than lanes, since they are not equally long.
const RANGES_MAX: usize = 64;

/// The names of a directory from one of its sub-directories up to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRange {
    /// Place among the ranges.
    pub(super) index: u32,
    /// Form of the first name, `name/`; `None` from the first.
    pub(super) start: Option<String>,
    /// Form of the first name that is no longer in it; `None` to the last.
    pub(super) end: Option<String>,
}

impl KeyRange {
    pub(super) const ALL: Self = Self { index: 0, start: None, end: None };

    /// The key that the range begins behind. This is the marker object of its first directory, if there is one: the
    /// directory is known without it.
    pub(super) fn start_key(&self, origin: &Origin) -> Option<Key> {
        self.start.as_ref().and_then(|start| Key::new(format!("{}{start}", origin.directory)).ok())
    }

    /// The first ordinal of the range's blocks: 2^26 blocks of 256 names are enough for each.
    pub(super) fn first_ordinal(&self) -> u32 {
        self.index << 26
    }
}

const _: () = assert!(RANGES_MAX <= 1 << 6, "ordinals have 32 bits");

/// Cuts at sub-directories, evenly spread over those that the first page of the directory's listing shows.
pub(super) fn cut(place: &Place, first_page: &[StoreEntry]) -> Vec<KeyRange> {
    let above = place.origin.as_ref().map_or("", |origin| &origin.directory);
    let directories: Vec<&str> =
        first_page.iter().filter_map(|entry| directory_below(entry, above)).collect();
    let step = directories.len().div_ceil(RANGES_MAX).max(1);
    // The first is part of the range before it: nothing would be left there.
    let cuts: Vec<_> = directories.iter().step_by(step).skip(1).map(|form| (*form).to_owned()).collect();
    let starts = std::iter::once(None).chain(cuts.iter().cloned().map(Some));
    let ends = cuts.iter().cloned().map(Some).chain([None]);
    starts.zip(ends).zip(0..).map(|((start, end), index)| KeyRange { index, start, end }).collect()
}

fn directory_below<'a>(entry: &'a StoreEntry, above: &str) -> Option<&'a str> {
    match entry {
        StoreEntry::Directory { key } => key.as_str().strip_prefix(above).filter(|form| form.len() > 1),
        StoreEntry::Object { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TreePath;
    use crate::namespace::entry::Number;
    use crate::store::StoreIndex;

    fn place() -> Place {
        let origin = Some(Origin { store: StoreIndex(0), directory: "top/".into() });
        Place { number: Number(1), path: TreePath::root(), index: None, origin }
    }

    fn directories(count: usize) -> Vec<StoreEntry> {
        let key = |i| Key::new(format!("top/{i:04}/")).expect("a short key");
        (0..count).map(|i| StoreEntry::Directory { key: key(i) }).collect()
    }

    #[test]
    fn ranges_follow_each_other_without_a_gap() {
        for count in [0, 1, 2, 63, 64, 65, 1000] {
            let ranges = cut(&place(), &directories(count));
            assert!(
                ranges.len() <= RANGES_MAX && ranges.len() >= count.clamp(1, 32),
                "{count}: {}",
                ranges.len()
            );
            assert_eq!((&ranges[0].start, &ranges[ranges.len() - 1].end), (&None, &None));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].end.is_some()));
            assert!(ranges.iter().zip(0..).all(|(range, index)| range.index == index));
        }
    }

    #[test]
    fn a_range_begins_behind_its_marker() {
        let ranges = cut(&place(), &directories(2));
        let origin = place().origin.expect("set above");
        assert_eq!(ranges[1].start_key(&origin).as_ref().map(Key::as_str), Some("top/0001/"));
    }
}
