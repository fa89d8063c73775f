//! [`Listing`]: directory entries as the kernel reads them.
//!
//! Each record is a `fuse_dirent`, in a listing with attributes after a `fuse_entry_out`, followed by the name and
//! padded to 8 bytes (`FUSE_DIRENT_ALIGN` of linux/fuse.h).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use zerocopy::{FromBytes, IntoBytes};

use super::{Added, DirRecord};
use crate::sys::abi::{fuse_dirent, fuse_entry_out};
use crate::sys::encode;
use crate::types::DirOffset;

/// Longest name the kernel takes (`FUSE_NAME_MAX` of older kernels).
const NAME_BYTES_MAX: usize = 1024;

/// Entries packed for one answer.
#[derive(Debug)]
pub struct Listing {
    bytes: Vec<u8>,
    size_bytes: usize,
    plus: bool,
}

/// One entry of a [`Listing`], read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Inode number.
    pub ino: u64,
    /// Position after the entry.
    pub next: DirOffset,
    /// `DT_*` of the kind.
    pub kind: u32,
    /// The name.
    pub name: &'a OsStr,
}

impl Listing {
    pub(super) fn new(size_bytes: usize, plus: bool) -> Listing {
        Listing { bytes: Vec::new(), size_bytes, plus }
    }

    /// Whether records carry attributes.
    pub fn is_plus(&self) -> bool {
        self.plus
    }

    /// The records as the kernel reads them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The records read back, for transports that have an encoding of their own.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut rest = self.bytes.as_slice();
        let plus = self.plus;
        std::iter::from_fn(move || {
            if plus {
                rest = rest.get(size_of::<fuse_entry_out>()..)?;
            }
            let (dirent, tail) = fuse_dirent::read_from_prefix(rest).ok()?;
            let name = tail.get(..dirent.namelen as usize)?;
            rest = tail.get(padded(name.len())..)?;
            let next = DirOffset(dirent.off);
            Some(Record { ino: dirent.ino, next, kind: dirent.type_, name: OsStr::from_bytes(name) })
        })
    }

    pub(super) fn add(&mut self, record: &DirRecord<'_>) -> Added {
        let name = record.name.as_bytes();
        debug_assert!(!name.is_empty() && name.len() <= NAME_BYTES_MAX, "a name has 1 to 1024 bytes");
        let head = if self.plus { size_of::<fuse_entry_out>() } else { 0 };
        let length = head + size_of::<fuse_dirent>() + padded(name.len());
        if self.bytes.len() + length > self.size_bytes {
            return Added::Full;
        }
        if self.bytes.is_empty() {
            self.bytes.reserve_exact(self.size_bytes);
        }
        let mut added = Added::Name;
        if self.plus {
            let entry = record.entry.filter(|entry| !entry.is_negative());
            let message = entry.map_or_else(fuse_entry_out::default, encode::entry);
            self.bytes.extend_from_slice(message.as_bytes());
            added = if entry.is_some() { Added::Reference } else { Added::Name };
        }
        let dirent = fuse_dirent {
            ino: record.ino,
            off: record.next.0,
            namelen: name.len() as u32,
            type_: record.kind.mode_bits() >> 12,
        };
        self.bytes.extend_from_slice(dirent.as_bytes());
        self.bytes.extend_from_slice(name);
        self.bytes.resize(self.bytes.len() + padded(name.len()) - name.len(), 0);
        added
    }
}

/// Length of a name with its padding. The head of a record is a multiple of 8, so padding the name pads the record.
const fn padded(length: usize) -> usize {
    length.next_multiple_of(size_of::<u64>())
}

const _: () =
    assert!(size_of::<fuse_dirent>().is_multiple_of(8) && size_of::<fuse_entry_out>().is_multiple_of(8));
