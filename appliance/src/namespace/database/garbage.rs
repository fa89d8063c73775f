//! Removing what was replaced, some rows at a time.

use redb::ReadableTable;

use super::pins::Pins;
use super::tables;
use super::writer::WriteTables;
use crate::namespace::block::Block;
use crate::namespace::entry::Number;
use crate::namespace::error::DatabaseError;
use crate::namespace::record::{ListingId, Record};

/// Rows that one step removes at most: about a millisecond of work.
const ROWS_PER_STEP: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing can be removed now.
    Done,
    /// Something was removed, and there may be more.
    More,
}

pub(super) fn listing_key(listing: ListingId) -> Vec<u8> {
    [&[0], listing.0.to_be_bytes().as_slice()].concat()
}

pub(super) fn directory_key(directory: Number) -> Vec<u8> {
    [&[1], directory.0.to_be_bytes().as_slice()].concat()
}

enum Item {
    Listing(ListingId),
    Directory(Number),
}

/// Removes some rows of the first item that nobody uses.
pub(super) fn step(tables: &mut WriteTables<'_>, pins: &Pins) -> Result<Progress, DatabaseError> {
    let Some((key, item, root)) = first_unused(tables, pins)? else { return Ok(Progress::Done) };
    let is_gone = match item {
        Item::Listing(listing) => remove_blocks(tables, listing)?,
        Item::Directory(directory) => remove_directory(tables, directory, root)?,
    };
    if is_gone {
        tables.garbage.remove(key.as_slice()).map_err(redb::Error::from)?;
    }
    Ok(Progress::More)
}

fn first_unused(
    tables: &WriteTables<'_>,
    pins: &Pins,
) -> Result<Option<(Vec<u8>, Item, Number)>, DatabaseError> {
    for row in tables.garbage.iter().map_err(redb::Error::from)? {
        let (key, root) = row.map_err(redb::Error::from)?;
        let item = item_of(key.value())?;
        let listing = match item {
            Item::Listing(listing) => Some(listing),
            Item::Directory(directory) => record(tables, directory)?.map(|record| record.listing),
        };
        if !listing.is_some_and(|listing| pins.is_pinned(listing)) {
            return Ok(Some((key.value().to_vec(), item, Number(root.value()))));
        }
    }
    Ok(None)
}

fn item_of(key: &[u8]) -> Result<Item, DatabaseError> {
    const FOREIGN: DatabaseError = DatabaseError::Damaged { what: "a garbage key is foreign" };
    let (kind, number) = key.split_first().ok_or(FOREIGN)?;
    let number = u64::from_be_bytes(number.try_into().map_err(|_| FOREIGN)?);
    match kind {
        0 => Ok(Item::Listing(ListingId(number))),
        1 => Ok(Item::Directory(Number(number))),
        _ => Err(FOREIGN),
    }
}

fn record(tables: &WriteTables<'_>, directory: Number) -> Result<Option<Record>, DatabaseError> {
    let row = tables.records.get(directory.0).map_err(redb::Error::from)?;
    row.map(|row| Record::from_row(row.value())).transpose()
}

/// Removes blocks of a listing; true when none is left.
fn remove_blocks(tables: &mut WriteTables<'_>, listing: ListingId) -> Result<bool, DatabaseError> {
    let (start, end) = tables::keys_of(listing.0);
    let range = start.as_slice()..end.as_slice();
    let removed =
        tables.blocks.extract_from_if(range, |_, _| true).map_err(redb::Error::from)?.take(ROWS_PER_STEP);
    let mut count = 0;
    for row in removed {
        row.map_err(redb::Error::from)?;
        count += 1;
    }
    Ok(count < ROWS_PER_STEP)
}

/// Removes a directory's rows, and makes garbage of the directories in it.
fn remove_directory(
    tables: &mut WriteTables<'_>,
    directory: Number,
    root: Number,
) -> Result<bool, DatabaseError> {
    let Some(record) = record(tables, directory)? else { return remove_overrides(tables, directory) };
    let (start, end) = tables::keys_of(record.listing.0);
    let mut children = Vec::new();
    let mut keys = Vec::new();
    for row in tables
        .blocks
        .range(start.as_slice()..end.as_slice())
        .map_err(redb::Error::from)?
        .take(ROWS_PER_STEP / 8)
    {
        let (key, row) = row.map_err(redb::Error::from)?;
        let entries = Block::open(row.value())?.into_entries()?;
        children.extend(entries.iter().filter(|entry| entry.is_directory()).map(|entry| entry.number));
        keys.push(key.value().to_vec());
    }
    for child in children {
        tables.garbage.insert(directory_key(child).as_slice(), root.0).map_err(redb::Error::from)?;
    }
    for key in &keys {
        tables.blocks.remove(key.as_slice()).map_err(redb::Error::from)?;
    }
    if keys.is_empty() {
        tables.records.remove(directory.0).map_err(redb::Error::from)?;
        tables.count_hidden(root, record.hidden, 0)?;
    }
    Ok(false)
}

fn remove_overrides(tables: &mut WriteTables<'_>, directory: Number) -> Result<bool, DatabaseError> {
    let (start, end) = tables::keys_of(directory.0);
    let range = start.as_slice()..end.as_slice();
    let removed = tables.overrides.extract_from_if(range, |_, _| true).map_err(redb::Error::from)?;
    let mut count = 0;
    for row in removed.take(ROWS_PER_STEP) {
        row.map_err(redb::Error::from)?;
        count += 1;
    }
    Ok(count < ROWS_PER_STEP)
}
