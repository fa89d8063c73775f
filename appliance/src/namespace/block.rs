//! Blocks: up to [`ENTRIES_MAX`] names of one directory in one row of the database.
//!
//! One row per name would cost a million B-tree insertions and about 100 bytes each for a million keys; packed, the same
//! listing takes some 4,000 rows of about 35 bytes a name. Format, version 1 (numbers as in `varint`):
//!
//! ```text
//! u8   version = 1
//! u32  low half of the XXH3-64 of all that follows, low byte first
//! u32  ordinal: place among the directory's blocks, ascending; low byte first
//! u16  number of entries, low byte first
//! then for each entry, in ascending order of its form (`name`, or `name/` of a directory):
//!   u8      flags: 1 directory, 2 has nanoseconds
//!   u8      bytes shared with the name before, u8 bytes that follow, those bytes
//!   signed  inode number minus the one before minus 1
//!   signed  second of the time minus the one before; number: nanoseconds, if flag 2
//!   of a file: number: size in bytes; number: length of the packed version, the packed version
//! ```
//!
//! The first entry is written as if the one before had an empty name, number 0 and time 0. Key and hash come first so
//! that a foreign or torn row is seen before anything of it is believed.

use xxhash_rust::xxh3::xxh3_64;

use super::entry::{Entry, Kind, Number, Timestamp};
use super::error::DatabaseError;
use super::packed::PackedVersion;
use super::varint::{self, Reader};

/// Most names in one block. Finding a name decodes half a block on average: about 5 us at this size.
pub(super) const ENTRIES_MAX: usize = 256;
/// A block is closed at this size. redb gives a row that is larger than a 4 KiB page a power of two of pages, so a
/// little below 8 KiB wastes least.
const FILL_BYTES: usize = 7_600;
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 11;
const FLAG_DIRECTORY: u8 = 1;
const FLAG_NANOSECONDS: u8 = 2;

/// Writes a block.
#[derive(Default)]
pub(super) struct BlockBuilder {
    body: Vec<u8>,
    count: u16,
    first_form: Vec<u8>,
    state: Delta,
}

/// What the next entry is written relative to.
#[derive(Default)]
struct Delta {
    name: Vec<u8>,
    number: u64,
    second: i64,
}

impl BlockBuilder {
    /// Appends a name that is behind all others in the block.
    pub(super) fn push(&mut self, entry: &Entry) {
        if self.count == 0 {
            entry.form().push_to(&mut self.first_form);
        }
        put_entry(&mut self.body, &mut self.state, entry);
        self.count += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_full(&self) -> bool {
        usize::from(self.count) == ENTRIES_MAX || self.body.len() >= FILL_BYTES
    }

    /// The form of the first name and the row; the builder is empty again.
    pub(super) fn finish(&mut self, ordinal: u32) -> (Vec<u8>, Vec<u8>) {
        let this = std::mem::take(self);
        let mut row = Vec::with_capacity(HEAD_BYTES + this.body.len());
        row.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
        row.extend_from_slice(&ordinal.to_le_bytes());
        row.extend_from_slice(&this.count.to_le_bytes());
        row.extend_from_slice(&this.body);
        let hash = (xxh3_64(&row[5..]) as u32).to_le_bytes();
        row[1..5].copy_from_slice(&hash);
        (this.first_form, row)
    }
}

fn put_entry(out: &mut Vec<u8>, before: &mut Delta, entry: &Entry) {
    let name = entry.name.as_bytes();
    let shared = before.name.iter().zip(name).take_while(|(a, b)| a == b).count();
    let (second, ns) =
        (entry.modified.second(), entry.modified.0.rem_euclid(Timestamp::NANOSECONDS_PER_SECOND));
    let directory = if entry.is_directory() { FLAG_DIRECTORY } else { 0 };
    out.push(directory | if ns > 0 { FLAG_NANOSECONDS } else { 0 });
    // Names have at most 255 bytes: `names` hides longer ones.
    out.push(shared as u8);
    out.push((name.len() - shared) as u8);
    out.extend_from_slice(&name[shared..]);
    varint::put_signed(out, entry.number.0.wrapping_sub(before.number).wrapping_sub(1) as i64);
    varint::put_signed(out, second.wrapping_sub(before.second));
    if ns > 0 {
        varint::put(out, ns as u64);
    }
    if let Kind::File { size_bytes, version } = &entry.kind {
        varint::put(out, *size_bytes);
        varint::put(out, version.as_bytes().len() as u64);
        out.extend_from_slice(version.as_bytes());
    }
    before.name.truncate(shared);
    before.name.extend_from_slice(&name[shared..]);
    (before.number, before.second) = (entry.number.0, second);
}

/// Reads a block.
pub(super) struct Block<'a> {
    reader: Reader<'a>,
    remaining: u16,
    ordinal: u32,
    state: Delta,
}

impl<'a> Block<'a> {
    /// Checks version and hash of a row.
    pub(super) fn open(row: &'a [u8]) -> Result<Self, DatabaseError> {
        let mut reader = Reader::new(row);
        if reader.byte()? != VERSION {
            return Err(DatabaseError::Damaged { what: "a block has a foreign version" });
        }
        let hash = u32::from_le_bytes(reader.array()?);
        if hash != xxh3_64(reader.rest()) as u32 {
            return Err(DatabaseError::Damaged { what: "a block does not match its hash" });
        }
        let ordinal = u32::from_le_bytes(reader.array()?);
        let remaining = u16::from_le_bytes(reader.array()?);
        Ok(Self { reader, remaining, ordinal, state: Delta::default() })
    }

    pub(super) fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// All entries from here on.
    pub(super) fn into_entries(mut self) -> Result<Vec<Entry>, DatabaseError> {
        let mut entries = Vec::with_capacity(usize::from(self.remaining).min(ENTRIES_MAX));
        while let Some(entry) = self.next_matching(|_| true)? {
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The entries of a name: as a file and as a directory. Either, both or none may be in this block.
    pub(super) fn find(mut self, name: &str) -> Result<Vec<Entry>, DatabaseError> {
        let mut found = Vec::new();
        while let Some(entry) = self.next_matching(|candidate| candidate == name.as_bytes())? {
            found.push(entry);
        }
        Ok(found)
    }

    /// The next entry whose name is wanted; the names of others are not turned into strings.
    fn next_matching(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Result<Option<Entry>, DatabaseError> {
        while self.remaining > 0 {
            self.remaining -= 1;
            let fields = self.read_fields()?;
            if wanted(&self.state.name) {
                return Ok(Some(self.entry(fields)?));
            }
        }
        Ok(None)
    }

    fn read_fields(&mut self) -> Result<Fields<'a>, DatabaseError> {
        let flags = self.reader.byte()?;
        let shared = usize::from(self.reader.byte()?);
        let suffix_len = usize::from(self.reader.byte()?);
        if shared > self.state.name.len() {
            return Err(DatabaseError::Damaged { what: "a name shares more than there is" });
        }
        self.state.name.truncate(shared);
        self.state.name.extend_from_slice(self.reader.bytes(suffix_len)?);
        self.state.number = self.state.number.wrapping_add(self.reader.signed()? as u64).wrapping_add(1);
        self.state.second = self.state.second.wrapping_add(self.reader.signed()?);
        let ns = if flags & FLAG_NANOSECONDS != 0 { self.reader.number()? } else { 0 };
        let modified = self.state.second.saturating_mul(Timestamp::NANOSECONDS_PER_SECOND);
        let file = if flags & FLAG_DIRECTORY == 0 {
            let size_bytes = self.reader.number()?;
            let len = usize::try_from(self.reader.number()?).unwrap_or(usize::MAX);
            Some((size_bytes, self.reader.bytes(len)?))
        } else {
            None
        };
        Ok(Fields { modified: Timestamp(modified.saturating_add_unsigned(ns)), file })
    }

    fn entry(&self, fields: Fields<'_>) -> Result<Entry, DatabaseError> {
        let name = std::str::from_utf8(&self.state.name)
            .map_err(|_| DatabaseError::Damaged { what: "a name is not UTF-8" })?;
        let kind = match fields.file {
            None => Kind::Directory,
            Some((size_bytes, version)) => {
                let version = PackedVersion::from_bytes(version)
                    .ok_or(DatabaseError::Damaged { what: "a version is not packed as it must be" })?;
                Kind::File { size_bytes, version }
            }
        };
        Ok(Entry { name: name.into(), number: Number(self.state.number), modified: fields.modified, kind })
    }
}

struct Fields<'a> {
    modified: Timestamp,
    file: Option<(u64, &'a [u8])>,
}

#[cfg(test)]
mod tests;
