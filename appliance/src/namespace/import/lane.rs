//! [`Lane`]: walks a part of a listing, key by key.

use std::sync::Arc;

use ufs::{Entry as StoreEntry, Key, Meta};

use super::directory::{DirectoryBuilder, Totals};
use super::ranges::KeyRange;
use super::sink::{Sink, Telling};
use super::{Import, NamespaceError, Place, RefreshReport, Shared};
use crate::namespace::entry::{Entry, Number, Timestamp};
use crate::namespace::names::can_be_shown;
use crate::namespace::record::ListingId;

pub(super) struct Lane {
    shared: Arc<Shared>,
    import: Import,
    range: KeyRange,
    /// Key of the directory that is imported; all keys begin with it.
    above: String,
    base: DirectoryBuilder,
    /// The directories between the base and the last key, outermost first.
    stack: Vec<DirectoryBuilder>,
    /// The key of the innermost, relative to the base.
    stack_key: String,
    /// All keys that begin with this are hidden, and counted.
    hidden_prefix: Option<String>,
    previous: Option<Key>,
    sink: Sink,
    /// Of the directories that are finished.
    report: RefreshReport,
    now: Timestamp,
}

/// Whether a place of the mount's table shows what the store has under its name in the directory above.
fn continues(above: &Place, name: &str, place: &Place) -> bool {
    place.origin.is_some() && place.origin == above.origin.as_ref().map(|origin| origin.child(name))
}

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// At its last entry.
    EndOfPage,
    /// At the first entry of the next range.
    EndOfRange,
}

/// A lane's share of the directory that is imported.
pub(super) struct Part {
    place: Place,
    import: Import,
    totals: Totals,
    changed_names: Vec<Box<str>>,
    report: RefreshReport,
    sink: Sink,
}

impl Lane {
    pub(super) async fn new(
        shared: &Arc<Shared>,
        place: &Place,
        import: Import,
        stamp: ListingId,
        range: KeyRange,
        telling: Telling,
    ) -> Result<Self, NamespaceError> {
        let base = DirectoryBuilder::new(shared, place.clone(), import, stamp, &range)?;
        let mut lane = Self {
            shared: shared.clone(),
            import,
            above: place.origin.as_ref().map_or(String::new(), |origin| origin.directory.clone()),
            base,
            stack: Vec::new(),
            stack_key: String::new(),
            hidden_prefix: None,
            previous: None,
            sink: Sink::new(shared, telling),
            report: RefreshReport::default(),
            now: shared.rules.clock.now().into(),
            range,
        };
        if let Some(start) = lane.range.start.clone() {
            // The listing begins behind the directory's marker.
            lane.directories_of(&start).await?;
        }
        Ok(lane)
    }

    /// Takes the entries of a page, up to the end of the range.
    pub(super) async fn page(&mut self, entries: &[StoreEntry]) -> Result<Reached, NamespaceError> {
        let Some(last) = entries.last() else { return Ok(Reached::EndOfPage) };
        self.check_order(entries)?;
        self.previous = Some(last.key().clone());
        for entry in entries {
            let key = entry.key().as_str();
            let Some(relative) = key.strip_prefix(self.above.as_str()) else { continue };
            if self.range.end.as_deref().is_some_and(|end| relative >= end) {
                return Ok(Reached::EndOfRange);
            }
            let meta = match entry {
                StoreEntry::Object { meta, .. } => Some(meta),
                StoreEntry::Directory { .. } => None,
            };
            self.key(relative, meta).await?;
        }
        Ok(Reached::EndOfPage)
    }

    fn check_order(&self, entries: &[StoreEntry]) -> Result<(), NamespaceError> {
        let before = self.previous.iter().chain(entries.iter().map(StoreEntry::key));
        let keys = entries.iter().map(StoreEntry::key);
        let skipped = usize::from(self.previous.is_none());
        let unordered = before.zip(keys.skip(skipped)).find(|(previous, key)| previous >= key);
        let Some((previous, key)) = unordered else { return Ok(()) };
        let store = self.base.place.origin.as_ref().map(|origin| self.shared.store(origin.store));
        let url = store.map_or(String::new(), |store| store.ufs.url().to_owned());
        Err(NamespaceError::Unordered { url, key: key.clone(), previous: previous.clone() })
    }

    async fn key(&mut self, relative: &str, meta: Option<&Meta>) -> Result<(), NamespaceError> {
        if self.hidden_prefix.as_deref().is_some_and(|hidden| relative.starts_with(hidden)) {
            return Ok(());
        }
        let Some(name) = self.directories_of(relative).await? else { return Ok(()) };
        // A key that ends in `/` is the marker of its directory.
        let (Some(meta), false) = (meta, name.is_empty()) else { return Ok(()) };
        let top = self.stack.last_mut().unwrap_or(&mut self.base);
        if !can_be_shown(name) || top.place.shadows(&self.shared.tree, name) {
            top.hide();
            return Ok(());
        }
        let entry = Entry::file(name, Number(0), meta);
        top.add(&mut self.sink, entry).await?;
        Ok(())
    }

    /// Leaves and enters directories until the innermost holds the key; gives the name behind the last `/`. `None` when
    /// one of them is hidden.
    async fn directories_of<'k>(&mut self, relative: &'k str) -> Result<Option<&'k str>, NamespaceError> {
        while !relative.starts_with(&self.stack_key) {
            self.leave().await?;
        }
        let mut rest = &relative[self.stack_key.len()..];
        while let Some((name, behind)) = rest.split_once('/') {
            if !self.enter(name).await? {
                self.top().hide();
                self.hidden_prefix = Some(relative[..relative.len() - behind.len()].to_owned());
                return Ok(None);
            }
            rest = behind;
        }
        Ok(Some(rest))
    }

    fn top(&mut self) -> &mut DirectoryBuilder {
        self.stack.last_mut().unwrap_or(&mut self.base)
    }

    /// Takes a directory's name, and in a deep import goes into it. False when it cannot be shown.
    async fn enter(&mut self, name: &str) -> Result<bool, NamespaceError> {
        let top = self.stack.last_mut().unwrap_or(&mut self.base);
        if !can_be_shown(name) {
            return Ok(false);
        }
        let branch = top.place.index.and_then(|index| self.shared.tree.child(index, name));
        let place = match branch {
            // The mount's table lists its places itself; this one may show the store's directory or another store.
            Some(index) => {
                Some(self.shared.place_at(index)).filter(|place| continues(&top.place, name, place))
            }
            None => match top.place.path.join(name) {
                Ok(_) => {
                    let entry = Entry::directory(name, Number(0), self.now);
                    let number = top.add(&mut self.sink, entry).await?;
                    top.place.child(name, number)
                }
                Err(_) => None,
            },
        };
        let Some(place) = place else { return Ok(false) };
        // Without depth nothing of the directory is in this listing, so the next key is beside it.
        if self.import.scope.deep {
            let stamp = self.shared.database.take_stamp().await?;
            self.stack.push(DirectoryBuilder::new(&self.shared, place, self.import, stamp, &KeyRange::ALL)?);
            self.stack_key.push_str(name);
            self.stack_key.push('/');
        }
        Ok(true)
    }

    /// Finishes the innermost directory.
    async fn leave(&mut self) -> Result<(), NamespaceError> {
        let above = self.stack_key.trim_end_matches('/').rfind('/').map_or(0, |slash| slash + 1);
        self.stack_key.truncate(above);
        if let Some(builder) = self.stack.pop() {
            let report = builder.finish(&self.shared, &mut self.sink).await?;
            self.report = self.report + report;
        }
        Ok(())
    }

    /// All keys have been taken.
    pub(super) async fn finish(mut self) -> Result<Part, NamespaceError> {
        while !self.stack.is_empty() {
            self.leave().await?;
        }
        self.base.close(&mut self.sink, self.range.end.as_deref()).await?;
        // The other lanes' rows must be there when the directory is published.
        self.sink.settle().await?;
        let (place, import) = (self.base.place.clone(), self.import);
        let (totals, changed_names) = self.base.into_parts();
        Ok(Part { place, import, totals, changed_names, report: self.report, sink: self.sink })
    }
}

impl Part {
    pub(super) fn join(mut self, other: Self) -> Self {
        self.totals = self.totals.join(other.totals);
        self.report = self.report + other.report;
        self.changed_names.extend(other.changed_names);
        self
    }

    /// Makes the parts the directory's listing.
    pub(super) async fn publish(mut self, shared: &Arc<Shared>) -> Result<RefreshReport, NamespaceError> {
        let names = self.changed_names;
        let report =
            self.totals.publish(shared, &mut self.sink, &self.place, self.import, None, names).await?;
        self.sink.settle().await?;
        Ok(self.report + report)
    }
}
