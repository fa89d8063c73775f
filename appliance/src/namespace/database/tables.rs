//! The tables, and what is read from them.
//!
//! | table     | key                                          | row                                              |
//! |-----------|----------------------------------------------|--------------------------------------------------|
//! | meta      | name                                         | `format`, and the limits of the counters          |
//! | places    | mount, tree (16 bytes each), path            | number of the mount's root or of a branch point    |
//! | records   | directory                                    | see `record`                                       |
//! | blocks    | listing (8 bytes, high first), first form    | see `block`                                        |
//! | overrides | directory (8 bytes, high first), name        | see `record`                                       |
//! | garbage   | 0, listing or 1, directory (8 bytes)         | root of the mount                                  |
//! | hidden    | root of the mount                            | names in its listings that cannot be shown         |

use std::ops::Bound;

use redb::{ReadOnlyTable, ReadTransaction, TableDefinition};

use crate::namespace::block::Block;
use crate::namespace::entry::{Entry, Form, Number};
use crate::namespace::error::DatabaseError;
use crate::namespace::record::{ListingId, Override, Record};

pub(super) type Bytes = &'static [u8];

pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(super) const PLACES: TableDefinition<Bytes, u64> = TableDefinition::new("places");
pub(super) const RECORDS: TableDefinition<u64, Bytes> = TableDefinition::new("records");
pub(super) const BLOCKS: TableDefinition<Bytes, Bytes> = TableDefinition::new("blocks");
pub(super) const OVERRIDES: TableDefinition<Bytes, Bytes> = TableDefinition::new("overrides");
pub(super) const GARBAGE: TableDefinition<Bytes, u64> = TableDefinition::new("garbage");
pub(super) const HIDDEN: TableDefinition<u64, u64> = TableDefinition::new("hidden");

/// The key of a block: its listing, and the form of its first name (or, to look for one, of any name).
pub(in crate::namespace) fn block_key(listing: ListingId, form: &[u8]) -> Vec<u8> {
    [&listing.0.to_be_bytes(), form].concat()
}

pub(super) fn override_key(directory: Number, name: &str) -> Vec<u8> {
    [&directory.0.to_be_bytes(), name.as_bytes()].concat()
}

/// All keys that begin with a number.
pub(super) fn keys_of(number: u64) -> (Vec<u8>, Vec<u8>) {
    (number.to_be_bytes().to_vec(), (number + 1).to_be_bytes().to_vec())
}

/// A consistent state of all tables.
pub(in crate::namespace) struct Tables {
    places: ReadOnlyTable<Bytes, u64>,
    records: ReadOnlyTable<u64, Bytes>,
    blocks: ReadOnlyTable<Bytes, Bytes>,
    overrides: ReadOnlyTable<Bytes, Bytes>,
    hidden: ReadOnlyTable<u64, u64>,
}

/// A block as it is read: its key behind the listing's number, and its names.
pub(in crate::namespace) struct BlockRow {
    pub(in crate::namespace) first_form: Vec<u8>,
    pub(in crate::namespace) ordinal: u32,
    pub(in crate::namespace) entries: Vec<Entry>,
}

impl Tables {
    pub(super) fn open(transaction: &ReadTransaction) -> Result<Self, DatabaseError> {
        let error = redb::Error::from;
        Ok(Self {
            places: transaction.open_table(PLACES).map_err(error)?,
            records: transaction.open_table(RECORDS).map_err(error)?,
            blocks: transaction.open_table(BLOCKS).map_err(error)?,
            overrides: transaction.open_table(OVERRIDES).map_err(error)?,
            hidden: transaction.open_table(HIDDEN).map_err(error)?,
        })
    }

    pub(in crate::namespace) fn record(&self, directory: Number) -> Result<Option<Record>, DatabaseError> {
        let row = self.records.get(directory.0).map_err(redb::Error::from)?;
        row.map(|row| Record::from_row(row.value())).transpose()
    }

    pub(in crate::namespace) fn override_of(
        &self,
        directory: Number,
        name: &str,
    ) -> Result<Option<Override>, DatabaseError> {
        let row = self.overrides.get(override_key(directory, name).as_slice()).map_err(redb::Error::from)?;
        row.map(|row| Override::from_row(name, row.value())).transpose()
    }

    /// The overrides of a directory, at most `limit`.
    pub(in crate::namespace) fn overrides(
        &self,
        directory: Number,
        limit: usize,
    ) -> Result<Vec<(Box<str>, Override)>, DatabaseError> {
        let (start, end) = keys_of(directory.0);
        let rows = self.overrides.range(start.as_slice()..end.as_slice()).map_err(redb::Error::from)?;
        rows.take(limit)
            .map(|row| {
                let (key, row) = row.map_err(redb::Error::from)?;
                let name = std::str::from_utf8(&key.value()[8..])
                    .map_err(|_| DatabaseError::Damaged { what: "an override's name is not UTF-8" })?;
                Ok((name.into(), Override::from_row(name, row.value())?))
            })
            .collect()
    }

    /// What a listing has under a name; the directory where there is a file too.
    pub(in crate::namespace) fn find(
        &self,
        listing: ListingId,
        name: &str,
    ) -> Result<Option<Entry>, DatabaseError> {
        for is_directory in [true, false] {
            let mut form = Vec::with_capacity(name.len() + 1);
            Form { name, is_directory }.push_to(&mut form);
            let (start, end) = (block_key(listing, b""), block_key(listing, &form));
            let mut rows = self.blocks.range(start.as_slice()..=end.as_slice()).map_err(redb::Error::from)?;
            let Some(row) = rows.next_back() else { continue };
            let (key, row) = row.map_err(redb::Error::from)?;
            let mut found = Block::open(row.value())?.find(name)?;
            let holds_both = key.value()[8..] <= *name.as_bytes();
            // A file comes before its directory.
            match found.pop() {
                Some(entry) => return Ok(Some(entry)),
                None if holds_both => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }

    /// The first block of a listing whose first form is at or behind `from`.
    pub(in crate::namespace) fn block(
        &self,
        listing: ListingId,
        from: Bound<&[u8]>,
    ) -> Result<Option<BlockRow>, DatabaseError> {
        let start = match from {
            Bound::Included(form) => Bound::Included(block_key(listing, form)),
            Bound::Excluded(form) => Bound::Excluded(block_key(listing, form)),
            Bound::Unbounded => Bound::Included(block_key(listing, b"")),
        };
        let end = Bound::Excluded(keys_of(listing.0).1);
        let range = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        let Some(row) = self.blocks.range::<&[u8]>(range).map_err(redb::Error::from)?.next() else {
            return Ok(None);
        };
        let (key, row) = row.map_err(redb::Error::from)?;
        let block = Block::open(row.value())?;
        let (first_form, ordinal) = (key.value()[8..].to_vec(), block.ordinal());
        Ok(Some(BlockRow { first_form, ordinal, entries: block.into_entries()? }))
    }

    /// The last block of a listing whose first form is at or before `form`.
    pub(in crate::namespace) fn block_holding(
        &self,
        listing: ListingId,
        form: &[u8],
    ) -> Result<Option<Vec<u8>>, DatabaseError> {
        let (start, end) = (block_key(listing, b""), block_key(listing, form));
        let mut rows = self.blocks.range(start.as_slice()..=end.as_slice()).map_err(redb::Error::from)?;
        let key = rows.next_back().transpose().map_err(redb::Error::from)?;
        Ok(key.map(|(key, _)| key.value()[8..].to_vec()))
    }

    /// Places of a mount under any of its trees: the tree's 16 bytes, the path, the number.
    pub(in crate::namespace) fn places(&self, mount: u128) -> Result<Vec<(Vec<u8>, u64)>, DatabaseError> {
        let start = mount.to_be_bytes();
        let rows = self.places.range(start.as_slice()..).map_err(redb::Error::from)?;
        let mut places = Vec::new();
        for row in rows {
            let (key, number) = row.map_err(redb::Error::from)?;
            let Some(rest) = key.value().strip_prefix(&start) else { break };
            places.push((rest.to_vec(), number.value()));
        }
        Ok(places)
    }

    pub(in crate::namespace) fn hidden(&self, root: Number) -> Result<u64, DatabaseError> {
        let row = self.hidden.get(root.0).map_err(redb::Error::from)?;
        Ok(row.map_or(0, |row| row.value()))
    }
}
