//! `ListObjectsV2`: from a page of the bucket to a page of the store.
//!
//! Keys are asked for in `encoding-type=url`, because XML cannot hold every character that a key may. A zero-byte
//! object whose key ends in `/` marks a directory and is shown as one; the marker of the listed directory itself is not
//! shown. A key ending in `/` that holds bytes is an object like any other.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use http::{HeaderMap, Method};

use super::errors::Subject;
use super::http::Request;
use super::read::version_of_bare_etag;
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

    fn page(&self, request: &ListRequest, list: ListText<'_>) -> Result<ListPage> {
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
        Ok(ListPage { entries, next: list.next.filter(|_| list.truncated).map(Cow::into_owned) })
    }

    fn entry(
        &self,
        request: &ListRequest,
        object: &ObjectText<'_>,
        url_encoded: bool,
    ) -> Result<Option<Entry>> {
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
        let key = full.and_then(|full| match (full, self.target().prefix.as_str()) {
            (Cow::Owned(full), "") => Key::new(full).ok(),
            (full, prefix) => Key::new(full.strip_prefix(prefix)?).ok(),
        });
        if key.is_none() {
            tracing::warn!(url = %self.target().url, key = %text, "a listed key is left out: it is no key of this store");
        }
        key
    }

    fn meta(&self, object: &ObjectText<'_>) -> Result<Meta> {
        let size_bytes =
            object.size.parse().map_err(|_| self.unusable(format!("a size of {:?}", object.size)))?;
        let modified = modified(&object.modified);
        let modified = modified.ok_or_else(|| self.unusable(format!("a time of {:?}", object.modified)))?;
        let version =
            version_of_bare_etag(&object.etag).ok_or_else(|| self.unusable("an object without ETag"))?;
        Ok(Meta { size_bytes, modified, version })
    }
}

/// Cut to whole seconds, so that it equals what HEAD gives.
fn modified(text: &str) -> Option<SystemTime> {
    let second = plain_second(text)
        .or_else(|| u64::try_from(DateTime::from_str(text, Format::DateTime).ok()?.secs()).ok())?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second))
}

/// The form that servers write, `2014-11-21T19:40:05.000Z`, in a twentieth of the time that a parser of all forms
/// takes. `None` for every other form.
fn plain_second(text: &str) -> Option<u64> {
    let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0u64, |sum, byte| match byte {
            b'0'..=b'9' => Some(sum * 10 + u64::from(byte - b'0')),
            _ => None,
        })
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if marks.iter().any(|(at, mark)| bytes[*at] != *mark) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    number(20, 23)?;
    if year < 1970 || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let month_days = days(next_year, next_month, 1) - days(year, month, 1);
    if !(1..=month_days).contains(&day) {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days since 1970 in the Gregorian calendar, counted in years that begin in March: the leap day comes last, and the
/// days before a month follow one line (153 days in five months).
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_year = year * 365 + year / 4 - year / 100 + year / 400;
    before_year + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970
}

/// From the first of March of the year 0.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_the_general_parser(text: &str) -> Option<u64> {
        u64::try_from(DateTime::from_str(text, Format::DateTime).ok()?.secs()).ok()
    }

    proptest! {
        #[test]
        fn plain_times_are_those_of_the_general_parser(second in 0u64..200_000_000_000) {
            let time = DateTime::from_secs(i64::try_from(second).expect("small"));
            let text = time.fmt(Format::DateTime).expect("a year of four digits").replace('Z', ".000Z");
            prop_assert_eq!(by_the_general_parser(&text), Some(second));
            prop_assert_eq!(plain_second(&text), Some(second));
        }

        #[test]
        fn odd_times_are_left_to_the_general_parser(text in "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9].[0-9]{3}[Zz]") {
            if let Some(second) = plain_second(&text) {
                prop_assert_eq!(by_the_general_parser(&text), Some(second));
            }
        }
    }

    #[test]
    fn the_form_of_real_servers_is_plain() {
        // date -d 2014-11-21T19:40:05Z +%s, and of a leap year's first of March
        assert_eq!(plain_second("2014-11-21T19:40:05.000Z"), Some(1_416_598_805));
        assert_eq!(plain_second("2024-03-01T00:00:00.999Z"), Some(1_709_251_200));
        assert_eq!(plain_second("2014-11-21T19:40:05Z"), None);
    }
}
