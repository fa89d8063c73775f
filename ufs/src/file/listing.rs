//! Sorted listings with continuation.
//!
//! A listing is a depth-first walk over sorted names. Since a directory sorts with its slash, the walk gives keys in the
//! byte order of an object store. Between two pages the walk is kept as a cursor; when a cursor is gone (only the
//! latest few are kept) the walk is found again from the last key, so a page depends on no memory of ours.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, fstat, fstatat};

use super::path;
use super::root::{Kind, Root, kind, meta};
use super::window::{self, NAMES_MAX, SortName, Window};
use crate::{Entry, Error, Key, ListDepth, ListPage, ListRequest, Result};

/// Entries of one page, as S3 has it.
const PAGE_ENTRIES_MAX: usize = 1000;
/// Listings that go on without reading their directories anew.
const CURSORS_MAX: usize = 16;
/// Names that a kept cursor may hold.
const CURSOR_NAMES_MAX: usize = 4 * NAMES_MAX;

/// The listings that were interrupted last.
#[derive(Default)]
pub(super) struct Cursors(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    latest: VecDeque<(String, Walk)>,
    count: u64,
}

impl Cursors {
    fn keep(&self, last: &Key, walk: Walk) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        let token = format!("{}:{last}", kept.count);
        if walk.names_len() <= CURSOR_NAMES_MAX {
            if kept.latest.len() >= CURSORS_MAX {
                kept.latest.pop_front();
            }
            kept.latest.push_back((token.clone(), walk));
        }
        token
    }

    fn take(&self, token: &str, request: &ListRequest) -> Option<Walk> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.latest.iter().position(|(kept, walk)| kept == token && walk.serves(request))?;
        kept.latest.remove(place).map(|(_, walk)| walk)
    }
}

/// One page. [`Error::NotFound`] when the directory does not exist.
pub(super) fn page(root: &Root, cursors: &Cursors, request: &ListRequest) -> Result<ListPage> {
    let kept = request.continuation.as_deref().and_then(|token| cursors.take(token, request));
    let mut walk = match kept {
        Some(walk) => walk,
        None => Walk::start(root, request)?,
    };
    let mut entries = Vec::with_capacity(PAGE_ENTRIES_MAX);
    while entries.len() < PAGE_ENTRIES_MAX {
        match walk.next(root).map_err(|errno| root.error(&walk.place(), errno))? {
            Step::Entry(entry) => entries.push(entry),
            Step::Skip => {}
            Step::End => return Ok(ListPage { entries, next: None }),
        }
    }
    walk.close_directories();
    let next = entries.last().map(|entry| cursors.keep(entry.key(), walk));
    Ok(ListPage { entries, next })
}

/// The key at which a listing goes on.
fn resume_after(request: &ListRequest) -> Result<Option<Key>> {
    let Some(token) = &request.continuation else { return Ok(request.start_after.clone()) };
    let key = token.split_once(':').and_then(|(_, key)| Key::new(key).ok());
    let form = || Error::Protocol {
        url: "file://".into(),
        reason: "a foreign continuation token".into(),
        source: None,
    };
    key.map(Some).ok_or_else(form)
}

enum Step {
    Entry(Entry),
    Skip,
    End,
}

/// A depth-first walk.
struct Walk {
    directory: Key,
    depth: ListDepth,
    levels: Vec<Level>,
}

/// One directory of the way down.
struct Level {
    /// Empty or ending in `/`.
    prefix: String,
    names: std::vec::IntoIter<SortName>,
    /// The last name that was taken.
    after: SortName,
    complete: bool,
    /// Device and inode, to recognize links that lead back up.
    id: (u64, u64),
    /// Closed between two pages.
    open: Option<OwnedFd>,
}

impl Walk {
    fn start(root: &Root, request: &ListRequest) -> Result<Self> {
        let directory = request.directory.clone();
        let resume = resume_after(request)?;
        let mut walk = Self { directory: directory.clone(), depth: request.depth, levels: Vec::new() };
        if !directory.is_directory() || path::of_key(&directory).is_none() {
            return Err(root.not_found(&directory));
        }
        let prefix = directory.as_str();
        let behind = match resume.as_ref().map(Key::as_str) {
            None => "",
            Some(key) if key < prefix => "",
            Some(key) => match key.strip_prefix(prefix) {
                Some(behind) => behind,
                None => return Ok(walk),
            },
        };
        walk.seek(root, behind).map_err(|errno| root.error(&directory, errno))?;
        Ok(walk)
    }

    /// Goes down to the directory of the last key, so that every level stands behind it.
    fn seek(&mut self, root: &Root, behind: &str) -> Result<(), Errno> {
        let mut prefix = self.directory.as_str().to_owned();
        let mut behind = behind;
        self.levels.push(Level::open(root, prefix.clone(), behind)?);
        while let (ListDepth::Recursive, Some((name, rest))) = (self.depth, behind.split_once('/')) {
            prefix.push_str(name);
            prefix.push('/');
            behind = rest;
            match Level::open(root, prefix.clone(), behind) {
                Ok(level) if path::is_name(name) && !self.leads_back(&level) => self.levels.push(level),
                Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EXDEV | Errno::ELOOP) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn next(&mut self, root: &Root) -> Result<Step, Errno> {
        let Some(level) = self.levels.last_mut() else { return Ok(Step::End) };
        let Some(name) = level.next_name(root)? else {
            self.levels.pop();
            return Ok(Step::Skip);
        };
        let Ok(key) = Key::new(format!("{}{name}", level.prefix)) else {
            tracing::debug!(
                prefix = level.prefix,
                name = &*name,
                "a path that is too long for a key is not listed"
            );
            return Ok(Step::Skip);
        };
        if !key.is_directory() {
            let stat = level.stat(root, &name)?;
            let listed = stat.filter(|stat| kind(stat) == Some(Kind::Object));
            return Ok(
                listed.map_or(Step::Skip, |stat| Step::Entry(Entry::Object { key, meta: meta(&stat) }))
            );
        }
        match self.depth {
            ListDepth::Children => Ok(Step::Entry(Entry::Directory { key })),
            ListDepth::Recursive => self.descend(root, key),
        }
    }

    fn descend(&mut self, root: &Root, key: Key) -> Result<Step, Errno> {
        let level = match Level::open(root, key.as_str().to_owned(), "") {
            Ok(level) => level,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EXDEV | Errno::ELOOP) => return Ok(Step::Skip),
            Err(errno) => return Err(errno),
        };
        if self.leads_back(&level) {
            return Ok(Step::Skip);
        }
        if level.names.len() == 0 {
            return Ok(Step::Entry(Entry::Directory { key }));
        }
        self.levels.push(level);
        Ok(Step::Skip)
    }

    fn leads_back(&self, level: &Level) -> bool {
        self.levels.iter().any(|above| above.id == level.id)
    }

    fn serves(&self, request: &ListRequest) -> bool {
        self.directory == request.directory && self.depth == request.depth
    }

    fn names_len(&self) -> usize {
        self.levels.iter().map(|level| level.names.len()).sum()
    }

    fn close_directories(&mut self) {
        for level in &mut self.levels {
            level.open = None;
        }
    }

    /// Where the walk stands, for errors.
    fn place(&self) -> Key {
        self.levels.last().and_then(|level| Key::new(level.prefix.clone()).ok()).unwrap_or_else(Key::root)
    }
}

impl Level {
    fn open(root: &Root, prefix: String, after: &str) -> Result<Self, Errno> {
        let directory = open_prefix(root, &prefix)?;
        let stat = fstat(&directory)?;
        let Window { names, complete } = window::read(root, &directory, &prefix, after)?;
        Ok(Self {
            prefix,
            names: names.into_iter(),
            after: after.into(),
            complete,
            id: (stat.st_dev, stat.st_ino),
            open: Some(directory),
        })
    }

    fn next_name(&mut self, root: &Root) -> Result<Option<SortName>, Errno> {
        if self.names.len() == 0 && !self.complete {
            *self = Self::open(root, std::mem::take(&mut self.prefix), &self.after)?;
        }
        let name = self.names.next();
        if let Some(name) = &name {
            self.after = name.clone();
        }
        Ok(name)
    }

    /// `None` when the name is gone, or a link that leads out of the root.
    fn stat(&mut self, root: &Root, name: &str) -> Result<Option<FileStat>, Errno> {
        let directory = match self.open.take() {
            Some(directory) => directory,
            None => open_prefix(root, &self.prefix)?,
        };
        let result = fstatat(self.open.insert(directory), name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let is_link = |stat: &FileStat| stat.st_mode & nix::libc::S_IFMT == nix::libc::S_IFLNK;
        let result = match result {
            Ok(stat) if is_link(&stat) => root.stat_at(&format!("{}{name}", self.prefix)),
            result => result,
        };
        match result {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT | Errno::EXDEV | Errno::ELOOP | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

fn open_prefix(root: &Root, prefix: &str) -> Result<OwnedFd, Errno> {
    root.open_directory(match prefix.strip_suffix('/') {
        Some(path) => path,
        None => ".",
    })
}
