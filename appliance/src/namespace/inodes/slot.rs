//! [`Slot`]: one referenced node.

use ufs::Version;

use crate::namespace::entry::{Number, Timestamp};
use crate::namespace::packed::PackedVersion;
use crate::namespace::tree::PlaceIndex;

pub(super) struct Slot {
    pub(super) number: Number,
    pub(super) parent: Number,
    pub(super) size_bytes: u64,
    pub(super) modified: Timestamp,
    /// Lookups that the kernel has not forgotten.
    pub(super) references: u64,
    /// Slots that have this as their parent.
    pub(super) children: u64,
    pub(super) payload: Payload,
}

const _: () = assert!(size_of::<Option<Slot>>() == 64, "the memory per known file is a promise");

impl Slot {
    pub(super) fn is_unused(&self) -> bool {
        self.references == 0 && self.children == 0
    }
}

const FILE: u8 = 0;
const DIRECTORY: u8 = 1;
const NO_PLACE: u16 = u16::MAX;

/// The parts of variable length in one allocation. Of a file: kind, length of the packed version (2 bytes), the packed
/// version, the name. Of a directory: kind, its place in the mount's table (2 bytes), the name.
pub(super) struct Payload(Box<[u8]>);

impl Payload {
    pub(super) fn file(version: &PackedVersion, name: &str) -> Self {
        let version = version.as_bytes();
        // Versions have at most 255 bytes, so the packed ones have at most 256.
        let len = (version.len() as u16).to_le_bytes();
        Self([&[FILE], len.as_slice(), version, name.as_bytes()].concat().into())
    }

    pub(super) fn directory(place: Option<PlaceIndex>, name: &str) -> Self {
        let place = place.map_or(NO_PLACE, |place| place.0).to_le_bytes();
        Self([&[DIRECTORY], place.as_slice(), name.as_bytes()].concat().into())
    }

    pub(super) fn is_directory(&self) -> bool {
        self.0[0] == DIRECTORY
    }

    fn second_field(&self) -> u16 {
        u16::from_le_bytes([self.0[1], self.0[2]])
    }

    pub(super) fn place(&self) -> Option<PlaceIndex> {
        (self.is_directory() && self.second_field() != NO_PLACE).then(|| PlaceIndex(self.second_field()))
    }

    fn name_start(&self) -> usize {
        3 + if self.is_directory() { 0 } else { usize::from(self.second_field()) }
    }

    pub(super) fn name(&self) -> &str {
        std::str::from_utf8(&self.0[self.name_start()..]).expect("the bytes came from a str")
    }

    pub(super) fn version(&self) -> Option<Version> {
        if self.is_directory() {
            return None;
        }
        PackedVersion::from_bytes(&self.0[3..self.name_start()]).map(|version| version.unpack())
    }

    /// The allocation as glibc's malloc rounds it: 8 bytes of head, in steps of 16, at least 32.
    pub(super) fn memory_bytes(&self) -> usize {
        (self.0.len() + 8).next_multiple_of(16).max(32)
    }
}
