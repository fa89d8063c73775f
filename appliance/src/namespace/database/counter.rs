//! [`Counter`]: numbers that are never given twice, also over restarts and crashes.
//!
//! The row holds a limit that is on disk before any number below it is given; a restart goes on at the limit. A new file
//! begins at the wall time, so that numbers stay unique when a damaged file was thrown away.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use redb::ReadableTable;
use tokio::sync::Mutex;

use super::{Database, Op, tables};
use crate::namespace::error::DatabaseError;

/// Numbers that one durable write makes room for: a million names are imported with one wait for the disk.
const STEP: u64 = 1 << 20;
/// A new file begins at the seconds since 1970 times this: no mount gives more numbers a second, and 2^51 is reached now,
/// so numbers stay below 2^53 for a century.
const NUMBERS_PER_SECOND: u64 = 1 << 20;

/// A persistent counter.
pub(super) struct Counter {
    row: &'static str,
    next: AtomicU64,
    limit: AtomicU64,
    /// Taken to raise the limit.
    raising: Mutex<()>,
}

impl Counter {
    pub(super) fn numbers(redb: &redb::Database) -> Result<Self, DatabaseError> {
        Self::open(redb, "numbers")
    }

    pub(super) fn stamps(redb: &redb::Database) -> Result<Self, DatabaseError> {
        Self::open(redb, "stamps")
    }

    fn open(redb: &redb::Database, row: &'static str) -> Result<Self, DatabaseError> {
        let mut transaction = redb.begin_write().map_err(redb::Error::from)?;
        transaction.set_quick_repair(true);
        let next = {
            let mut meta = transaction.open_table(tables::META).map_err(redb::Error::from)?;
            let stored = meta.get(row).map_err(redb::Error::from)?.map(|limit| limit.value());
            let next = stored.unwrap_or_else(first_number);
            meta.insert(row, next + STEP).map_err(redb::Error::from)?;
            next
        };
        transaction.commit().map_err(redb::Error::from)?;
        Ok(Self {
            row,
            next: AtomicU64::new(next),
            limit: AtomicU64::new(next + STEP),
            raising: Mutex::new(()),
        })
    }

    /// Takes `count` numbers that follow each other. Waits for the disk once in [`STEP`] numbers.
    pub(super) async fn take(
        &self,
        database: &Database,
        count: u32,
    ) -> Result<Range<u64>, Arc<DatabaseError>> {
        loop {
            if let Some(range) = self.try_take(count) {
                return Ok(range);
            }
            let _raising = self.raising.lock().await;
            let limit = self.limit.load(Ordering::Acquire);
            if self.next.load(Ordering::Acquire) + u64::from(count) > limit {
                let raised = limit + STEP;
                database.write_durably(vec![Op::Limit { row: self.row, limit: raised }]).await?;
                self.limit.store(raised, Ordering::Release);
            }
        }
    }

    fn try_take(&self, count: u32) -> Option<Range<u64>> {
        let limit = self.limit.load(Ordering::Acquire);
        let end = |next: u64| next.checked_add(u64::from(count)).filter(|end| *end <= limit);
        let start = self.next.fetch_update(Ordering::AcqRel, Ordering::Acquire, end).ok()?;
        Some(start..start + u64::from(count))
    }
}

fn first_number() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // 1 is the root of every mount.
    since.as_secs().saturating_mul(NUMBERS_PER_SECOND).max(2)
}
