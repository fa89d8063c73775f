//! Multipart uploads, through the SDK.
//!
//! An upload that was completed by a try whose answer got lost is recognized by its ETag: the MD5 of the parts' MD5s and
//! the number of parts, on AWS (without KMS), Ceph, MinIO and SeaweedFS alike.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Part};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use md5::{Digest, Md5};

use super::S3Store;
use super::attributes::Metadata;
use super::errors::Subject;
use super::read::{quoted, version_of_etag};
use super::sdk;
use crate::{
    ByteRange, CopySource, Error, Key, Meta, PartNumber, PutCondition, Result, UploadId, UploadedPart,
    Version,
};

/// "Amazon S3 multipart upload limits".
const PARTS_MAX: usize = 10_000;
/// Parts of a large copy; 10,000 of them are more than the largest object.
const COPY_PART_BYTES: u64 = 512 << 20;
const COPY_PARTS_AT_ONCE: usize = 4;

impl S3Store {
    pub(super) async fn create_upload(
        &self,
        key: &Key,
        content_type: Option<String>,
        metadata: Metadata,
    ) -> Result<UploadId> {
        let target = self.target();
        let request = self.sdk.create_multipart_upload().bucket(&target.bucket).key(target.full_key(key));
        let request = request.set_content_type(content_type).set_metadata(Some(metadata));
        let _connection = self.http.connection().await;
        let answer = request.send().await.map_err(|error| sdk::error(target, Subject::Bucket, error))?;
        let id = answer.upload_id().ok_or_else(|| self.unusable("a new upload without an id"))?;
        Ok(UploadId(id.to_owned()))
    }

    pub(super) async fn put_part(
        &self,
        key: &Key,
        upload: &UploadId,
        part: PartNumber,
        data: Bytes,
    ) -> Result<UploadedPart> {
        let target = self.target();
        let size_bytes = data.len() as u64;
        let request = self.sdk.upload_part().bucket(&target.bucket).key(target.full_key(key));
        let request =
            request.upload_id(&upload.0).part_number(i32::from(part.0)).body(ByteStream::from(data));
        let request = request.customize();
        let request = if target.is_https() { request.disable_payload_signing() } else { request };
        let _connection = self.http.connection().await;
        let answer = request.send().await.map_err(|error| sdk::error(target, Subject::Object(key), error))?;
        let etag = answer.e_tag().ok_or_else(|| self.unusable("a part without an ETag"))?;
        Ok(UploadedPart { number: part, etag: etag.to_owned(), size_bytes })
    }

    pub(super) async fn list_parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<UploadedPart>> {
        let target = self.target();
        let request =
            self.sdk.list_parts().bucket(&target.bucket).key(target.full_key(key)).upload_id(&upload.0);
        let mut parts = Vec::new();
        let mut marker = None;
        // Parts come in pages of up to 1,000; a server that gives fewer still ends within the number of parts.
        for _ in 0..PARTS_MAX {
            let _connection = self.http.connection().await;
            let answer = request.clone().set_part_number_marker(marker).send().await;
            let answer = answer.map_err(|error| sdk::error(target, Subject::Object(key), error))?;
            for part in answer.parts() {
                parts.push(self.uploaded_part(part)?);
            }
            marker = answer.next_part_number_marker().map(str::to_owned);
            if answer.is_truncated() != Some(true) || marker.is_none() || parts.len() >= PARTS_MAX {
                break;
            }
        }
        Ok(parts)
    }

    fn uploaded_part(&self, part: &Part) -> Result<UploadedPart> {
        let number = part.part_number().and_then(|number| u16::try_from(number).ok());
        let size_bytes = part.size().and_then(|size| u64::try_from(size).ok());
        match (number, part.e_tag(), size_bytes) {
            (Some(number), Some(etag), Some(size_bytes)) => {
                Ok(UploadedPart { number: PartNumber(number), etag: etag.to_owned(), size_bytes })
            }
            _ => Err(self.unusable("a part without number, ETag or size")),
        }
    }

    pub(super) async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &PutCondition,
    ) -> Result<Meta> {
        let size_bytes = parts.iter().map(|part| part.size_bytes).sum();
        self.check_condition(key, condition).await?;
        match self.send_complete(key, upload, parts, condition).await {
            Ok(etag) => self.stored(key, etag, size_bytes).await,
            Err(gone @ Error::NotFound { .. }) => self.completed_before(key, parts, gone).await,
            // Ceph 16.2 answers 500 "already in progress" for an upload that is gone.
            Err(error @ Error::Unavailable { .. }) => match self.list_parts(key, upload).await {
                Err(gone @ Error::NotFound { .. }) => self.completed_before(key, parts, gone).await,
                Ok(_) | Err(_) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// An upload that is gone was completed by an earlier try, or aborted by somebody.
    async fn completed_before(&self, key: &Key, parts: &[UploadedPart], gone: Error) -> Result<Meta> {
        match self.head(key).await {
            Ok(meta) if Some(&meta.version) == expected_version(parts).as_ref() => Ok(meta),
            Ok(_) | Err(Error::NotFound { .. }) => Err(gone),
            Err(error) => Err(error),
        }
    }

    /// Ceph 16.2 ignores conditions on CompleteMultipartUpload, so they are looked at here too. That leaves a gap of one
    /// round trip on such servers.
    pub(super) async fn check_condition(&self, key: &Key, condition: &PutCondition) -> Result<()> {
        let holds = match condition {
            PutCondition::Always => return Ok(()),
            PutCondition::IfAbsent => !self.exists(key).await?,
            PutCondition::IfVersion(version) => self.head(key).await?.version == *version,
        };
        if holds {
            return Ok(());
        }
        Err(Error::PreconditionFailed { url: self.target().url.clone(), key: key.as_str().to_owned() })
    }

    async fn exists(&self, key: &Key) -> Result<bool> {
        match self.head(key).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The new version; `None` from Ceph 16.2, which leaves the ETag empty.
    async fn send_complete(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &PutCondition,
    ) -> Result<Option<Version>> {
        let target = self.target();
        let list = parts.iter().map(|part| {
            CompletedPart::builder().part_number(i32::from(part.number.0)).e_tag(&part.etag).build()
        });
        let list = CompletedMultipartUpload::builder().set_parts(Some(list.collect())).build();
        let request = self.sdk.complete_multipart_upload().bucket(&target.bucket).key(target.full_key(key));
        let request = request.upload_id(&upload.0).multipart_upload(list);
        let request = match condition {
            PutCondition::Always => request,
            PutCondition::IfAbsent => request.if_none_match("*"),
            PutCondition::IfVersion(version) => request.if_match(quoted(version)),
        };
        let _connection = self.http.connection().await;
        let answer = request.send().await.map_err(|error| sdk::error(target, Subject::Object(key), error))?;
        Ok(answer.e_tag().and_then(version_of_etag))
    }

    pub(super) async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()> {
        let target = self.target();
        let request = self.sdk.abort_multipart_upload().bucket(&target.bucket).key(target.full_key(key));
        let _connection = self.http.connection().await;
        let answer = request.upload_id(&upload.0).send().await;
        match answer.map_err(|error| sdk::error(target, Subject::Object(key), error)) {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Copies an object that is too large for one CopyObject.
    pub(super) async fn copy_in_parts(
        &self,
        source: &CopySource,
        size_bytes: u64,
        to: &Key,
        upload: UploadId,
        condition: &PutCondition,
    ) -> Result<Meta> {
        let result = match self.copy_parts(source, size_bytes, to, &upload).await {
            Ok(parts) => self.complete_upload(to, &upload, &parts, condition).await,
            Err(error) => Err(error),
        };
        if result.is_err()
            && let Err(error) = self.abort_upload(to, &upload).await
        {
            tracing::warn!(%error, key = %to, upload = %upload.0, "an unfinished upload stays in the bucket");
        }
        result
    }

    async fn copy_parts(
        &self,
        source: &CopySource,
        size_bytes: u64,
        to: &Key,
        upload: &UploadId,
    ) -> Result<Vec<UploadedPart>> {
        let starts = (0..size_bytes).step_by(usize::try_from(COPY_PART_BYTES).expect("64-bit"));
        let parts = starts.zip(1u16..).map(|(start, number)| {
            let range = ByteRange::new(start..size_bytes.min(start + COPY_PART_BYTES));
            self.copy_part(source, to, upload, PartNumber(number), range)
        });
        futures::stream::iter(parts).buffered(COPY_PARTS_AT_ONCE).try_collect().await
    }

    pub(super) async fn copy_part(
        &self,
        source: &CopySource,
        to: &Key,
        upload: &UploadId,
        number: PartNumber,
        range: ByteRange,
    ) -> Result<UploadedPart> {
        if range.is_empty() {
            return Err(self.outside(&source.key, range));
        }
        let target = self.target();
        let request = self.sdk.upload_part_copy().bucket(&target.bucket).key(target.full_key(to));
        let request = request.upload_id(&upload.0).part_number(i32::from(number.0));
        let request = request.copy_source(self.copy_source(&source.key));
        let request = request.copy_source_if_match(quoted(&source.version));
        let request = request.copy_source_range(format!("bytes={}-{}", range.start, range.end - 1));
        // Ceph 16.2 answers 411 without it; the SDK sends none for an empty body.
        let request = request.customize().mutate_request(|request| {
            request.headers_mut().insert("content-length", "0");
        });
        let connection = self.http.connection().await;
        let answer = request.send().await;
        drop(connection);
        let answer = answer.map_err(|error| sdk::error(target, source.subject(), error))?;
        let etag = answer.copy_part_result().and_then(|result| result.e_tag());
        let etag = etag.ok_or_else(|| self.unusable("a copied part without an ETag"))?.to_owned();
        // Ceph 16.2 does not look at the version of the source. What it was after the copy, it was during the copy.
        if self.head(&source.key).await?.version != source.version {
            return Err(self.changed(source));
        }
        Ok(UploadedPart { number, etag, size_bytes: range.len() })
    }
}

/// `None` when a part's ETag is no MD5.
fn expected_version(parts: &[UploadedPart]) -> Option<Version> {
    let mut hash = Md5::new();
    for part in parts {
        let hex = part.etag.trim_matches('"');
        let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len() == 32)?;
        for pair in digits.chunks_exact(2) {
            hash.update([u8::try_from(pair[0] << 4 | pair[1]).ok()?]);
        }
    }
    let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Some(Version::new(format!("{digest}-{}", parts.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected value from `printf '%s' <md5 of 'a'><md5 of 'b'> | xxd -r -p | md5sum`.
    #[test]
    fn the_etag_of_a_multipart_object_is_foretold() {
        let part = |number, etag: &str| UploadedPart {
            number: PartNumber(number),
            etag: etag.into(),
            size_bytes: 1,
        };
        let parts =
            [part(1, "\"0cc175b9c0f1b6a831c399e269772661\""), part(2, "92eb5ffee6ae2fec3ad71c777531578f")];
        assert_eq!(expected_version(&parts), Some(Version::new("96e024ba2074fe77e8e965ba43a704be-2")));
        assert_eq!(expected_version(&[part(1, "no-md5")]), None);
    }
}
