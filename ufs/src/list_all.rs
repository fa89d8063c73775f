//! [`list_all`]: a whole tree, listed over several lanes at once.
//!
//! A store hands out one listing page after page, and its next page needs the token of the one before. Directories are
//! independent of each other, though. So: the first page below a directory is fetched recursively. When it is the
//! last, that was all. When it shows no sub-directories, the directory is flat and goes on page after page. Otherwise
//! the page is dropped, and the directory's children are listed, each directory among them on a lane of its own.
//!
//! The trade: a directory of many objects with sub-directories costs one page too many, and pages of different
//! directories come in no order. A flat directory stays on one lane, since nothing tells where it could be split.

use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt, try_unfold};
use tokio::task::{JoinError, JoinSet};

use crate::{Entry, Error, Key, ListDepth, ListPage, ListRequest, Result, Ufs};

/// Lists every object below a directory, and the empty directories, with up to `lanes` requests at a time. Each item is
/// one page; its entries are in ascending order, the pages are not. The stream ends after the first error.
///
/// Waiting work is at most one page of names for each lane and each level of the tree.
pub fn list_all(store: Arc<dyn Ufs>, directory: Key, lanes: usize) -> BoxStream<'static, Result<Vec<Entry>>> {
    let first = Work { directory: directory.clone(), step: Step::Look };
    let walk =
        Walk { store, root: directory, lanes: lanes.max(1), pending: vec![first], running: JoinSet::new() };
    try_unfold(walk, |mut walk| async move { Ok(walk.next().await?.map(|entries| (entries, walk))) }).boxed()
}

struct Walk {
    store: Arc<dyn Ufs>,
    root: Key,
    lanes: usize,
    /// The last is next, which keeps the walk deep rather than wide.
    pending: Vec<Work>,
    running: JoinSet<(Work, Result<ListPage>)>,
}

/// One page to fetch.
struct Work {
    directory: Key,
    step: Step,
}

enum Step {
    /// The first page below a directory, to learn what it is like.
    Look,
    /// Objects of a flat directory, from a token on.
    Flat(String),
    /// Children of a directory, from a token on.
    Children(Option<String>),
}

impl Work {
    fn request(&self) -> ListRequest {
        let (depth, continuation) = match &self.step {
            Step::Look => (ListDepth::Recursive, None),
            Step::Flat(token) => (ListDepth::Recursive, Some(token.clone())),
            Step::Children(token) => (ListDepth::Children, token.clone()),
        };
        ListRequest { directory: self.directory.clone(), depth, start_after: None, continuation }
    }
}

impl Walk {
    /// Entries of the next page that has any.
    async fn next(&mut self) -> Result<Option<Vec<Entry>>> {
        loop {
            while self.running.len() < self.lanes
                && let Some(work) = self.pending.pop()
            {
                let store = self.store.clone();
                self.running.spawn(async move {
                    let page = store.list(&work.request()).await;
                    (work, page)
                });
            }
            let Some(finished) = self.running.join_next().await else { return Ok(None) };
            let (work, page) = finished.map_err(|error| self.died(error))?;
            let entries = match page {
                Ok(page) => self.follow(work, page),
                // Deleted since its parent was listed.
                Err(Error::NotFound { .. }) if work.directory != self.root => continue,
                Err(error) => return Err(error),
            };
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
        }
    }

    /// Queues what a page leads to, and gives what it holds.
    fn follow(&mut self, work: Work, page: ListPage) -> Vec<Entry> {
        let Work { directory, step } = work;
        match (step, page.next) {
            (Step::Look, None) if page.entries.is_empty() && directory != self.root => {
                return vec![Entry::Directory { key: directory }];
            }
            (Step::Look, Some(_)) if has_directories(&directory, &page.entries) => {
                self.pending.push(Work { directory, step: Step::Children(None) });
                return Vec::new();
            }
            (Step::Look | Step::Flat(_), Some(token)) => {
                self.pending.push(Work { directory, step: Step::Flat(token) });
            }
            (Step::Look | Step::Flat(_), None) => {}
            (Step::Children(_), next) => return self.descend(directory, page.entries, next),
        }
        page.entries
    }

    /// Sub-directories go on top of the next page of their parent, so that few wait at a time.
    fn descend(&mut self, parent: Key, entries: Vec<Entry>, next: Option<String>) -> Vec<Entry> {
        if next.is_some() {
            self.pending.push(Work { directory: parent, step: Step::Children(next) });
        }
        let mut objects = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry {
                Entry::Directory { key } => self.pending.push(Work { directory: key, step: Step::Look }),
                object @ Entry::Object { .. } => objects.push(object),
            }
        }
        objects
    }

    fn died(&self, error: JoinError) -> Error {
        let reason = "a lister died".to_owned();
        Error::Unavailable { url: self.store.url().to_owned(), reason, source: Some(error.into()) }
    }
}

fn has_directories(directory: &Key, entries: &[Entry]) -> bool {
    let below = |entry: &Entry| {
        entry.key().as_str().get(directory.as_str().len()..).is_some_and(|name| name.contains('/'))
    };
    entries.iter().any(below)
}
