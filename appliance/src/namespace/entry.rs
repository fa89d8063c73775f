//! [`Entry`]: one name of a directory as the database knows it, and the order of names in a listing.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use ufs::Meta;

use super::packed::PackedVersion;

/// A node's number in the database: unique among all mounts of a cache directory and never used twice. It is also the
/// inode number, but for the mounts' roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Number(pub u64);

/// A point in wall time: nanoseconds since 1970, from 1677 to 2262.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp(pub i64);

impl Timestamp {
    pub(super) const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

    pub(super) fn second(self) -> i64 {
        self.0.div_euclid(Self::NANOSECONDS_PER_SECOND)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let ns = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(ns(after)),
            Err(before) => Self(-ns(before.duration())),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let distance = Duration::from_nanos(time.0.unsigned_abs());
        if time.0 < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance }
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File { size_bytes: u64, version: PackedVersion },
    Directory,
}

/// A name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Box<str>,
    pub(super) number: Number,
    /// Of a file: the store's time. Of a directory: when it was first seen.
    pub(super) modified: Timestamp,
    pub(super) kind: Kind,
}

impl Entry {
    pub(super) fn file(name: &str, number: Number, meta: &Meta) -> Self {
        let kind = Kind::File { size_bytes: meta.size_bytes, version: PackedVersion::new(&meta.version) };
        Self { name: name.into(), number, modified: meta.modified.into(), kind }
    }

    pub(super) fn directory(name: &str, number: Number, seen: Timestamp) -> Self {
        Self { name: name.into(), number, modified: seen, kind: Kind::Directory }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Whether this is the same version of the same object, or the same directory. Times are compared by the second:
    /// some stores tell milliseconds in listings and seconds in answers to HEAD.
    pub(super) fn is_same_node(&self, other: &Self) -> bool {
        self.kind == other.kind && (self.is_directory() || self.modified.second() == other.modified.second())
    }

    /// The place in the listing.
    pub(super) fn form(&self) -> Form<'_> {
        Form { name: &self.name, is_directory: self.is_directory() }
    }
}

/// A name as it stands in the store's order of keys: a directory as `name/`. So a flat listing of all keys below a
/// directory meets the names of every directory in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form<'a> {
    pub(super) name: &'a str,
    pub(super) is_directory: bool,
}

impl<'a> Form<'a> {
    /// Reads `name` or `name/`.
    pub(super) fn parse(text: &'a str) -> Self {
        match text.strip_suffix('/') {
            Some(name) => Self { name, is_directory: true },
            None => Self { name: text, is_directory: false },
        }
    }

    /// The byte at `at`, where the name may have ended.
    fn byte_from(&self, at: usize) -> Option<u8> {
        self.name.as_bytes().get(at).copied().or(self.is_directory.then_some(b'/'))
    }

    pub(super) fn push_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_bytes());
        if self.is_directory {
            out.push(b'/');
        }
    }
}

impl Ord for Form<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let shared = self.name.len().min(other.name.len());
        let (mine, theirs) = (&self.name.as_bytes()[..shared], &other.name.as_bytes()[..shared]);
        // Names hold no `/`, so the byte behind the shared part decides.
        mine.cmp(theirs).then_with(|| self.byte_from(shared).cmp(&other.byte_from(shared)))
    }
}

impl PartialOrd for Form<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn forms_are_ordered_as_their_texts(a in "[a.0-]{1,4}/?", b in "[a.0-]{1,4}/?") {
            prop_assert_eq!(Form::parse(&a).cmp(&Form::parse(&b)), a.as_bytes().cmp(b.as_bytes()));
        }

        #[test]
        fn times_come_back(ns in -1_000_000_000_000_000_000i64..1_000_000_000_000_000_000) {
            prop_assert_eq!(Timestamp::from(SystemTime::from(Timestamp(ns))), Timestamp(ns));
        }
    }

    #[test]
    fn times_beyond_the_range_are_clamped() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(Timestamp::from(far), Timestamp(i64::MAX));
    }
}
