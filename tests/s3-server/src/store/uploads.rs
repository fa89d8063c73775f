//! Multipart uploads that are not complete yet.

use std::collections::BTreeMap;
use std::time::SystemTime;

use s3s::{S3Result, s3_error};

use super::content::Content;
use super::version::{Attributes, EntityTag, Version};

/// Uploads that may be open at a time; one more is refused.
const UPLOADS_MAX: usize = 10_000;
/// S3's limit of parts.
const PART_NUMBER_MAX: i32 = 10_000;

/// Open uploads by their id.
#[derive(Default)]
pub(crate) struct Uploads {
    open: BTreeMap<String, Upload>,
    started: u64,
}

/// One upload.
pub(crate) struct Upload {
    bucket: String,
    key: String,
    attributes: Attributes,
    parts: BTreeMap<i32, Part>,
}

/// One part as it was uploaded last.
pub(crate) struct Part {
    pub(crate) content: Content,
    pub(crate) tag: EntityTag,
    pub(crate) modified: SystemTime,
}

impl Uploads {
    /// Starts an upload and returns its id.
    pub(crate) fn create(&mut self, bucket: String, key: String, attributes: Attributes) -> S3Result<String> {
        if self.open.len() == UPLOADS_MAX {
            return Err(s3_error!(ServiceUnavailable, "{UPLOADS_MAX} uploads are open"));
        }
        self.started += 1;
        let id = format!("upload-{}", self.started);
        self.open.insert(id.clone(), Upload { bucket, key, attributes, parts: BTreeMap::new() });
        Ok(id)
    }

    /// Adds or replaces a part.
    pub(crate) fn put_part(&mut self, target: Target<'_>, number: i32, part: Part) -> S3Result<()> {
        if !(1..=PART_NUMBER_MAX).contains(&number) {
            return Err(s3_error!(InvalidArgument, "part number {number} is not in 1..={PART_NUMBER_MAX}"));
        }
        self.get_mut(target)?.parts.insert(number, part);
        Ok(())
    }

    /// The parts of an upload in order.
    pub(crate) fn parts(&self, target: Target<'_>) -> S3Result<&BTreeMap<i32, Part>> {
        let upload = self.open.get(target.id).filter(|upload| upload.is_for(target));
        upload.map(|upload| &upload.parts).ok_or_else(|| no_such_upload(target))
    }

    /// Builds the version of the listed parts (number, entity tag without quotes); the upload stays open.
    pub(crate) fn assemble(
        &self,
        target: Target<'_>,
        wanted: &[(i32, Option<String>)],
        part_bytes_min: u64,
    ) -> S3Result<Version> {
        let parts = self.parts(target)?;
        if wanted.is_empty() {
            return Err(s3_error!(MalformedXML, "no parts are listed"));
        }
        if !wanted.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let mut chosen = Vec::with_capacity(wanted.len());
        for (number, tag) in wanted {
            let part = parts.get(number).filter(|part| tag.as_ref().is_none_or(|tag| part.tag.is(tag)));
            chosen.push(
                part.ok_or_else(|| s3_error!(InvalidPart, "part {number} does not exist with this ETag"))?,
            );
        }
        let all_but_last = &chosen[..chosen.len() - 1];
        if all_but_last.iter().any(|part| part.content.size_bytes() < part_bytes_min) {
            return Err(s3_error!(EntityTooSmall, "a part but the last is under {part_bytes_min} bytes"));
        }
        let tag = EntityTag::of_parts(chosen.iter().map(|part| part.tag));
        let content = Content::concat(chosen.iter().map(|part| &part.content));
        Ok(Version::new(content, tag, self.open[target.id].attributes.clone()))
    }

    /// Forgets an upload and its parts.
    pub(crate) fn remove(&mut self, target: Target<'_>) -> S3Result<()> {
        self.get_mut(target)?;
        self.open.remove(target.id);
        Ok(())
    }

    /// (key, id) of the open uploads of a bucket, in order of their keys.
    pub(crate) fn of_bucket(&self, bucket: &str) -> Vec<(String, String)> {
        let own = self.open.iter().filter(|(_, upload)| upload.bucket == bucket);
        let mut found: Vec<_> = own.map(|(id, upload)| (upload.key.clone(), id.clone())).collect();
        found.sort();
        found
    }

    fn get_mut(&mut self, target: Target<'_>) -> S3Result<&mut Upload> {
        let upload = self.open.get_mut(target.id).filter(|upload| upload.is_for(target));
        upload.ok_or_else(|| no_such_upload(target))
    }
}

/// The upload that a request names, and the object that it must be for.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) id: &'a str,
}

impl Upload {
    fn is_for(&self, target: Target<'_>) -> bool {
        self.bucket == target.bucket && self.key == target.key
    }
}

fn no_such_upload(target: Target<'_>) -> s3s::S3Error {
    s3_error!(NoSuchUpload, "no upload {} of {}/{}", target.id, target.bucket, target.key)
}
