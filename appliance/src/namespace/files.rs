//! [`FilesBelow`]: all files of a subtree, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use super::dir::{DirSnapshot, as_listed};
use super::entry::{Entry, Kind};
use super::error::NamespaceError;
use super::import;
use super::listing::pinned;
use super::lookup;
use super::place::Place;
use super::record::WallMs;
use super::shared::Shared;
use super::tree::PlaceIndex;
use super::types::ObjectRef;
use crate::config::TreePath;

/// A walk over the files at and below a path, depth first. Holds one block of names for each directory on the way down.
pub struct FilesBelow {
    shared: Arc<Shared>,
    /// Where to begin; taken by the first call.
    start: Option<TreePath>,
    /// Subtrees listed since then are as fresh as the caller may ask for.
    started: WallMs,
    found: Option<(TreePath, ObjectRef)>,
    stack: Vec<Frame>,
}

struct Frame {
    snapshot: DirSnapshot,
    names: VecDeque<Entry>,
    cookie: u64,
}

impl FilesBelow {
    pub(super) fn new(shared: Arc<Shared>, path: TreePath) -> Self {
        let started = shared.rules.clock.now_ms();
        Self { shared, start: Some(path), started, found: None, stack: Vec::new() }
    }

    /// The next file; `None` behind the last. [`NamespaceError::NotFound`] when there is nothing at the path. After an
    /// error the walk is over.
    pub async fn next(&mut self) -> Result<Option<(TreePath, ObjectRef)>, NamespaceError> {
        if let Some(path) = self.start.take() {
            self.begin(&path).await?;
        }
        if let Some(found) = self.found.take() {
            return Ok(Some(found));
        }
        while let Some(frame) = self.stack.last_mut() {
            let Some(entry) = frame.next()? else {
                self.stack.pop();
                continue;
            };
            match entry.kind {
                Kind::File { .. } => {
                    let place = frame.snapshot.place();
                    if let (Ok(path), Some(object)) =
                        (place.path.join(&entry.name), self.shared.object_of(place, &entry))
                    {
                        return Ok(Some((path, object)));
                    }
                }
                Kind::Directory => {
                    let place = self.shared.child_place(frame.snapshot.place(), &entry)?;
                    self.descend(&place).await?;
                }
            }
        }
        Ok(None)
    }

    async fn begin(&mut self, path: &TreePath) -> Result<(), NamespaceError> {
        let mut place = self.shared.place_at(PlaceIndex::ROOT);
        let not_found = || NamespaceError::NotFound { path: path.to_string() };
        for name in path.names() {
            if self.found.is_some() {
                return Err(not_found());
            }
            let (entry, _) = lookup::find(&self.shared, &place, name).await?.ok_or_else(not_found)?;
            match self.shared.object_of(&place, &entry) {
                Some(object) => self.found = Some((path.clone(), object)),
                None => place = self.shared.child_place(&place, &entry)?,
            }
        }
        if self.found.is_none() {
            self.descend(&place).await?;
        }
        Ok(())
    }

    /// Goes into a directory, which is imported with all below it if that is not known.
    async fn descend(&mut self, place: &Place) -> Result<(), NamespaceError> {
        if place.origin.is_some() && !self.is_known(place)? {
            import::import(&self.shared, place, true).await?;
        }
        let snapshot = as_listed(&self.shared, place)?;
        self.stack.push(Frame { snapshot, names: VecDeque::new(), cookie: 0 });
        Ok(())
    }

    fn is_known(&self, place: &Place) -> Result<bool, NamespaceError> {
        let Some((record, _)) = pinned(&self.shared.database, place.number)? else { return Ok(false) };
        let Some(since) = record.listed_deep_at else { return Ok(false) };
        Ok(since >= self.started || self.shared.rules.valid_for(place.number, since).is_some())
    }
}

impl Frame {
    fn next(&mut self) -> Result<Option<Entry>, NamespaceError> {
        if self.names.is_empty()
            && let Some((names, cookie)) = self.snapshot.batch(self.cookie)?
        {
            self.names.extend(names);
            self.cookie = cookie;
        }
        Ok(self.names.pop_front())
    }
}
