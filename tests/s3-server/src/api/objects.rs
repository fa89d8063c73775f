//! GET, HEAD, PUT, copy and delete of objects.

use std::ops::Range;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use s3s::dto::*;
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};

use super::Api;
use super::upload_body::{Expected, receive};
use crate::store::conditions::Conditions;
use crate::store::content::Content;
use crate::store::version::{Attributes, EntityTag, Version};

impl Api {
    pub(super) fn get(&self, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        let version = self.store.bucket(&input.bucket)?.get(&input.key)?;
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check_read(&version)?;
        let size_bytes = version.content.size_bytes();
        let range = input.range.map(|range| satisfy(range, size_bytes)).transpose()?;
        let content = match &range {
            Some(range) => version.content.slice(range.clone()),
            None => version.content.clone(),
        };
        Ok(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(content.size_bytes())),
            content_range: range.map(|range| content_range(&range, size_bytes)),
            body: Some(StreamingBlob::new(content.into_body())),
            content_type: version.attributes.content_type(),
            e_tag: Some(version.tag.to_header()),
            last_modified: Some(version.modified.into()),
            metadata: version.attributes.metadata(),
            ..Default::default()
        })
    }

    pub(super) fn head(&self, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
        let version = self.store.bucket(&input.bucket)?.get(&input.key)?;
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check_read(&version)?;
        Ok(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(version.content.size_bytes())),
            content_type: version.attributes.content_type(),
            e_tag: Some(version.tag.to_header()),
            last_modified: Some(version.modified.into()),
            metadata: version.attributes.metadata(),
            ..Default::default()
        })
    }

    pub(super) async fn put(
        &self,
        input: PutObjectInput,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<PutObjectOutput> {
        let bucket = self.store.bucket(&input.bucket)?;
        let expected = Expected {
            len: input.content_length,
            content_md5: input.content_md5,
            checksum: Checksum {
                checksum_crc32: input.checksum_crc32,
                checksum_crc32c: input.checksum_crc32c,
                checksum_crc64nvme: input.checksum_crc64nvme,
                checksum_sha1: input.checksum_sha1,
                checksum_sha256: input.checksum_sha256,
                ..Default::default()
            },
            trailers,
        };
        let (bytes, tag) = receive(input.body, expected).await?;
        let attributes = Attributes::new(input.content_type, input.metadata);
        let version = Version::new(Content::from(bytes), tag, attributes);
        bucket.insert(&input.key, version, &Conditions::of_write(input.if_match, input.if_none_match))?;
        Ok(PutObjectOutput { e_tag: Some(tag.to_header()), ..Default::default() })
    }

    pub(super) fn copy(&self, input: CopyObjectInput) -> S3Result<CopyObjectOutput> {
        let conditions = Conditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let source = self.copy_source(&input.copy_source, &conditions)?;
        let replaces =
            input.metadata_directive.as_ref().is_some_and(|it| it.as_str() == MetadataDirective::REPLACE);
        let attributes = match replaces {
            true => Attributes::new(input.content_type, input.metadata),
            false => source.attributes.clone(),
        };
        let version = Version::new(source.content.clone(), source.tag, attributes);
        let copied = self.store.bucket(&input.bucket)?.insert(&input.key, version, &Conditions::default())?;
        let copy_object_result = Some(CopyObjectResult {
            e_tag: Some(copied.tag.to_header()),
            last_modified: Some(copied.modified.into()),
            ..Default::default()
        });
        Ok(CopyObjectOutput { copy_object_result, ..Default::default() })
    }

    /// The version that a copy reads, if its conditions hold.
    pub(super) fn copy_source(&self, source: &CopySource, conditions: &Conditions) -> S3Result<Arc<Version>> {
        let CopySource::Bucket { bucket, key, .. } = source else {
            return Err(s3_error!(NotImplemented, "a copy source is BUCKET/KEY here"));
        };
        let version = self.store.bucket(bucket)?.get(key)?;
        conditions.check_copy_source(&version)?;
        Ok(version)
    }

    pub(super) fn delete(&self, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
        let conditions = Conditions::of_write(input.if_match, None);
        self.store.bucket(&input.bucket)?.remove(&input.key, &conditions)?;
        Ok(DeleteObjectOutput::default())
    }

    pub(super) fn delete_many(&self, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
        const KEYS_MAX: usize = 1000;
        if input.delete.objects.len() > KEYS_MAX {
            return Err(s3_error!(MalformedXML, "more than {KEYS_MAX} keys"));
        }
        let bucket = self.store.bucket(&input.bucket)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            let condition = object.e_tag.map(ETagCondition::ETag);
            match bucket.remove(&object.key, &Conditions::of_write(condition, None)) {
                Ok(_) => deleted.push(DeletedObject { key: Some(object.key), ..Default::default() }),
                Err(error) => errors.push(delete_error(object.key, &error)),
            }
        }
        if input.delete.quiet == Some(true) {
            deleted.clear();
        }
        Ok(DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), ..Default::default() })
    }
}

fn delete_error(key: String, error: &S3Error) -> Error {
    let code = Some(error.code().as_str().to_owned());
    Error { code, key: Some(key), message: error.message().map(str::to_owned), version_id: None }
}

/// The bytes that a Range header asks for; 416 with the object's size when there are none (RFC 9110, 14.4 and 15.5.17).
pub(super) fn satisfy(range: s3s::dto::Range, size_bytes: u64) -> S3Result<Range<u64>> {
    if let Ok(range) = range.check(size_bytes)
        && !range.is_empty()
    {
        return Ok(range);
    }
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    if let Ok(size) = HeaderValue::try_from(format!("bytes */{size_bytes}")) {
        error.set_headers(HeaderMap::from_iter([(header::CONTENT_RANGE, size)]));
    }
    Err(error)
}

fn content_range(range: &Range<u64>, size_bytes: u64) -> String {
    format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1)
}

/// S3's models count bytes in `i64`; no object here is larger than that.
pub(super) fn signed(size_bytes: u64) -> i64 {
    i64::try_from(size_bytes).unwrap_or(i64::MAX)
}

/// The tag of a range that is copied out of a version.
pub(super) fn tag_of(content: &Content) -> EntityTag {
    use s3s::crypto::{Checksum as _, Md5};
    EntityTag::of_md5(content.fold(Md5::new(), |md5, chunk| md5.update(chunk)).finalize())
}
