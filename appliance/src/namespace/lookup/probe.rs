//! Asking a store what a name is.

use ufs::{Entry as StoreEntry, ListDepth, ListPage, ListRequest, Meta};

use crate::namespace::entry::{Entry, Number, Timestamp};
use crate::namespace::error::NamespaceError;
use crate::namespace::place::Place;
use crate::namespace::shared::Shared;
use crate::namespace::tree::Origin;

/// What a name is.
pub(super) enum Answer {
    Nothing,
    File(Meta),
    /// With its whole listing, if that came along.
    Directory(Option<Vec<StoreEntry>>),
}

impl Answer {
    /// An entry that has no number yet.
    pub(super) fn into_entry(self, name: &str, seen: Timestamp) -> Option<Entry> {
        match self {
            Self::Nothing => None,
            Self::File(meta) => Some(Entry::file(name, Number(0), &meta)),
            Self::Directory(_) => Some(Entry::directory(name, Number(0), seen)),
        }
    }
}

/// Asks in the form that is likely right if there is one, else in both at once. Where there is a file and a directory of
/// the same name, the directory wins, but for a known file that is still there: its directory shows at the next listing.
pub(super) async fn probe(
    shared: &Shared,
    place: &Place,
    name: &str,
    before: Option<&Entry>,
) -> Result<Answer, NamespaceError> {
    let Some(origin) = &place.origin else { return Ok(Answer::Nothing) };
    match in_both_forms(shared, origin, name, before).await? {
        Answer::Nothing => marker(shared, origin, name).await,
        found => Ok(found),
    }
}

async fn in_both_forms(
    shared: &Shared,
    origin: &Origin,
    name: &str,
    before: Option<&Entry>,
) -> Result<Answer, NamespaceError> {
    match before.map(Entry::is_directory) {
        Some(false) => match stat(shared, origin, name).await? {
            Some(meta) => Ok(Answer::File(meta)),
            None => list(shared, origin, name).await,
        },
        Some(true) => match list(shared, origin, name).await? {
            Answer::Nothing => Ok(stat(shared, origin, name).await?.map_or(Answer::Nothing, Answer::File)),
            found => Ok(found),
        },
        None => match futures::future::join(list(shared, origin, name), stat(shared, origin, name)).await {
            (Ok(found @ Answer::Directory(_)), _) => Ok(found),
            (listed, file) => {
                let (nothing, file) = (listed?, file?);
                Ok(file.map_or(nothing, Answer::File))
            }
        },
    }
}

/// An empty directory on an object store is its marker object alone, which its own listing leaves out.
async fn marker(shared: &Shared, origin: &Origin, name: &str) -> Result<Answer, NamespaceError> {
    if shared.store(origin.store).ufs.capabilities().real_directories {
        return Ok(Answer::Nothing);
    }
    let marker = stat(shared, origin, &format!("{name}/")).await?;
    Ok(marker.map_or(Answer::Nothing, |_| Answer::Directory(Some(Vec::new()))))
}

async fn stat(shared: &Shared, origin: &Origin, name: &str) -> Result<Option<Meta>, NamespaceError> {
    let Some(key) = origin.file_key(name) else { return Ok(None) };
    match shared.store(origin.store).ufs.stat(&key).await {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn list(shared: &Shared, origin: &Origin, name: &str) -> Result<Answer, NamespaceError> {
    let Some(directory) = origin.child(name).directory_key() else { return Ok(Answer::Nothing) };
    let ufs = &shared.store(origin.store).ufs;
    let request =
        ListRequest { directory, depth: ListDepth::Children, start_after: None, continuation: None };
    match ufs.list(&request).await {
        Ok(ListPage { entries, next }) => {
            let exists = !entries.is_empty() || next.is_some() || ufs.capabilities().real_directories;
            let is_whole = next.is_none();
            Ok(if exists { Answer::Directory(is_whole.then_some(entries)) } else { Answer::Nothing })
        }
        Err(error) if is_absence(&error) => Ok(Answer::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// Whether a store says that there is nothing: also when a part of the path is a file, or too long for it.
fn is_absence(error: &ufs::Error) -> bool {
    match error {
        ufs::Error::NotFound { .. } => true,
        ufs::Error::Io { source, .. } => {
            matches!(source.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG))
        }
        _ => false,
    }
}
