//! `forebay sync`: asking again, and telling the kernel.

use std::sync::Arc;

use super::entry::Entry;
use super::error::NamespaceError;
use super::import::{self, Scope};
use super::listing::known_name;
use super::lookup;
use super::place::Place;
use super::shared::Shared;
use super::tree::PlaceIndex;
use super::types::RefreshReport;
use crate::config::TreePath;

/// Asks the stores again about a path. The kernel has been told of changes when this returns.
pub(super) async fn refresh(
    shared: &Arc<Shared>,
    path: &TreePath,
    recursive: bool,
) -> Result<RefreshReport, NamespaceError> {
    let mut report = RefreshReport::default();
    let target = locate(shared, path, &mut report).await?;
    let scope = Scope { deep: recursive, thorough: true };
    if let Some(place) = target {
        report = report + import::run(shared.clone(), place, scope).await?;
        if recursive {
            for index in shared.tree.branches_below(path) {
                report = report + import::run(shared.clone(), shared.place_at(index), scope).await?;
            }
        }
    }
    shared.events.flush().await;
    Ok(report)
}

/// The directory at a path, or `None` for a file, whose own change is counted. The last name is always asked for.
async fn locate(
    shared: &Arc<Shared>,
    path: &TreePath,
    report: &mut RefreshReport,
) -> Result<Option<Place>, NamespaceError> {
    let mut place = shared.place_at(PlaceIndex::ROOT);
    let mut names = path.names().peekable();
    while let Some(name) = names.next() {
        let entry = match place.index.and_then(|index| shared.tree.child(index, name)) {
            Some(index) => Some(shared.place_entry(name, index)),
            None if names.peek().is_none() => ask_again(shared, &place, name, report).await?,
            None => match lookup::find(shared, &place, name).await? {
                Some((entry, _)) => Some(entry),
                // It may be new.
                None => ask_again(shared, &place, name, report).await?,
            },
        };
        match entry {
            Some(entry) if entry.is_directory() => place = shared.child_place(&place, &entry)?,
            Some(_) if names.peek().is_none() => return Ok(None),
            None if report.removed > 0 => return Ok(None),
            Some(_) | None => return Err(NamespaceError::NotFound { path: path.to_string() }),
        }
    }
    Ok(Some(place))
}

/// Asks the store about one name, counts what changed and tells the kernel.
async fn ask_again(
    shared: &Arc<Shared>,
    place: &Place,
    name: &str,
    report: &mut RefreshReport,
) -> Result<Option<Entry>, NamespaceError> {
    let known = shared.database.read(|tables| known_name(tables, place.number, name))?;
    let before = known.and_then(|known| known.entry);
    let now = lookup::ask(shared, place, name).await?;
    let is_file = now.as_ref().is_some_and(|entry| !entry.is_directory());
    report.objects += u64::from(is_file);
    match (&before, &now) {
        (Some(before), Some(now)) if before.number == now.number => return Ok(Some(now.clone())),
        (Some(_), Some(_)) => report.changed += 1,
        (Some(_), None) => report.removed += 1,
        (None, Some(_)) => report.added += 1,
        // Nothing was known and there is nothing: only the kernel could believe otherwise.
        (None, None) => {}
    }
    if shared.inodes.contains(place.number) {
        let ino = shared.ino(place.number);
        shared.events.entry_changed(ino, name).await;
        shared.events.directory_changed(ino).await;
    }
    Ok(now)
}
