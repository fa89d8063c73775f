//! [`MemoryStore`]: a store in memory that counts calls, fails and waits on demand.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use ufs::{
    Attributes, Body, ByteRange, Capabilities, CopySource, Entry, Error, Key, ListDepth, ListPage,
    ListRequest, Meta, PartNumber, PutCondition, Result, Ufs, UploadId, UploadedPart, Version,
};

const URL: &str = "memory://";

/// An object store: directories are common prefixes.
pub(crate) struct MemoryStore {
    objects: Mutex<BTreeMap<String, Meta>>,
    page_entries: usize,
    pub(crate) stats: AtomicUsize,
    pub(crate) lists: AtomicUsize,
    pub(crate) is_down: AtomicBool,
    /// Calls wait while this is false.
    gate: watch::Sender<bool>,
    /// Calls that have begun.
    pub(crate) begun: AtomicUsize,
    pub(crate) is_unordered: AtomicBool,
}

impl MemoryStore {
    pub(crate) fn new(page_entries: usize, keys: &[&str]) -> Arc<Self> {
        let store = Self {
            objects: Mutex::default(),
            page_entries,
            stats: AtomicUsize::new(0),
            lists: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
            gate: watch::Sender::new(true),
            begun: AtomicUsize::new(0),
            is_unordered: AtomicBool::new(false),
        };
        keys.iter().for_each(|key| store.put(key, "v1"));
        Arc::new(store)
    }

    /// Puts an object whose size is the length of its key.
    pub(crate) fn put(&self, key: &str, version: &str) {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let meta = Meta { size_bytes: key.len() as u64, modified, version: Version::new(version) };
        self.objects.lock().insert(key.to_owned(), meta);
    }

    pub(crate) fn remove(&self, key: &str) {
        self.objects.lock().remove(key);
    }

    /// Calls wait from now on, until [`open_gate`](Self::open_gate).
    pub(crate) fn close_gate(&self) {
        self.gate.send_replace(false);
    }

    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.stats.load(Ordering::SeqCst) + self.lists.load(Ordering::SeqCst)
    }

    async fn begin(&self, count: &AtomicUsize) -> Result<()> {
        count.fetch_add(1, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.gate.subscribe().wait_for(|is_open| *is_open).await.expect("the store lives");
        if self.is_down.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { url: URL.into(), reason: "planted".into(), source: None });
        }
        Ok(())
    }

    fn page(&self, request: &ListRequest) -> ListPage {
        let prefix = request.directory.as_str();
        let after = request.continuation.clone().or(request.start_after.as_ref().map(|key| key.to_string()));
        let start = after.as_deref().filter(|after| *after > prefix).unwrap_or(prefix);
        let objects = self.objects.lock();
        let mut entries: Vec<Entry> = Vec::new();
        let range = objects.range::<str, _>((Bound::Excluded(start), Bound::Unbounded));
        for (key, meta) in range.take_while(|(key, _)| key.starts_with(prefix)) {
            let entry = match key[prefix.len()..].split_once('/') {
                Some((name, _)) if request.depth == ListDepth::Children => Entry::Directory {
                    key: Key::new(format!("{prefix}{name}/")).expect("shorter than the key"),
                },
                _ => Entry::Object { key: Key::new(key.as_str()).expect("short keys"), meta: meta.clone() },
            };
            let is_passed = after.as_deref().is_some_and(|after| entry.key().as_str() <= after);
            if is_passed || entries.last().is_some_and(|last| last.key() == entry.key()) {
                continue;
            }
            if entries.len() == self.page_entries {
                let next = entries.last().map(|last| last.key().to_string());
                return ListPage { entries, next };
            }
            entries.push(entry);
        }
        ListPage { entries, next: None }
    }
}

#[async_trait::async_trait]
impl Ufs for MemoryStore {
    fn url(&self) -> &str {
        URL
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_rename: false,
            put_if_absent: false,
            put_if_version: false,
            real_directories: false,
            part_size_bytes_min: 1,
        }
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.begin(&self.stats).await?;
        let not_found = || Error::NotFound { url: URL.into(), key: key.to_string() };
        self.objects.lock().get(key.as_str()).cloned().ok_or_else(not_found)
    }

    async fn describe(&self, _: &Key) -> Result<(Meta, Attributes)> {
        Err(unsupported("describe"))
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage> {
        self.begin(&self.lists).await?;
        let mut page = self.page(request);
        if self.is_unordered.load(Ordering::SeqCst) {
            page.entries.reverse();
        }
        Ok(page)
    }

    async fn read(&self, _: &Key, _: Option<&Version>, _: ByteRange) -> Result<Body> {
        Err(unsupported("read"))
    }

    async fn put(&self, _: &Key, _: bytes::Bytes, _: &Attributes, _: &PutCondition) -> Result<Meta> {
        Err(unsupported("put"))
    }

    async fn multipart_create(&self, _: &Key, _: &Attributes) -> Result<UploadId> {
        Err(unsupported("multipart_create"))
    }

    async fn multipart_put(
        &self,
        _: &Key,
        _: &UploadId,
        _: PartNumber,
        _: bytes::Bytes,
    ) -> Result<UploadedPart> {
        Err(unsupported("multipart_put"))
    }

    async fn multipart_copy(
        &self,
        _: &Key,
        _: &UploadId,
        _: PartNumber,
        _: &CopySource,
        _: ByteRange,
    ) -> Result<UploadedPart> {
        Err(unsupported("multipart_copy"))
    }

    async fn multipart_list(&self, _: &Key, _: &UploadId) -> Result<Vec<UploadedPart>> {
        Err(unsupported("multipart_list"))
    }

    async fn multipart_complete(
        &self,
        _: &Key,
        _: &UploadId,
        _: &[UploadedPart],
        _: &PutCondition,
    ) -> Result<Meta> {
        Err(unsupported("multipart_complete"))
    }

    async fn multipart_abort(&self, _: &Key, _: &UploadId) -> Result<()> {
        Err(unsupported("multipart_abort"))
    }

    async fn copy(&self, _: &CopySource, _: &Key, _: Option<&Attributes>, _: &PutCondition) -> Result<Meta> {
        Err(unsupported("copy"))
    }

    async fn delete(&self, _: &Key, _: Option<&Version>) -> Result<()> {
        Err(unsupported("delete"))
    }

    async fn rename(&self, _: &Key, _: &Key) -> Result<()> {
        Err(unsupported("rename"))
    }
}

fn unsupported(operation: &'static str) -> Error {
    Error::Unsupported { url: URL.into(), operation }
}
