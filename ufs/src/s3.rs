//! `s3://`: S3, Ceph RGW and kin.
//!
//! Parts: where requests go (`target`, `encode`), who asks (`credentials`, `sign`), our own requests (`http`, `read`,
//! `list`, `xml`), the SDK's (`write`, `multipart`), and what refusals mean (`errors`).
//!
//! Flow: reads, listings and HEADs are signed here and sent through a pool of HTTP/1.1 connections; whatever changes the
//! store goes through `aws-sdk-s3`. Neither retries: [`crate::retry`] does.
//!
//! The trade: a second way to send requests, for a fraction of the SDK's CPU time per request; see
//! `docs/decisions/004-small-object-get.md`.

mod attributes;
mod credentials;
mod encode;
mod errors;
mod http;
mod list;
mod multipart;
mod read;
mod roots;
mod sdk;
mod settings;
mod sign;
mod target;
mod write;
mod xml;

pub use settings::{Credentials, Settings};

use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use crate::{
    Attributes, Body, ByteRange, Capabilities, CopySource, Error, Key, ListPage, ListRequest, Meta,
    PartNumber, PutCondition, Result, Ufs, UploadId, UploadedPart, Version,
};
use http::Http;
use roots::Roots;
use sign::Signer;
use target::Target;

/// Keys of one page of a listing: the most that S3 gives.
const PAGE_KEYS_MAX: u32 = 1000;
/// "Amazon S3 multipart upload limits".
const PART_SIZE_BYTES_MIN: u64 = 5 << 20;

/// A bucket, or the part of it below a prefix. Without time limits and retries: see [`crate::connect`].
pub struct S3Store {
    http: Http,
    sdk: aws_sdk_s3::Client,
    /// Learned at run time: the server compares `If-Match` of a PUT with the bare ETag (Ceph 16.2).
    bare_if_match: AtomicBool,
}

impl S3Store {
    /// Builds clients from the settings. Nothing is sent.
    pub async fn new(bucket: &str, prefix: &str, settings: &Settings) -> Result<Self> {
        let resolved = credentials::resolve(settings, sdk::http_client(&Roots::System)).await;
        let target = Target::new(bucket, prefix, resolved.place)?;
        let roots = Roots::new(&target.url, settings.ca_file.as_deref())?;
        let sdk = sdk::client(&target, sdk::http_client(&roots), resolved.provider.clone());
        let signer = Signer::new(&target.url, &target.region, resolved.provider);
        let http = Http::new(target, signer, &roots, settings.connections_max)?;
        Ok(Self { http, sdk, bare_if_match: AtomicBool::new(false) })
    }

    fn target(&self) -> &Target {
        &self.http.target
    }
}

#[async_trait::async_trait]
impl Ufs for S3Store {
    fn url(&self) -> &str {
        &self.target().url
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_rename: false,
            put_if_absent: true,
            put_if_version: true,
            real_directories: false,
            part_size_bytes_min: PART_SIZE_BYTES_MIN,
        }
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.head(key).await
    }

    async fn describe(&self, key: &Key) -> Result<(Meta, Attributes)> {
        let (meta, headers) = self.head_with_headers(key).await?;
        Ok((meta, attributes::from_headers(&headers)))
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage> {
        self.list_page(request, PAGE_KEYS_MAX).await
    }

    async fn read(&self, key: &Key, version: Option<&Version>, range: ByteRange) -> Result<Body> {
        self.get(key, version, range).await
    }

    async fn put(
        &self,
        key: &Key,
        data: Bytes,
        attributes: &Attributes,
        condition: &PutCondition,
    ) -> Result<Meta> {
        self.put_object(key, data, attributes, condition).await
    }

    async fn multipart_create(&self, key: &Key, attributes: &Attributes) -> Result<UploadId> {
        self.create_upload(key, None, self.metadata(attributes)?).await
    }

    async fn multipart_put(
        &self,
        key: &Key,
        upload: &UploadId,
        part: PartNumber,
        data: Bytes,
    ) -> Result<UploadedPart> {
        self.put_part(key, upload, part, data).await
    }

    async fn multipart_copy(
        &self,
        key: &Key,
        upload: &UploadId,
        part: PartNumber,
        source: &CopySource,
        range: ByteRange,
    ) -> Result<UploadedPart> {
        self.copy_part(source, key, upload, part, range).await
    }

    async fn multipart_list(&self, key: &Key, upload: &UploadId) -> Result<Vec<UploadedPart>> {
        self.list_parts(key, upload).await
    }

    async fn multipart_complete(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &PutCondition,
    ) -> Result<Meta> {
        self.complete_upload(key, upload, parts, condition).await
    }

    async fn multipart_abort(&self, key: &Key, upload: &UploadId) -> Result<()> {
        self.abort_upload(key, upload).await
    }

    async fn copy(
        &self,
        source: &CopySource,
        to: &Key,
        attributes: Option<&Attributes>,
        condition: &PutCondition,
    ) -> Result<Meta> {
        self.copy_object(source, to, attributes, condition).await
    }

    async fn delete(&self, key: &Key, version: Option<&Version>) -> Result<()> {
        self.delete_object(key, version).await
    }

    async fn rename(&self, _from: &Key, _to: &Key) -> Result<()> {
        Err(Error::Unsupported { url: self.target().url.clone(), operation: "rename" })
    }
}
