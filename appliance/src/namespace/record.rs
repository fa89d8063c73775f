//! The rows beside the blocks: what is known of a directory's listing, and answers about single names that are newer.
//!
//! ```text
//! records:   key: u64 number of the directory
//!            u8 version = 1; numbers: listing, listed at, listed deep at (0: never), names, hidden names
//! overrides: key: u64 number of the directory, high byte first, then the name
//!            u8 version = 1; numbers: stamp, asked at; then nothing (there was nothing), or
//!            number: inode number; signed: time in ns; then nothing (a directory), or number: size, packed version
//! ```
//!
//! Times are milliseconds of wall time since 1970. A listing's number and an override's stamp come from one counter: an
//! override with a stamp above its directory's listing is newer than it.

use super::entry::{Entry, Kind, Number, Timestamp};
use super::error::DatabaseError;
use super::packed::PackedVersion;
use super::varint::{self, Reader};

const VERSION: u8 = 1;

/// Number of one import of one directory; the key of its blocks. Rises with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ListingId(pub u64);

/// Wall time: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WallMs(pub u64);

/// What is known of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) listing: ListingId,
    /// Start of the import, so that its answers are never younger than this.
    pub(super) listed_at: WallMs,
    /// Start of the last import of everything below as well.
    pub(super) listed_deep_at: Option<WallMs>,
    pub(super) names: u64,
    pub(super) hidden: u64,
}

impl Record {
    pub(super) fn to_row(self) -> Vec<u8> {
        let mut row = vec![VERSION];
        let deep = self.listed_deep_at.unwrap_or_default();
        for field in [self.listing.0, self.listed_at.0, deep.0, self.names, self.hidden] {
            varint::put(&mut row, field);
        }
        row
    }

    pub(super) fn from_row(row: &[u8]) -> Result<Self, DatabaseError> {
        let mut reader = open(row)?;
        let (listing, listed_at) = (ListingId(reader.number()?), WallMs(reader.number()?));
        let deep = WallMs(reader.number()?);
        let listed_deep_at = (deep != WallMs::default()).then_some(deep);
        Ok(Self { listing, listed_at, listed_deep_at, names: reader.number()?, hidden: reader.number()? })
    }
}

/// An answer about one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Override {
    pub(super) stamp: ListingId,
    pub(super) asked_at: WallMs,
    /// `None`: nothing had this name.
    pub(super) entry: Option<Entry>,
}

impl Override {
    pub(super) fn to_row(&self) -> Vec<u8> {
        let mut row = vec![VERSION];
        varint::put(&mut row, self.stamp.0);
        varint::put(&mut row, self.asked_at.0);
        let Some(entry) = &self.entry else { return row };
        varint::put(&mut row, entry.number.0);
        varint::put_signed(&mut row, entry.modified.0);
        if let Kind::File { size_bytes, version } = &entry.kind {
            varint::put(&mut row, *size_bytes);
            row.extend_from_slice(version.as_bytes());
        }
        row
    }

    pub(super) fn from_row(name: &str, row: &[u8]) -> Result<Self, DatabaseError> {
        let mut reader = open(row)?;
        let (stamp, asked_at) = (ListingId(reader.number()?), WallMs(reader.number()?));
        if reader.rest().is_empty() {
            return Ok(Self { stamp, asked_at, entry: None });
        }
        let (number, modified) = (Number(reader.number()?), Timestamp(reader.signed()?));
        let kind = if reader.rest().is_empty() {
            Kind::Directory
        } else {
            let size_bytes = reader.number()?;
            let version = PackedVersion::from_bytes(reader.rest())
                .ok_or(DatabaseError::Damaged { what: "an override has no version" })?;
            Kind::File { size_bytes, version }
        };
        Ok(Self { stamp, asked_at, entry: Some(Entry { name: name.into(), number, modified, kind }) })
    }
}

fn open(row: &[u8]) -> Result<Reader<'_>, DatabaseError> {
    let mut reader = Reader::new(row);
    if reader.byte()? != VERSION {
        return Err(DatabaseError::Damaged { what: "a row has a foreign version" });
    }
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use ufs::Version;

    use super::*;

    #[test]
    fn records_come_back() {
        for listed_deep_at in [None, Some(WallMs(7))] {
            let record = Record {
                listing: ListingId(300),
                listed_at: WallMs(1 << 41),
                listed_deep_at,
                names: 1,
                hidden: 0,
            };
            assert_eq!(Record::from_row(&record.to_row()).expect("written above"), record);
        }
    }

    #[test]
    fn overrides_come_back() {
        let version = PackedVersion::new(&Version::new(""));
        let file = Entry {
            name: "n".into(),
            number: Number(5),
            modified: Timestamp(-3),
            kind: Kind::File { size_bytes: 0, version },
        };
        for entry in [None, Some(file), Some(Entry::directory("n", Number(6), Timestamp(1)))] {
            let row = Override { stamp: ListingId(1), asked_at: WallMs(2), entry };
            assert_eq!(Override::from_row("n", &row.to_row()).expect("written above"), row);
        }
    }

    #[test]
    fn foreign_rows_are_damage() {
        for row in [&[][..], &[2, 1, 1, 1, 1, 1], &[1, 1]] {
            assert!(Record::from_row(row).is_err());
            assert!(Override::from_row("n", row).is_err());
        }
    }
}
