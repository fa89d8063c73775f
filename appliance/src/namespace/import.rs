//! Turning a store's listing into listings of directories.
//!
//! [`pages`] fetches the next page while the last is sorted; a [`Lane`] walks the keys of a part of the listing in order, with a
//! stack of the directories that it is in, each a [`directory::DirectoryBuilder`] that merges the names with what was known (so that
//! unchanged nodes keep their numbers) and packs them into blocks; a [`sink::Sink`] hands the blocks to the database and tells the
//! kernel what changed once that can be read. Nothing is held but one page and one block for each directory on the stack.
//!
//! A listing of everything below a directory is one flat listing of keys, cut at the directory's sub-directories into
//! ranges that several lanes work on, since a store answers one lister only so fast.

mod directory;
mod lane;
mod pages;
mod ranges;
mod sink;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::{FutureExt, StreamExt, TryStreamExt};
use ufs::{Entry as StoreEntry, ListDepth, ListPage};

use super::error::NamespaceError;
use super::place::Place;
use super::record::{ListingId, WallMs};
use super::shared::Shared;
use super::types::RefreshReport;
use lane::{Lane, Reached};
use pages::Pages;
use ranges::KeyRange;
use sink::Telling;

/// Ranges of one import that are listed at a time. An S3 store answers a page of 1,000 keys in 50 to 100 ms, so eight give
/// some 100,000 keys a second; each holds two pages, about 0.5 MB.
const LANES_MAX: usize = 8;

/// What is asked of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// Everything below, not only the directory's own names.
    pub(super) deep: bool,
    /// Tell the kernel of every name that is new to us, also in a directory that was never listed.
    pub(super) thorough: bool,
}

/// Facts that all directories of one import share.
#[derive(Clone, Copy)]
pub(super) struct Import {
    started: WallMs,
    scope: Scope,
}

/// Lists a directory, or joins who does.
pub(super) async fn import(
    shared: &Arc<Shared>,
    place: &Place,
    deep: bool,
) -> Result<RefreshReport, NamespaceError> {
    let scope = Scope { deep, thorough: false };
    if shared.rules.is_strict() {
        // A listing that was under way before this call may be older than what the caller was promised.
        return run(shared.clone(), place.clone(), scope).await;
    }
    let (importer, root) = (shared.clone(), place.clone());
    shared.imports.join((place.number, deep), || run(importer, root, scope).boxed()).await
}

/// Begins to list a directory without waiting for it.
pub(super) fn start(shared: &Arc<Shared>, place: &Place) {
    let (importer, root) = (shared.clone(), place.clone());
    let question = async move {
        let outcome = run(importer, root.clone(), Scope { deep: false, thorough: false }).await;
        if let Err(error) = &outcome {
            tracing::debug!(directory = %root.path, %error, "listing a directory ahead failed");
        }
        outcome
    };
    shared.imports.start((place.number, false), || question.boxed());
}

/// Lists a directory.
pub(super) async fn run(
    shared: Arc<Shared>,
    place: Place,
    scope: Scope,
) -> Result<RefreshReport, NamespaceError> {
    let Some(origin) = &place.origin else { return Ok(RefreshReport::default()) };
    let import = Import { started: shared.rules.clock.now_ms(), scope };
    let ufs = shared.store(origin.store).ufs.clone();
    let mut children = Pages::new(ufs, origin, ListDepth::Children)?;
    let first = first_page(&mut children, &place).await?;
    let has_directories = first.entries.iter().any(|entry| matches!(entry, StoreEntry::Directory { .. }));
    if !scope.deep || (!has_directories && first.next.is_none()) {
        return whole(&shared, &place, import, children, first).await;
    }
    drop(children);
    in_lanes(&shared, &place, import, &first).await
}

/// A place of the mount's table exists also when the store above has no such directory.
async fn first_page(children: &mut Pages, place: &Place) -> Result<ListPage, NamespaceError> {
    let is_store_root = place.origin.as_ref().is_some_and(|origin| origin.directory.is_empty());
    match children.next().await {
        Ok(page) => Ok(page.unwrap_or_default()),
        Err(ufs::Error::NotFound { .. }) if place.index.is_some() && !is_store_root => {
            Ok(ListPage::default())
        }
        Err(ufs::Error::NotFound { .. }) if !is_store_root => {
            Err(NamespaceError::NotFound { path: place.path.to_string() })
        }
        Err(error) => Err(error.into()),
    }
}

/// One listing from its first page to its last.
async fn whole(
    shared: &Arc<Shared>,
    place: &Place,
    import: Import,
    mut pages: Pages,
    first: ListPage,
) -> Result<RefreshReport, NamespaceError> {
    let stamp = shared.database.take_stamp().await?;
    let mut lane = Lane::new(shared, place, import, stamp, KeyRange::ALL, Telling::Awaited).await?;
    let mut page = Some(first);
    while let Some(current) = page {
        lane.page(&current.entries).await?;
        page = pages.next().await?;
    }
    let report = lane.finish().await?.publish(shared).await?;
    Ok(report)
}

/// A flat listing of everything below, in ranges.
async fn in_lanes(
    shared: &Arc<Shared>,
    place: &Place,
    import: Import,
    first: &ListPage,
) -> Result<RefreshReport, NamespaceError> {
    let stamp = shared.database.take_stamp().await?;
    let ranges = ranges::cut(place, &first.entries);
    let lanes = ranges.into_iter().map(|range| lane(shared.clone(), place.clone(), import, stamp, range));
    let parts =
        futures::stream::iter(lanes).map(run_lane).buffered(LANES_MAX).try_collect::<Vec<_>>().await?;
    let part = parts.into_iter().reduce(lane::Part::join).ok_or(NamespaceError::Interrupted)?;
    part.publish(shared).await
}

/// Runs a lane as a task, so that lanes use all cores; dropping the future ends the task.
async fn run_lane(
    lane: impl Future<Output = Result<lane::Part, NamespaceError>> + Send + 'static,
) -> Result<lane::Part, NamespaceError> {
    let mut task = tokio::task::JoinSet::new();
    task.spawn(lane);
    match task.join_next().await {
        Some(Ok(part)) => part,
        Some(Err(_)) | None => Err(NamespaceError::Interrupted),
    }
}

async fn lane(
    shared: Arc<Shared>,
    place: Place,
    import: Import,
    stamp: ListingId,
    range: KeyRange,
) -> Result<lane::Part, NamespaceError> {
    let Some(origin) = &place.origin else { return Err(NamespaceError::Interrupted) };
    let ufs = shared.store(origin.store).ufs.clone();
    let mut pages = Pages::new(ufs, origin, ListDepth::Recursive)?.after(range.start_key(origin));
    let mut lane = Lane::new(&shared, &place, import, stamp, range, Telling::Awaited).await?;
    while let Some(page) = pages.next().await? {
        if lane.page(&page.entries).await? == Reached::EndOfRange {
            break;
        }
    }
    lane.finish().await
}

/// Keeps the whole listing of a directory that came along with another question.
pub(super) async fn keep_page(
    shared: &Arc<Shared>,
    place: &Place,
    entries: Vec<StoreEntry>,
    started: WallMs,
    stamp: ListingId,
) -> Result<(), NamespaceError> {
    let import = Import { started, scope: Scope { deep: false, thorough: false } };
    let mut lane = Lane::new(shared, place, import, stamp, KeyRange::ALL, Telling::Spawned).await?;
    lane.page(&entries).await?;
    lane.finish().await?.publish(shared).await?;
    Ok(())
}

fn count_listing(shared: &Shared) {
    shared.listings_imported.fetch_add(1, Ordering::Relaxed);
}
