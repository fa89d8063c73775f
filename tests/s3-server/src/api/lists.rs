//! Listings of buckets and objects.

use std::time::SystemTime;

use s3s::S3Result;
use s3s::dto::*;

use super::Api;
use super::objects::signed;
use crate::store::listing::{ListPage, ListQuery, PAGE_KEYS_MAX, Position};

impl Api {
    pub(super) fn list_all_buckets(&self) -> ListBucketsOutput {
        let bucket = |name| Bucket {
            name: Some(name),
            creation_date: Some(SystemTime::now().into()),
            ..Default::default()
        };
        let buckets = self.store.bucket_names().into_iter().map(bucket).collect();
        ListBucketsOutput { buckets: Some(buckets), ..Default::default() }
    }

    pub(super) fn list_v2(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let from_token = input.continuation_token.as_deref().map(Position::from_token).transpose()?;
        let page = self.store.bucket(&input.bucket)?.list(&ListQuery {
            prefix: input.prefix.as_deref().unwrap_or(""),
            delimiter: input.delimiter.as_deref().unwrap_or(""),
            after: from_token.or_else(|| input.start_after.clone().map(Position::Key)),
            keys_max: keys_max(input.max_keys),
        });
        let text = Encoding::of(input.encoding_type.as_ref());
        Ok(ListObjectsV2Output {
            key_count: i32::try_from(page.len()).ok(),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_ref().map(Position::to_token),
            common_prefixes: Some(common_prefixes(&page, text)),
            contents: Some(contents(page, text)),
            name: Some(input.bucket),
            prefix: Some(text.encode(input.prefix.unwrap_or_default())),
            delimiter: input.delimiter.map(|it| text.encode(it)),
            start_after: input.start_after.map(|it| text.encode(it)),
            max_keys: i32::try_from(keys_max(input.max_keys)).ok(),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }

    /// The first version of the call: it continues behind a marker, which is a key or a common prefix.
    pub(super) fn list_v1(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let delimiter = input.delimiter.as_deref().unwrap_or("");
        let marker = input.marker.clone().filter(|marker| !marker.is_empty());
        let is_folded = |marker: &String| !delimiter.is_empty() && marker.ends_with(delimiter);
        let page = self.store.bucket(&input.bucket)?.list(&ListQuery {
            prefix: input.prefix.as_deref().unwrap_or(""),
            delimiter,
            after: marker
                .map(|it| if is_folded(&it) { Position::CommonPrefix(it) } else { Position::Key(it) }),
            keys_max: keys_max(input.max_keys),
        });
        let text = Encoding::of(input.encoding_type.as_ref());
        let next = page.next.clone().map(|it| text.encode(it.into_text()));
        Ok(ListObjectsOutput {
            is_truncated: Some(next.is_some()),
            next_marker: next,
            common_prefixes: Some(common_prefixes(&page, text)),
            contents: Some(contents(page, text)),
            name: Some(input.bucket),
            prefix: Some(text.encode(input.prefix.unwrap_or_default())),
            delimiter: input.delimiter.map(|it| text.encode(it)),
            marker: Some(text.encode(input.marker.unwrap_or_default())),
            max_keys: i32::try_from(keys_max(input.max_keys)).ok(),
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }
}

fn keys_max(asked: Option<i32>) -> usize {
    asked.map_or(PAGE_KEYS_MAX, |asked| usize::try_from(asked).unwrap_or(0).min(PAGE_KEYS_MAX))
}

fn contents(page: ListPage, text: Encoding) -> Vec<Object> {
    let object = |(key, version): (String, std::sync::Arc<crate::store::version::Version>)| Object {
        key: Some(text.encode(key)),
        size: Some(signed(version.content.size_bytes())),
        e_tag: Some(version.tag.to_header()),
        last_modified: Some(version.modified.into()),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Default::default()
    };
    page.keys.into_iter().map(object).collect()
}

fn common_prefixes(page: &ListPage, text: Encoding) -> Vec<CommonPrefix> {
    let prefix = |it: &String| CommonPrefix { prefix: Some(text.encode(it.clone())) };
    page.common_prefixes.iter().map(prefix).collect()
}

/// How names are written in a listing: XML cannot hold all characters that a key may have.
#[derive(Clone, Copy)]
enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    fn of(asked: Option<&EncodingType>) -> Self {
        match asked {
            Some(kind) if kind.as_str() == EncodingType::URL => Self::Url,
            _ => Self::Plain,
        }
    }

    fn encode(self, text: String) -> String {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/*".contains(&byte);
        if matches!(self, Self::Plain) || text.bytes().all(is_plain) {
            return text;
        }
        text.bytes().fold(String::with_capacity(text.len() * 2), |mut out, byte| {
            if is_plain(byte) {
                out.push(char::from(byte));
            } else {
                out.push('%');
                out.extend([byte >> 4, byte & 15].map(hex_digit));
            }
            out
        })
    }
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}
