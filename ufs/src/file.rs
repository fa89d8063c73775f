//! `file://`: a local or NFS directory as a store.
//!
//! Parts: names and opening below the root (`path`, `root`), `listing` with its `window`s of sorted names, `read`,
//! `write`, `multipart`, and mode, owner, times and xattrs of files (`attributes`).
//!
//! Flow: every call is a few system calls in one unit on tokio's blocking pool; a read takes a unit per MiB.
//!
//! Safety of paths: everything is opened with `openat2(RESOLVE_BENEATH)` (Linux 5.6) relative to the root, so no key, no
//! symbolic link and no rename under our feet leads out of it. Links that stay below the root are followed; others,
//! absolute ones too, are not listed and not found. Sockets, pipes and devices are no objects.
//!
//! The trade: a version is made of inode, size, mtime and ctime, so a change of mode or a hard link makes a new version
//! though the bytes are the same; and before Linux 6.13 two changes within one timer tick (up to 10 ms) can look alike
//! when they leave the size as it was.

mod attributes;
mod listing;
mod multipart;
mod path;
mod read;
mod root;
mod window;
mod write;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::{
    Attributes, Body, ByteRange, Capabilities, CopySource, Error, Key, ListPage, ListRequest, Meta,
    PartNumber, PutCondition, Result, Ufs, UploadId, UploadedPart, Version,
};
use listing::Cursors;
use root::Root;

/// Units of work on the blocking pool at one time; a hung NFS server holds no more threads than that.
const UNITS_MAX: usize = 64;

/// A directory as a store. Without time limits: see [`crate::connect`].
#[derive(Clone)]
pub struct FileStore {
    shared: Arc<Shared>,
    units: Arc<Semaphore>,
}

struct Shared {
    root: Root,
    cursors: Cursors,
}

impl FileStore {
    /// Opens the root directory. [`Error::NoSuchStore`] when there is none.
    pub async fn open(root: &Path) -> Result<Self> {
        let path = root.to_owned();
        let root = unit(format!("file://{}", root.display()), move || Root::open(&path)).await?;
        let shared = Arc::new(Shared { root, cursors: Cursors::default() });
        Ok(Self { shared, units: Arc::new(Semaphore::new(UNITS_MAX)) })
    }

    /// Runs one unit of work on the blocking pool. It goes on to its end when the caller is dropped.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.units.clone().acquire_owned().await.expect("the semaphore is never closed");
        let shared = self.shared.clone();
        let url = self.shared.root.url().to_owned();
        unit(url, move || {
            let _held_until_the_end = permit;
            work(&shared)
        })
        .await
    }
}

async fn unit<T: Send + 'static>(
    url: String,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(Error::Unavailable { url, reason: "a worker died".into(), source: Some(error.into()) })
        }
    }
}

#[async_trait::async_trait]
impl Ufs for FileStore {
    fn url(&self) -> &str {
        self.shared.root.url()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_rename: true,
            put_if_absent: true,
            // Looked at before the rename, which leaves a gap for writers beside us.
            put_if_version: false,
            real_directories: true,
            part_size_bytes_min: 1,
        }
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        let key = key.clone();
        self.run(move |shared| shared.root.stat(&key)).await
    }

    async fn describe(&self, key: &Key) -> Result<(Meta, Attributes)> {
        let key = key.clone();
        self.run(move |shared| attributes::describe(&shared.root, &key)).await
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage> {
        let request = request.clone();
        self.run(move |shared| listing::page(&shared.root, &shared.cursors, &request)).await
    }

    async fn read(&self, key: &Key, version: Option<&Version>, range: ByteRange) -> Result<Body> {
        read::open(self, key.clone(), version.cloned(), range).await
    }

    async fn put(
        &self,
        key: &Key,
        data: Bytes,
        attributes: &Attributes,
        condition: &PutCondition,
    ) -> Result<Meta> {
        let (key, attributes, condition) = (key.clone(), attributes.clone(), condition.clone());
        self.run(move |shared| write::put(&shared.root, &key, &data, &attributes, &condition)).await
    }

    async fn multipart_create(&self, key: &Key, attributes: &Attributes) -> Result<UploadId> {
        let (key, attributes) = (key.clone(), attributes.clone());
        self.run(move |shared| multipart::create(&shared.root, &key, &attributes)).await
    }

    async fn multipart_put(
        &self,
        key: &Key,
        upload: &UploadId,
        part: PartNumber,
        data: Bytes,
    ) -> Result<UploadedPart> {
        let (key, upload) = (key.clone(), upload.clone());
        self.run(move |shared| multipart::put(&shared.root, &key, &upload, part, &data)).await
    }

    async fn multipart_copy(
        &self,
        key: &Key,
        upload: &UploadId,
        part: PartNumber,
        source: &CopySource,
        range: ByteRange,
    ) -> Result<UploadedPart> {
        let (key, upload, source) = (key.clone(), upload.clone(), source.clone());
        self.run(move |shared| multipart::copy(&shared.root, &key, &upload, part, &source, range)).await
    }

    async fn multipart_list(&self, key: &Key, upload: &UploadId) -> Result<Vec<UploadedPart>> {
        let (key, upload) = (key.clone(), upload.clone());
        self.run(move |shared| multipart::list(&shared.root, &key, &upload)).await
    }

    async fn multipart_complete(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &PutCondition,
    ) -> Result<Meta> {
        let (key, upload, parts, condition) =
            (key.clone(), upload.clone(), parts.to_vec(), condition.clone());
        self.run(move |shared| multipart::complete(&shared.root, &key, &upload, &parts, &condition)).await
    }

    async fn multipart_abort(&self, key: &Key, upload: &UploadId) -> Result<()> {
        let (key, upload) = (key.clone(), upload.clone());
        self.run(move |shared| multipart::abort(&shared.root, &key, &upload)).await
    }

    async fn copy(
        &self,
        source: &CopySource,
        to: &Key,
        attributes: Option<&Attributes>,
        condition: &PutCondition,
    ) -> Result<Meta> {
        let (source, to, attributes, condition) =
            (source.clone(), to.clone(), attributes.cloned(), condition.clone());
        self.run(move |shared| write::copy(&shared.root, &source, &to, attributes.as_ref(), &condition)).await
    }

    async fn delete(&self, key: &Key, version: Option<&Version>) -> Result<()> {
        let (key, version) = (key.clone(), version.cloned());
        self.run(move |shared| write::delete(&shared.root, &key, version.as_ref())).await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.run(move |shared| write::rename(&shared.root, &from, &to)).await
    }
}
