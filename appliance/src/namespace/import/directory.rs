//! [`DirectoryBuilder`]: one directory's listing in the making.

use std::sync::Arc;

use super::ranges::KeyRange;
use super::sink::{Changes, Sink};
use super::{Import, count_listing};
use crate::namespace::block::BlockBuilder;
use crate::namespace::database::{Op, Pin, block_key};
use crate::namespace::entry::{Entry, Number};
use crate::namespace::error::NamespaceError;
use crate::namespace::listing::{Cursor, Overrides, pinned};
use crate::namespace::names::Collisions;
use crate::namespace::place::Place;
use crate::namespace::record::{ListingId, Record, WallMs};
use crate::namespace::shared::Shared;
use crate::namespace::types::RefreshReport;

/// Changed names of one directory that are kept by name.
const NAMES_MAX: usize = 1024;

/// Takes a directory's names in order, merges them with what was known, and packs them.
pub(super) struct DirectoryBuilder {
    pub(super) place: Place,
    pub(super) totals: Totals,
    root: Number,
    import: Import,
    block: BlockBuilder,
    ordinal: u32,
    old: Option<Cursor>,
    overrides: Overrides,
    collisions: Collisions,
    changed_names: Vec<Box<str>>,
}

/// What a directory, or a range of it, came to.
pub(super) struct Totals {
    pub(super) report: RefreshReport,
    names: u64,
    /// Keeps the blocks written so far.
    listing: Pin,
    old: Option<Pin>,
    /// Blocks of the unpublished listing are in the database.
    spilled: bool,
    too_many_changes: bool,
}

impl DirectoryBuilder {
    /// Begins the listing `stamp` of a directory, or the part of it in `range`.
    pub(super) fn new(
        shared: &Arc<Shared>,
        place: Place,
        import: Import,
        stamp: ListingId,
        range: &KeyRange,
    ) -> Result<Self, NamespaceError> {
        let listing = shared.database.pin(stamp);
        let old = pinned(&shared.database, place.number)?.map(|(_, pin)| pin);
        let overrides = Overrides::load(&shared.database, place.number, old.as_ref().map(Pin::listing))?;
        let (start, end) = (range.start.as_deref(), range.end.as_deref());
        let cursor = old.clone().map(|pin| Cursor::new(&shared.database, pin, start, end)).transpose()?;
        let totals = Totals {
            report: RefreshReport::default(),
            names: 0,
            listing,
            old,
            spilled: false,
            too_many_changes: false,
        };
        Ok(Self {
            place,
            totals,
            root: shared.root(),
            import,
            block: BlockBuilder::default(),
            ordinal: range.first_ordinal(),
            old: cursor,
            overrides,
            collisions: Collisions::default(),
            changed_names: Vec::new(),
        })
    }

    /// Takes the next name; gives the number that it has or gets.
    pub(super) async fn add(&mut self, sink: &mut Sink, entry: Entry) -> Result<Number, NamespaceError> {
        self.count(&entry);
        let listed = self.pass_old(sink, &entry).await?;
        let newer = self.overrides.get(&entry.name)?;
        let before = match newer {
            Some(row) => row.entry,
            None => listed,
        };
        let entry = match before {
            Some(same) if same.is_same_node(&entry) => same,
            before => {
                self.note_change(before.is_some(), &entry.name);
                Entry { number: sink.number().await?, ..entry }
            }
        };
        self.block.push(&entry);
        if self.block.is_full() {
            self.flush(sink).await?;
        }
        Ok(entry.number)
    }

    fn count(&mut self, entry: &Entry) {
        self.totals.names += 1;
        if !entry.is_directory() {
            self.totals.report.objects += 1;
            self.collisions.file(&entry.name);
        } else if self.collisions.directory(&entry.name) {
            self.hide();
            self.totals.report.objects -= 1;
        }
    }

    /// A name of the store is not shown.
    pub(super) fn hide(&mut self) {
        self.totals.report.hidden += 1;
    }

    fn note_change(&mut self, was_known: bool, name: &str) {
        let report = &mut self.totals.report;
        let count = if was_known { &mut report.changed } else { &mut report.added };
        *count += 1;
        // Of a directory that nobody listed before, the kernel knows only what it asked for: see `finish`.
        if was_known || self.old.is_some() || self.import.scope.thorough {
            self.remember_change(name);
        }
    }

    fn remember_change(&mut self, name: &str) {
        if self.changed_names.len() < NAMES_MAX {
            self.changed_names.push(name.into());
        } else {
            self.totals.too_many_changes = true;
        }
    }

    /// Goes past the old names up to this one; gives the old entry in its place.
    async fn pass_old(&mut self, sink: &mut Sink, entry: &Entry) -> Result<Option<Entry>, NamespaceError> {
        while let Some(old) = self.old.as_mut().map_or(Ok(None), Cursor::peek)? {
            if old.form() > entry.form() {
                break;
            }
            let is_same = old.form() == entry.form();
            let Some(old) = self.old.as_mut().map_or(Ok(None), Cursor::next)? else { break };
            if is_same {
                return Ok(Some(old));
            }
            self.remove(sink, old).await?;
        }
        Ok(None)
    }

    async fn remove(&mut self, sink: &mut Sink, old: Entry) -> Result<(), NamespaceError> {
        self.totals.report.removed += 1;
        self.remember_change(&old.name);
        if old.is_directory() {
            sink.push(vec![Op::DropDirectory { directory: old.number, root: self.root }]).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, sink: &mut Sink) -> Result<(), NamespaceError> {
        let Some(block) = self.take_block() else { return Ok(()) };
        if !self.totals.spilled {
            self.totals.spilled = true;
            let listing = self.totals.listing.listing();
            sink.push(vec![Op::Begin { listing, root: self.root }]).await?;
        }
        sink.push(vec![block]).await
    }

    fn take_block(&mut self) -> Option<Op> {
        if self.block.is_empty() {
            return None;
        }
        let (form, row) = self.block.finish(self.ordinal);
        self.ordinal += 1;
        Some(Op::Block { key: block_key(self.totals.listing.listing(), &form), row })
    }

    async fn remove_rest(&mut self, sink: &mut Sink) -> Result<(), NamespaceError> {
        while let Some(old) = self.old.as_mut().map_or(Ok(None), Cursor::next)? {
            self.remove(sink, old).await?;
        }
        Ok(())
    }

    /// All names of the range are there. `end` is the directory that the next range begins with.
    pub(super) async fn close(&mut self, sink: &mut Sink, end: Option<&str>) -> Result<(), NamespaceError> {
        if end.is_some_and(|end| self.collisions.directory(end.trim_end_matches('/'))) {
            self.hide();
            self.totals.report.objects -= 1;
        }
        self.remove_rest(sink).await?;
        self.flush(sink).await
    }

    /// Makes this the directory's listing.
    pub(super) async fn finish(
        mut self,
        shared: &Arc<Shared>,
        sink: &mut Sink,
    ) -> Result<RefreshReport, NamespaceError> {
        self.remove_rest(sink).await?;
        let last_block = self.take_block();
        let Self { place, totals, import, changed_names, .. } = self;
        totals.publish(shared, sink, &place, import, last_block, changed_names).await
    }

    /// The totals of a range, and its changed names.
    pub(super) fn into_parts(self) -> (Totals, Vec<Box<str>>) {
        (self.totals, self.changed_names)
    }
}

impl Totals {
    pub(super) fn join(mut self, other: Self) -> Self {
        self.report = self.report + other.report;
        self.names += other.names;
        self.spilled |= other.spilled;
        self.too_many_changes |= other.too_many_changes;
        self
    }

    pub(super) async fn publish(
        mut self,
        shared: &Arc<Shared>,
        sink: &mut Sink,
        place: &Place,
        import: Import,
        last_block: Option<Op>,
        mut changed_names: Vec<Box<str>>,
    ) -> Result<RefreshReport, NamespaceError> {
        self.report.directories += 1;
        let hidden = self.report.hidden;
        if hidden > 0 {
            tracing::debug!(directory = %place.path, hidden, "names in the store cannot be shown");
        }
        let record = Record {
            listing: self.listing.listing(),
            listed_at: import.started,
            listed_deep_at: import.scope.deep.then_some(import.started),
            names: self.names,
            hidden,
        };
        let pin = self.listing.clone();
        let publish = Op::Publish { directory: place.number, root: shared.root(), record, pin };
        sink.push(last_block.into_iter().chain([publish]).collect()).await?;
        count_listing(shared);
        shared.misses.reset(place.number);
        shared.doubts.take_older(place.number, import.started);
        // Absences of the very same millisecond too: the listing knows as much.
        let behind = WallMs(import.started.0.saturating_add(1));
        changed_names.extend(shared.negatives.take_older(place.number, behind));
        let all_of = self.too_many_changes.then(|| (self.old.clone(), self.listing.clone()));
        if !changed_names.is_empty() || all_of.is_some() {
            sink.announce(Changes { directory: place.number, names: changed_names, all_of }).await?;
        }
        Ok(self.report)
    }
}
