//! [`Pages`]: a listing page by page, the next fetched while the last is worked on.

use std::sync::Arc;

use tokio::task::JoinSet;
use ufs::{Key, ListDepth, ListPage, ListRequest, Ufs};

use crate::namespace::error::NamespaceError;
use crate::namespace::tree::Origin;

pub(super) struct Pages {
    ufs: Arc<dyn Ufs>,
    request: Option<ListRequest>,
    /// At most one request under way; dropping the set cancels it.
    ahead: JoinSet<ufs::Result<ListPage>>,
}

impl Pages {
    pub(super) fn new(ufs: Arc<dyn Ufs>, origin: &Origin, depth: ListDepth) -> Result<Self, NamespaceError> {
        let not_found = || NamespaceError::NotFound { path: origin.directory.clone() };
        let directory = origin.directory_key().ok_or_else(not_found)?;
        let request = ListRequest { directory, depth, start_after: None, continuation: None };
        Ok(Self { ufs, request: Some(request), ahead: JoinSet::new() })
    }

    /// Only keys behind this one.
    pub(super) fn after(mut self, key: Option<Key>) -> Self {
        if let Some(request) = &mut self.request {
            request.start_after = key;
        }
        self
    }

    /// The next page; `None` behind the last.
    pub(super) async fn next(&mut self) -> ufs::Result<Option<ListPage>> {
        if self.ahead.is_empty() {
            self.fetch_ahead();
        }
        let Some(fetched) = self.ahead.join_next().await else { return Ok(None) };
        let page = match fetched {
            Ok(page) => page?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        match (&page.next, &mut self.request) {
            (Some(token), Some(request)) => request.continuation = Some(token.clone()),
            _ => self.request = None,
        }
        self.fetch_ahead();
        Ok(Some(page))
    }

    fn fetch_ahead(&mut self) {
        if let Some(request) = self.request.clone() {
            let ufs = self.ufs.clone();
            self.ahead.spawn(async move { ufs.list(&request).await });
        }
    }
}
