//! The one thread that writes.
//!
//! Senders queue batches of rows; the thread takes what is there, applies it in one transaction, commits without waiting
//! for the disk, and answers. Every [`DURABLE_EVERY`] or [`DURABLE_BYTES`], whichever comes first, a commit does wait,
//! and lets redb use old pages again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redb::{Durability, ReadableTable, Table, WriteTransaction};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use super::tables::{self, Bytes};
use super::{Core, Pin, garbage, open};
use crate::namespace::entry::Number;
use crate::namespace::error::DatabaseError;
use crate::namespace::record::{ListingId, Override, Record};

/// Most that a power cut takes back from the listings.
pub(super) const DURABLE_EVERY: Duration = Duration::from_secs(5);
/// Rows that may wait for a durable commit: redb holds on to replaced pages until then.
const DURABLE_BYTES: usize = 64 << 20;
/// Rows that one transaction takes together.
const GROUP_BYTES: usize = 1 << 20;

/// A change of the rows.
pub(in crate::namespace) enum Op {
    /// Blocks of a listing that is not complete follow: they are garbage until it is published.
    Begin { listing: ListingId, root: Number },
    /// A block under its key.
    Block { key: Vec<u8>, row: Vec<u8> },
    /// A listing is complete: it replaces the directory's listing and the older overrides, unless a newer one has. The
    /// pin keeps its blocks, which are garbage until then, and tells whether they went to a database that failed since.
    Publish { directory: Number, root: Number, record: Record, pin: Pin },
    /// An answer about a name.
    Override { directory: Number, name: Box<str>, row: Override },
    /// A directory is gone, and all below it.
    DropDirectory { directory: Number, root: Number },
    /// The number of a place of a mount.
    Place { key: Vec<u8>, number: Number },
    /// A place that its mount no longer has.
    DropPlace { key: Vec<u8> },
    /// Numbers below this may be given.
    Limit { row: &'static str, limit: u64 },
}

impl Op {
    fn makes_garbage(&self) -> bool {
        matches!(self, Self::Publish { .. } | Self::DropDirectory { .. })
    }

    pub(in crate::namespace) fn size_bytes(&self) -> usize {
        match self {
            Self::Block { key, row } => key.len() + row.len(),
            Self::Override { name, .. } => name.len() + 64,
            _ => 64,
        }
    }
}

pub(super) struct Batch {
    pub(super) ops: Vec<Op>,
    pub(super) done: Option<oneshot::Sender<Result<(), Arc<DatabaseError>>>>,
    pub(super) durable: bool,
}

impl Batch {
    fn size_bytes(&self) -> usize {
        self.ops.iter().map(Op::size_bytes).sum()
    }
}

pub(super) fn start(
    core: Arc<Core>,
    batches: mpsc::Receiver<Batch>,
) -> Result<JoinHandle<()>, DatabaseError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(DatabaseError::Thread)?;
    let writer = Writer { core, batches, dirty: None, dirty_bytes: 0 };
    let thread = std::thread::Builder::new().name("forebay-names".into());
    thread.spawn(move || writer.run(&runtime)).map_err(DatabaseError::Thread)
}

struct Writer {
    core: Arc<Core>,
    batches: mpsc::Receiver<Batch>,
    /// When the first commit was made that is not on disk.
    dirty: Option<Instant>,
    dirty_bytes: usize,
}

enum Wake {
    Batch(Batch),
    Work,
    Closed,
}

impl Writer {
    fn run(mut self, runtime: &Runtime) {
        loop {
            match runtime.block_on(self.wait()) {
                Wake::Batch(first) => self.write_group(first),
                Wake::Work => {}
                Wake::Closed => break,
            }
            self.replace_if_damaged();
            self.collect_garbage();
            if self.dirty.is_some_and(|since| since.elapsed() >= DURABLE_EVERY)
                || self.dirty_bytes >= DURABLE_BYTES
            {
                self.commit_durably();
            }
        }
        self.commit_durably();
    }

    async fn wait(&mut self) -> Wake {
        let deadline = self.dirty.map(|since| tokio::time::Instant::from_std(since + DURABLE_EVERY));
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            batch = self.batches.recv() => batch.map_or(Wake::Closed, Wake::Batch),
            () = self.core.work.notified() => Wake::Work,
            () = due => Wake::Work,
        }
    }

    fn write_group(&mut self, first: Batch) {
        let (mut bytes, mut group) = (first.size_bytes(), vec![first]);
        while bytes < GROUP_BYTES
            && let Ok(batch) = self.batches.try_recv()
        {
            bytes += batch.size_bytes();
            group.push(batch);
        }
        let durable = group.iter().any(|batch| batch.durable);
        if group.iter().flat_map(|batch| &batch.ops).any(Op::makes_garbage) {
            self.core.has_garbage.store(true, Ordering::Relaxed);
        }
        let ops = group.iter_mut().flat_map(|batch| std::mem::take(&mut batch.ops)).collect::<Vec<_>>();
        let epoch = self.core.epoch.load(Ordering::Acquire);
        let apply_all =
            |tables: &mut WriteTables<'_>| ops.into_iter().try_for_each(|op| apply(tables, op, epoch));
        let outcome = self.commit(durable, bytes, apply_all);
        let outcome = outcome.map_err(Arc::new);
        for done in group.into_iter().filter_map(|batch| batch.done) {
            // Whoever waited may be gone.
            drop(done.send(outcome.clone()));
        }
    }

    /// Changes rows in one transaction. An error is reported as damage.
    fn commit(
        &mut self,
        durable: bool,
        bytes: usize,
        change: impl FnOnce(&mut WriteTables<'_>) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let redb = self.core.redb.read().clone();
        let outcome = write(&redb, durable, change);
        match &outcome {
            Ok(()) if durable => (self.dirty, self.dirty_bytes) = (None, 0),
            Ok(()) => {
                self.dirty.get_or_insert_with(Instant::now);
                self.dirty_bytes += bytes;
            }
            Err(error) => self.core.report_damage(error),
        }
        self.core.committed();
        outcome
    }

    fn commit_durably(&mut self) {
        if self.dirty.is_some() {
            // An error has been reported, and the database is replaced by the next round.
            let committed = self.commit(true, 0, |_| Ok(()));
            drop(committed);
            self.replace_if_damaged();
        }
    }

    fn collect_garbage(&mut self) {
        if !self.core.has_garbage.swap(false, Ordering::Relaxed) {
            return;
        }
        let core = self.core.clone();
        let mut progress = garbage::Progress::Done;
        let collected = self.commit_if(|tables| {
            progress = garbage::step(tables, &core.pins)?;
            Ok(progress != garbage::Progress::Done)
        });
        if collected.is_ok() && progress == garbage::Progress::More {
            // One step at a time: batches that wait go first.
            self.core.has_garbage.store(true, Ordering::Relaxed);
            self.core.work.notify_one();
        }
    }

    /// Like `commit`, but drops the transaction when nothing changed.
    fn commit_if(
        &mut self,
        change: impl FnOnce(&mut WriteTables<'_>) -> Result<bool, DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let redb = self.core.redb.read().clone();
        match write_if(&redb, change) {
            Ok(true) => {
                self.dirty.get_or_insert_with(Instant::now);
                self.core.committed();
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) => {
                self.core.report_damage(&error);
                Err(error)
            }
        }
    }

    /// Goes on with an empty database in memory when the file can no longer be used.
    fn replace_if_damaged(&mut self) {
        if !self.core.damaged.load(Ordering::Relaxed) {
            return;
        }
        match open::in_memory(REPLACEMENT_LIMIT_BYTES) {
            Ok((redb, _)) => *self.core.redb.write() = Arc::new(redb),
            Err(error) => tracing::error!(%error, "no database of listings; every directory is listed again"),
        }
        (self.dirty, self.dirty_bytes) = (None, 0);
        self.core.epoch.fetch_add(1, Ordering::AcqRel);
        self.core.committed();
        self.core.damaged.store(false, Ordering::Relaxed);
    }
}

/// Nominal: a replacement is not counted, as the mounts were promised a file.
const REPLACEMENT_LIMIT_BYTES: u64 = u64::MAX;

/// The tables of one transaction.
pub(super) struct WriteTables<'t> {
    pub(super) meta: Table<'t, &'static str, u64>,
    pub(super) places: Table<'t, Bytes, u64>,
    pub(super) records: Table<'t, u64, Bytes>,
    pub(super) blocks: Table<'t, Bytes, Bytes>,
    pub(super) overrides: Table<'t, Bytes, Bytes>,
    pub(super) garbage: Table<'t, Bytes, u64>,
    pub(super) hidden: Table<'t, u64, u64>,
}

impl<'t> WriteTables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            meta: transaction.open_table(tables::META)?,
            places: transaction.open_table(tables::PLACES)?,
            records: transaction.open_table(tables::RECORDS)?,
            blocks: transaction.open_table(tables::BLOCKS)?,
            overrides: transaction.open_table(tables::OVERRIDES)?,
            garbage: transaction.open_table(tables::GARBAGE)?,
            hidden: transaction.open_table(tables::HIDDEN)?,
        })
    }

    /// Replaces a directory's share of the mount's hidden names.
    pub(super) fn count_hidden(&mut self, root: Number, before: u64, now: u64) -> Result<(), redb::Error> {
        if before != now {
            let sum = self.hidden.get(root.0)?.map_or(0, |row| row.value());
            self.hidden.insert(root.0, (sum + now).saturating_sub(before))?;
        }
        Ok(())
    }
}

fn write(
    redb: &redb::Database,
    durable: bool,
    change: impl FnOnce(&mut WriteTables<'_>) -> Result<(), DatabaseError>,
) -> Result<(), DatabaseError> {
    let mut transaction = redb.begin_write().map_err(redb::Error::from)?;
    if durable {
        transaction.set_quick_repair(true);
    } else {
        transaction.set_durability(Durability::None).map_err(redb::Error::from)?;
    }
    change(&mut WriteTables::open(&transaction)?)?;
    Ok(transaction.commit().map_err(redb::Error::from)?)
}

fn write_if(
    redb: &redb::Database,
    change: impl FnOnce(&mut WriteTables<'_>) -> Result<bool, DatabaseError>,
) -> Result<bool, DatabaseError> {
    let mut transaction = redb.begin_write().map_err(redb::Error::from)?;
    transaction.set_durability(Durability::None).map_err(redb::Error::from)?;
    let changed = change(&mut WriteTables::open(&transaction)?)?;
    if changed {
        transaction.commit().map_err(redb::Error::from)?;
    } else {
        transaction.abort().map_err(redb::Error::from)?;
    }
    Ok(changed)
}

fn apply(tables: &mut WriteTables<'_>, op: Op, epoch: u64) -> Result<(), DatabaseError> {
    apply_row(tables, op, epoch).map_err(|error| match error {
        Failure::Redb(error) => DatabaseError::Redb(error),
        Failure::Row(error) => error,
    })
}

/// Two kinds of errors that `?` can make.
enum Failure {
    Redb(redb::Error),
    Row(DatabaseError),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

fn apply_row(tables: &mut WriteTables<'_>, op: Op, now: u64) -> Result<(), Failure> {
    match op {
        Op::Begin { listing, root } => {
            tables.garbage.insert(garbage::listing_key(listing).as_slice(), root.0)?;
        }
        Op::Block { key, row } => {
            tables.blocks.insert(key.as_slice(), row.as_slice())?;
        }
        Op::Publish { directory, root, record, pin } if pin.epoch() == now => {
            publish(tables, directory, root, record)?;
        }
        // Whoever waits for the listing does not find it, and says so.
        Op::Publish { .. } => {}
        Op::Override { directory, name, row } => {
            let key = tables::override_key(directory, &name);
            tables.overrides.insert(key.as_slice(), row.to_row().as_slice())?;
        }
        Op::DropDirectory { directory, root } => {
            tables.garbage.insert(garbage::directory_key(directory).as_slice(), root.0)?;
        }
        Op::Place { key, number } => {
            tables.places.insert(key.as_slice(), number.0)?;
        }
        Op::DropPlace { key } => {
            tables.places.remove(key.as_slice())?;
        }
        Op::Limit { row, limit } => {
            tables.meta.insert(row, limit)?;
        }
    }
    Ok(())
}

fn publish(
    tables: &mut WriteTables<'_>,
    directory: Number,
    root: Number,
    record: Record,
) -> Result<(), Failure> {
    let old = tables.records.get(directory.0)?.map(|row| Record::from_row(row.value()));
    let old = old.transpose().map_err(Failure::Row)?;
    if old.is_some_and(|old| old.listing > record.listing) {
        tables.garbage.insert(garbage::listing_key(record.listing).as_slice(), root.0)?;
        return Ok(());
    }
    if let Some(old) = old {
        tables.garbage.insert(garbage::listing_key(old.listing).as_slice(), root.0)?;
    }
    tables.garbage.remove(garbage::listing_key(record.listing).as_slice())?;
    tables.records.insert(directory.0, record.to_row().as_slice())?;
    tables.count_hidden(root, old.map_or(0, |old| old.hidden), record.hidden)?;
    drop_older_overrides(tables, directory, record.listing)
}

fn drop_older_overrides(
    tables: &mut WriteTables<'_>,
    directory: Number,
    than: ListingId,
) -> Result<(), Failure> {
    let (start, end) = tables::keys_of(directory.0);
    let is_older = |_: &[u8], row: &[u8]| !Override::from_row("", row).is_ok_and(|row| row.stamp >= than);
    tables.overrides.retain_in(start.as_slice()..end.as_slice(), |key, row| !is_older(key, row))?;
    Ok(())
}
