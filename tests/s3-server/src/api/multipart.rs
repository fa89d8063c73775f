//! Multipart uploads.

use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::Api;
use super::objects::{satisfy, signed, tag_of};
use super::upload_body::{Expected, receive};
use crate::store::conditions::Conditions;
use crate::store::content::Content;
use crate::store::uploads::{Part as StoredPart, Target};
use crate::store::version::Attributes;

const PARTS_PAGE_MAX: i32 = 1000;

impl Api {
    pub(super) fn create_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        self.store.bucket(&input.bucket)?;
        let attributes = Attributes::new(input.content_type, input.metadata);
        let id = self.store.uploads.lock().create(input.bucket.clone(), input.key.clone(), attributes)?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        })
    }

    pub(super) async fn upload(
        &self,
        input: UploadPartInput,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<UploadPartOutput> {
        let target = Target { bucket: &input.bucket, key: &input.key, id: &input.upload_id };
        self.store.uploads.lock().parts(target)?;
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
        let part = StoredPart { content: Content::from(bytes), tag, modified: SystemTime::now() };
        self.store.uploads.lock().put_part(target, input.part_number, part)?;
        Ok(UploadPartOutput { e_tag: Some(tag.to_header()), ..Default::default() })
    }

    pub(super) fn upload_copy(&self, input: UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
        let conditions = Conditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let source = self.copy_source(&input.copy_source, &conditions)?;
        let content = match &input.copy_source_range {
            None => source.content.clone(),
            Some(text) => {
                let range =
                    Range::parse(text).map_err(|_| s3_error!(InvalidArgument, "copy range {text}"))?;
                // unlike that of a GET, this range must lie within the object
                if matches!(range, Range::Int { last: Some(last), .. } if last >= source.content.size_bytes())
                {
                    return Err(s3_error!(InvalidRange, "the copy range ends behind the source"));
                }
                source.content.slice(satisfy(range, source.content.size_bytes())?)
            }
        };
        let target = Target { bucket: &input.bucket, key: &input.key, id: &input.upload_id };
        let (tag, modified) = (tag_of(&content), SystemTime::now());
        self.store.uploads.lock().put_part(
            target,
            input.part_number,
            StoredPart { content, tag, modified },
        )?;
        let result = CopyPartResult {
            e_tag: Some(tag.to_header()),
            last_modified: Some(modified.into()),
            ..Default::default()
        };
        Ok(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() })
    }

    pub(super) fn list_uploaded(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let target = Target { bucket: &input.bucket, key: &input.key, id: &input.upload_id };
        let page =
            usize::try_from(input.max_parts.unwrap_or(PARTS_PAGE_MAX).clamp(0, PARTS_PAGE_MAX)).unwrap_or(0);
        let after = input.part_number_marker.unwrap_or(0);
        let uploads = self.store.uploads.lock();
        let mut rest = uploads.parts(target)?.range(after.saturating_add(1)..);
        let describe = |(number, part): (&i32, &StoredPart)| Part {
            part_number: Some(*number),
            size: Some(signed(part.content.size_bytes())),
            e_tag: Some(part.tag.to_header()),
            last_modified: Some(part.modified.into()),
            ..Default::default()
        };
        let parts: Vec<Part> = rest.by_ref().take(page).map(describe).collect();
        Ok(ListPartsOutput {
            is_truncated: Some(rest.next().is_some()),
            next_part_number_marker: parts.last().and_then(|part| part.part_number),
            parts: Some(parts),
            part_number_marker: Some(after),
            max_parts: i32::try_from(page).ok(),
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(input.upload_id.clone()),
            ..Default::default()
        })
    }

    /// All in one page: tests do not leave thousands open.
    pub(super) fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        self.store.bucket(&input.bucket)?;
        let prefix = input.prefix.as_deref().unwrap_or("");
        let open = self.store.uploads.lock().of_bucket(&input.bucket);
        let upload =
            |(key, id)| MultipartUpload { key: Some(key), upload_id: Some(id), ..Default::default() };
        let uploads = open.into_iter().filter(|(key, _)| key.starts_with(prefix)).map(upload).collect();
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            uploads: Some(uploads),
            is_truncated: Some(false),
            ..Default::default()
        })
    }

    pub(super) fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let bucket = self.store.bucket(&input.bucket)?;
        let target = Target { bucket: &input.bucket, key: &input.key, id: &input.upload_id };
        let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let wanted: Vec<_> = listed
            .into_iter()
            .map(|part| (part.part_number.unwrap_or(0), part.e_tag.map(ETag::into_value)))
            .collect();
        let mut uploads = self.store.uploads.lock();
        let version = uploads.assemble(target, &wanted, self.part_bytes_min)?;
        let conditions = Conditions::of_write(input.if_match, input.if_none_match);
        let completed = bucket.insert(&input.key, version, &conditions)?;
        uploads.remove(target)?;
        drop(uploads);
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(completed.tag.to_header()),
            ..Default::default()
        })
    }

    pub(super) fn abort_upload(
        &self,
        input: AbortMultipartUploadInput,
    ) -> S3Result<AbortMultipartUploadOutput> {
        let target = Target { bucket: &input.bucket, key: &input.key, id: &input.upload_id };
        self.store.uploads.lock().remove(target)?;
        Ok(AbortMultipartUploadOutput::default())
    }
}
