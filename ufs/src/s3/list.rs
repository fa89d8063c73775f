//! `ListObjectsV2`: from a page of the bucket to a page of the store.
//!
//! Keys are asked for in `encoding-type=url`, because XML cannot hold every character that a key may. A zero-byte
//! object whose key ends in `/` marks a directory and is shown as one; the marker of the listed directory itself is not
//! shown. A key ending in `/` that holds bytes is an object like any other.

use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use http::{HeaderMap, Method};

use super::errors::Subject;
use super::http::Request;
use super::read::version_of_etag;
use super::xml::{self, ListText, ObjectText};
use super::{S3Store, encode};
use crate::{Entry, Key, ListDepth, ListPage, ListRequest, Meta, Result};

/// 1,000 keys of 1,024 bytes, each byte escaped, and their XML.
const PAGE_BYTES_MAX: usize = 16 << 20;

impl S3Store {
    pub(super) async fn list_page(&self, request: &ListRequest, keys_max: u32) -> Result<ListPage> {
        let query = self.list_query(request, keys_max);
        let path = self.target().bucket_path();
        let headers = HeaderMap::new();
        let subject = Subject::Bucket;
        let reply =
            self.http.send(Request { method: Method::GET, path, query: &query, headers, subject }).await?;
        let body = self.http.collect(reply, PAGE_BYTES_MAX).await?;
        let list = xml::parse_list(&body).map_err(|error| crate::Error::Protocol {
            url: self.target().url.clone(),
            reason: format!("a listing: {error}"),
            source: Some(error.into()),
        })?;
        self.page(request, list)
    }

    /// Names stand in ascending order, as the signature needs them.
    fn list_query(&self, request: &ListRequest, keys_max: u32) -> String {
        let mut query = String::with_capacity(256);
        if let Some(token) = &request.continuation {
            query.push_str("continuation-token=");
            encode::push_query(&mut query, token);
            query.push('&');
        }
        if request.depth == ListDepth::Children {
            query.push_str("delimiter=%2F&");
        }
        query.push_str(&format!("encoding-type=url&list-type=2&max-keys={keys_max}&prefix="));
        encode::push_query(&mut query, &self.target().prefix);
        encode::push_query(&mut query, request.directory.as_str());
        if let (Some(after), None) = (&request.start_after, &request.continuation) {
            query.push_str("&start-after=");
            encode::push_query(&mut query, &self.target().prefix);
            encode::push_query(&mut query, after.as_str());
        }
        query
    }

    fn page(&self, request: &ListRequest, list: ListText) -> Result<ListPage> {
        let mut entries = Vec::with_capacity(list.objects.len() + list.prefixes.len());
        for object in &list.objects {
            entries.extend(self.entry(request, object, list.url_encoded)?);
        }
        let objects_len = entries.len();
        for prefix in &list.prefixes {
            entries.extend(self.key(prefix, list.url_encoded).map(|key| Entry::Directory { key }));
        }
        if let Some(after) = &request.start_after {
            entries.retain(|entry| entry.key() > after);
        }
        // Both lists are sorted; a page without prefixes needs no merge.
        if entries.len() > objects_len && objects_len > 0 {
            entries.sort_by(|a, b| a.key().cmp(b.key()));
        }
        if list.truncated && list.next.is_none() {
            return Err(self.unusable("a truncated listing without a continuation token"));
        }
        Ok(ListPage { entries, next: list.next.filter(|_| list.truncated) })
    }

    fn entry(&self, request: &ListRequest, object: &ObjectText, url_encoded: bool) -> Result<Option<Entry>> {
        let Some(key) = self.key(&object.key, url_encoded) else { return Ok(None) };
        let meta = self.meta(object)?;
        let marks_directory = key.is_directory() && meta.size_bytes == 0;
        Ok(match marks_directory {
            true if key == request.directory => None,
            true => Some(Entry::Directory { key }),
            false => Some(Entry::Object { key, meta }),
        })
    }

    /// The key below the store's prefix. What is no key of ours (not UTF-8, longer than a key may be, outside of the
    /// prefix) is left out.
    fn key(&self, text: &str, url_encoded: bool) -> Option<Key> {
        let full = if url_encoded { encode::decode(text) } else { Some(text.into()) };
        let key = full.as_deref().and_then(|full| full.strip_prefix(&self.target().prefix));
        let key = key.and_then(|key| Key::new(key).ok());
        if key.is_none() {
            tracing::warn!(url = %self.target().url, key = %text, "a listed key is left out: it is no key of this store");
        }
        key
    }

    fn meta(&self, object: &ObjectText) -> Result<Meta> {
        let size_bytes =
            object.size.parse().map_err(|_| self.unusable(format!("a size of {:?}", object.size)))?;
        let modified = modified(&object.modified);
        let modified = modified.ok_or_else(|| self.unusable(format!("a time of {:?}", object.modified)))?;
        let version = version_of_etag(&object.etag).ok_or_else(|| self.unusable("an object without ETag"))?;
        Ok(Meta { size_bytes, modified, version })
    }
}

/// Cut to whole seconds, so that it equals what HEAD gives.
fn modified(text: &str) -> Option<SystemTime> {
    let time = DateTime::from_str(text, Format::DateTime).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.secs()).ok()?))
}
