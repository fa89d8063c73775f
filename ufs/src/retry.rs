//! Time limits and retries around any store: [`Retrying`].
//!
//! Parts: [`Limits`], the pauses (`backoff`), one call with its tries (`attempts`), and the body of a read that is taken
//! up again where it broke (`resume`). All retries of the crate happen here; the SDK's own are off.
//!
//! The trade: a try that timed out may still take effect in the store. Every call of [`Ufs`] is idempotent but those with
//! a condition: after an unclear `put` a failed condition is settled by comparing the bytes; after an unclear `copy` the
//! caller has to look at [`Attributes::write_id`]; a `delete` that finds nothing has succeeded.

mod attempts;
mod backoff;
mod limits;
mod resume;

pub use limits::Limits;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;

use crate::{
    Attributes, Body, ByteRange, Capabilities, CopySource, Error, Key, ListPage, ListRequest, Meta,
    PartNumber, PutCondition, Result, Ufs, UploadId, UploadedPart, Version,
};
use attempts::Attempts;

/// A store whose calls have time limits and are tried again when that may help.
pub struct Retrying<U>(Arc<Shared<U>>);

/// What a body keeps after its `read` returned.
pub(crate) struct Shared<U> {
    store: U,
    limits: Limits,
}

impl<U: Ufs> Retrying<U> {
    /// Wraps a store.
    pub fn new(store: U, limits: Limits) -> Self {
        Self(Arc::new(Shared { store, limits }))
    }

    fn store(&self) -> &U {
        &self.0.store
    }

    fn attempts(&self) -> Attempts<'_> {
        Attempts::new(self.store().url(), &self.0.limits)
    }

    /// For calls that carry `len` bytes to the store.
    fn upload_attempts(&self, len: usize) -> Attempts<'_> {
        self.attempts().with_allowance(Duration::from_secs(len as u64 / Limits::UPLOAD_RATE_MIN))
    }

    /// For calls on which the store itself moves bytes of unknown length.
    fn long_attempts(&self) -> Attempts<'_> {
        self.attempts().with_allowance(self.0.limits.total_timeout)
    }

    /// Whether the object holds exactly these bytes, and if so its metadata.
    async fn holding(&self, key: &Key, data: &Bytes) -> Result<Option<Meta>> {
        let meta = match self.stat(key).await {
            Ok(meta) if meta.size_bytes == data.len() as u64 => meta,
            Ok(_) | Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if data.is_empty() {
            return Ok(Some(meta));
        }
        let mut body = self.read(key, Some(&meta.version), ByteRange::new(0..meta.size_bytes)).await?;
        let mut rest = &data[..];
        while let Some(chunk) = body.next().await {
            match rest.strip_prefix(&chunk?[..]) {
                Some(behind) => rest = behind,
                None => return Ok(None),
            }
        }
        Ok(Some(meta))
    }
}

#[async_trait::async_trait]
impl<U: Ufs> Ufs for Retrying<U> {
    fn url(&self) -> &str {
        self.store().url()
    }

    fn capabilities(&self) -> Capabilities {
        self.store().capabilities()
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.attempts().run(|| self.store().stat(key)).await
    }

    async fn describe(&self, key: &Key) -> Result<(Meta, Attributes)> {
        self.attempts().run(|| self.store().describe(key)).await
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage> {
        self.attempts().run(|| self.store().list(request)).await
    }

    /// A read that names no version costs a `stat`: its body must be bound to one to be taken up again.
    async fn read(&self, key: &Key, version: Option<&Version>, range: ByteRange) -> Result<Body> {
        let version = match version {
            Some(version) => version.clone(),
            None => self.stat(key).await?.version,
        };
        let body = self.attempts().run(|| self.store().read(key, Some(&version), range)).await?;
        Ok(resume::resuming(self.0.clone(), key.clone(), version, range, body))
    }

    async fn put(
        &self,
        key: &Key,
        data: Bytes,
        attributes: &Attributes,
        condition: &PutCondition,
    ) -> Result<Meta> {
        let mut attempts = self.upload_attempts(data.len());
        match attempts.run(|| self.store().put(key, data.clone(), attributes, condition)).await {
            // An earlier try may have stored the bytes before its answer was lost.
            Err(error @ Error::PreconditionFailed { .. }) if attempts.failures() > 0 => {
                self.holding(key, &data).await?.ok_or(error)
            }
            result => result,
        }
    }

    async fn multipart_create(&self, key: &Key, attributes: &Attributes) -> Result<UploadId> {
        self.attempts().run(|| self.store().multipart_create(key, attributes)).await
    }

    async fn multipart_put(
        &self,
        key: &Key,
        upload: &UploadId,
        part: PartNumber,
        data: Bytes,
    ) -> Result<UploadedPart> {
        self.upload_attempts(data.len())
            .run(|| self.store().multipart_put(key, upload, part, data.clone()))
            .await
    }

    async fn multipart_copy(
        &self,
        key: &Key,
        upload: &UploadId,
        part: PartNumber,
        source: &CopySource,
        range: ByteRange,
    ) -> Result<UploadedPart> {
        self.long_attempts().run(|| self.store().multipart_copy(key, upload, part, source, range)).await
    }

    async fn multipart_list(&self, key: &Key, upload: &UploadId) -> Result<Vec<UploadedPart>> {
        self.attempts().run(|| self.store().multipart_list(key, upload)).await
    }

    async fn multipart_complete(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &PutCondition,
    ) -> Result<Meta> {
        self.long_attempts().run(|| self.store().multipart_complete(key, upload, parts, condition)).await
    }

    async fn multipart_abort(&self, key: &Key, upload: &UploadId) -> Result<()> {
        self.attempts().run(|| self.store().multipart_abort(key, upload)).await
    }

    async fn copy(
        &self,
        source: &CopySource,
        to: &Key,
        attributes: Option<&Attributes>,
        condition: &PutCondition,
    ) -> Result<Meta> {
        self.long_attempts().run(|| self.store().copy(source, to, attributes, condition)).await
    }

    async fn delete(&self, key: &Key, version: Option<&Version>) -> Result<()> {
        self.attempts().run(|| self.store().delete(key, version)).await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<()> {
        self.attempts().run(|| self.store().rename(from, to)).await
    }
}
