//! Finding or making the file.

use std::fs;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, ReadableTable};

use super::backend::{CountedMemory, Usage};
use super::tables;
use crate::namespace::error::DatabaseError;

/// Rises when any row changes its form in a way that old programs misread.
const FORMAT: u64 = 1;
const FILE_NAME: &str = "names.redb";
/// Page cache of a database in memory: it would only hold a second copy.
const MEMORY_CACHE_BYTES: usize = 1 << 20;

/// Opens the file of a cache directory; one that cannot be used is removed and made anew, once.
pub(super) fn in_directory(directory: &Path, cache_bytes: usize) -> Result<redb::Database, DatabaseError> {
    let path = directory.join(FILE_NAME);
    match try_open(&path, cache_bytes) {
        Err(error) if is_discardable(&error) => {
            tracing::warn!(path = %path.display(), %error, "the database of listings cannot be used; starting an empty one");
            remove(&path)?;
            try_open(&path, cache_bytes)
        }
        outcome => outcome,
    }
}

pub(super) fn in_memory(limit_bytes: u64) -> Result<(redb::Database, Usage), DatabaseError> {
    let usage = Usage::new(limit_bytes);
    let mut builder = Builder::new();
    builder.set_cache_size(MEMORY_CACHE_BYTES);
    let redb = builder.create_with_backend(CountedMemory::new(usage.clone())).map_err(redb::Error::from)?;
    prepare(&redb)?;
    Ok((redb, usage))
}

fn try_open(path: &PathBuf, cache_bytes: usize) -> Result<redb::Database, DatabaseError> {
    // A file that was changed from outside may make redb panic.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let redb = Builder::new().set_cache_size(cache_bytes).create(path).map_err(redb::Error::from)?;
        prepare(&redb)?;
        Ok(redb)
    }));
    opened.unwrap_or(Err(DatabaseError::Panicked))
}

/// Makes all tables, and checks that they are ours.
fn prepare(redb: &redb::Database) -> Result<(), DatabaseError> {
    let mut transaction = redb.begin_write().map_err(redb::Error::from)?;
    transaction.set_quick_repair(true);
    {
        let mut meta = transaction.open_table(tables::META).map_err(redb::Error::from)?;
        let format = meta.get("format").map_err(redb::Error::from)?.map(|row| row.value());
        if format.is_some_and(|format| format != FORMAT) {
            return Err(DatabaseError::Damaged { what: "its format is of another version" });
        }
        meta.insert("format", FORMAT).map_err(redb::Error::from)?;
        transaction.open_table(tables::PLACES).map_err(redb::Error::from)?;
        transaction.open_table(tables::RECORDS).map_err(redb::Error::from)?;
        transaction.open_table(tables::BLOCKS).map_err(redb::Error::from)?;
        transaction.open_table(tables::OVERRIDES).map_err(redb::Error::from)?;
        transaction.open_table(tables::GARBAGE).map_err(redb::Error::from)?;
        transaction.open_table(tables::HIDDEN).map_err(redb::Error::from)?;
    }
    Ok(transaction.commit().map_err(redb::Error::from)?)
}

/// Whether an empty file would help: not when the file is in use or the directory refuses.
fn is_discardable(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Damaged { .. } | DatabaseError::Panicked => true,
        DatabaseError::Redb(redb::Error::DatabaseAlreadyOpen) => false,
        DatabaseError::Redb(redb::Error::Io(error)) => {
            matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
        }
        DatabaseError::Redb(_) => true,
        DatabaseError::File { .. }
        | DatabaseError::Replaced { .. }
        | DatabaseError::OutOfMemory { .. }
        | DatabaseError::Closed
        | DatabaseError::Thread(_) => false,
    }
}

fn remove(path: &Path) -> Result<(), DatabaseError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(|source| DatabaseError::File { path: path.to_owned(), source })
}
