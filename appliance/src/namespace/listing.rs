//! Reading what the database has of a directory.

use std::collections::{HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::database::{Database, Pin, Tables};
use super::entry::{Entry, Form, Number};
use super::error::DatabaseError;
use super::record::{ListingId, Override, Record, WallMs};

/// What is known of a name, and since when; not whether that is still believed.
#[derive(Clone, Debug)]
pub(super) struct KnownName {
    pub(super) entry: Option<Entry>,
    pub(super) since: WallMs,
}

/// What is known of a name: from an override, or from the directory's listing if that is newer.
pub(super) fn known_name(
    tables: &Tables,
    directory: Number,
    name: &str,
) -> Result<Option<KnownName>, DatabaseError> {
    let record = tables.record(directory)?;
    let newer = tables.override_of(directory, name)?;
    if let Some(row) = newer.filter(|row| is_newer(row, record)) {
        return Ok(Some(KnownName { entry: row.entry, since: row.asked_at }));
    }
    let Some(record) = record else { return Ok(None) };
    Ok(Some(KnownName { entry: tables.find(record.listing, name)?, since: record.listed_at }))
}

fn is_newer(row: &Override, than: Option<Record>) -> bool {
    than.is_none_or(|record| row.stamp > record.listing)
}

/// A directory's listing, kept from removal.
pub(super) fn pinned(
    database: &Arc<Database>,
    directory: Number,
) -> Result<Option<(Record, Pin)>, DatabaseError> {
    loop {
        let Some(record) = database.read(|tables| tables.record(directory))? else { return Ok(None) };
        let pin = database.pin(record.listing);
        // If it is still the directory's listing, whoever replaces it from now on sees the pin.
        let again = database.read(|tables| tables.record(directory))?;
        if again.is_some_and(|again| again.listing == record.listing) {
            return Ok(Some((record, pin)));
        }
    }
}

/// Overrides of a directory that are newer than a listing of it.
pub(super) enum Overrides {
    /// All of them, most often none.
    Few(HashMap<Box<str>, Override>),
    /// Each is looked for when its name comes by.
    Many(Arc<Database>, Number, Option<ListingId>),
}

/// Overrides that are held in memory for a directory.
const FEW_MAX: usize = 1024;

impl Overrides {
    pub(super) fn load(
        database: &Arc<Database>,
        directory: Number,
        newer_than: Option<ListingId>,
    ) -> Result<Self, DatabaseError> {
        let rows = database.read(|tables| tables.overrides(directory, FEW_MAX))?;
        if rows.len() == FEW_MAX {
            return Ok(Self::Many(database.clone(), directory, newer_than));
        }
        let newer = rows.into_iter().filter(|(_, row)| newer_than.is_none_or(|listing| row.stamp > listing));
        Ok(Self::Few(newer.collect()))
    }

    /// The newer answer about a name.
    pub(super) fn get(&self, name: &str) -> Result<Option<Override>, DatabaseError> {
        match self {
            Self::Few(rows) => Ok(rows.get(name).cloned()),
            Self::Many(database, directory, newer_than) => {
                let row = database.read(|tables| tables.override_of(*directory, name))?;
                Ok(row.filter(|row| newer_than.is_none_or(|listing| row.stamp > listing)))
            }
        }
    }
}

/// Walks a listing in order, block by block.
pub(super) struct Cursor {
    database: Arc<Database>,
    pin: Pin,
    buffer: VecDeque<Entry>,
    next: Option<Bound<Vec<u8>>>,
    /// Names from this form on are not given.
    end: Option<String>,
}

impl Cursor {
    /// A cursor over the names whose forms are in `start..end`.
    pub(super) fn new(
        database: &Arc<Database>,
        pin: Pin,
        start: Option<&str>,
        end: Option<&str>,
    ) -> Result<Self, DatabaseError> {
        let mut cursor = Self {
            database: database.clone(),
            pin,
            buffer: VecDeque::new(),
            next: Some(Bound::Unbounded),
            end: end.map(str::to_owned),
        };
        if let Some(start) = start {
            cursor.seek(start)?;
        }
        Ok(cursor)
    }

    fn seek(&mut self, start: &str) -> Result<(), DatabaseError> {
        let listing = self.pin.listing();
        let holding = self.database.read(|tables| tables.block_holding(listing, start.as_bytes()))?;
        if let Some(form) = holding {
            self.next = Some(Bound::Included(form));
        }
        self.fill()?;
        while self.buffer.front().is_some_and(|entry| entry.form() < Form::parse(start)) {
            self.buffer.pop_front();
        }
        Ok(())
    }

    /// The next name, without going on to the one behind it.
    pub(super) fn peek(&mut self) -> Result<Option<&Entry>, DatabaseError> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        let end = self.end.as_deref().map(Form::parse);
        Ok(self.buffer.front().filter(|entry| end.is_none_or(|end| entry.form() < end)))
    }

    pub(super) fn next(&mut self) -> Result<Option<Entry>, DatabaseError> {
        Ok(match self.peek()?.is_some() {
            true => self.buffer.pop_front(),
            false => None,
        })
    }

    fn fill(&mut self) -> Result<(), DatabaseError> {
        let Some(from) = self.next.take() else { return Ok(()) };
        let listing = self.pin.listing();
        let from = from.as_ref().map(Vec::as_slice);
        if let Some(block) = self.database.read(|tables| tables.block(listing, from))? {
            self.next = Some(Bound::Excluded(block.first_form));
            self.buffer.extend(block.entries);
        }
        Ok(())
    }
}
