//! HEAD and ranged GET.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, LAST_MODIFIED, RANGE,
};
use http::{Method, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::sync::OwnedSemaphorePermit;

use super::S3Store;
use super::errors::{self, Subject};
use super::http::{Reply, Request};
use crate::{Body, ByteRange, Error, Key, Meta, Result, Version};

impl S3Store {
    pub(super) async fn head(&self, key: &Key) -> Result<Meta> {
        Ok(self.head_with_headers(key).await?.0)
    }

    pub(super) async fn head_with_headers(&self, key: &Key) -> Result<(Meta, HeaderMap)> {
        let path = self.target().object_path(key);
        let subject = Subject::Object(key);
        let request =
            Request { method: Method::HEAD, path: &path, query: "", headers: HeaderMap::new(), subject };
        let reply = self.http.send(request).await?;
        let size = number(&reply.headers, CONTENT_LENGTH);
        let size_bytes = size.ok_or_else(|| self.unusable("no Content-Length"))?;
        let modified = modified(&reply.headers).ok_or_else(|| self.unusable("no Last-Modified"))?;
        let version = version(&reply.headers).ok_or_else(|| self.unusable("no ETag"))?;
        Ok((Meta { size_bytes, modified, version }, reply.headers))
    }

    pub(super) async fn get(&self, key: &Key, wanted: Option<&Version>, range: ByteRange) -> Result<Body> {
        if range.is_empty() {
            return Err(self.outside(key, range));
        }
        let path = self.target().object_path(key);
        let subject = Subject::Range { key, version: wanted, start: range.start, end: range.end };
        let headers = self.get_headers(wanted, range)?;
        let reply =
            self.http.send(Request { method: Method::GET, path: &path, query: "", headers, subject }).await?;
        self.check_reply(key, wanted, range, &reply)?;
        let url = self.target().url.clone();
        Ok(RangeBody {
            incoming: reply.body,
            _connection: reply.connection,
            left: range.len(),
            url,
            done: false,
        }
        .boxed())
    }

    fn get_headers(&self, wanted: Option<&Version>, range: ByteRange) -> Result<HeaderMap> {
        let mut headers = HeaderMap::with_capacity(8);
        let last = range.end - 1;
        let value = HeaderValue::from_maybe_shared(Bytes::from(format!("bytes={}-{last}", range.start)));
        headers.insert(RANGE, value.expect("digits and a dash are a header value"));
        if let Some(version) = wanted {
            let quoted = HeaderValue::from_str(&quoted(version));
            headers.insert(IF_MATCH, quoted.map_err(|_| self.unusable("a version that no ETag can be"))?);
        }
        Ok(headers)
    }

    /// The range and the version are checked against the answer: some servers ignore `Range` or `If-Match`.
    fn check_reply(
        &self,
        key: &Key,
        wanted: Option<&Version>,
        range: ByteRange,
        reply: &Reply,
    ) -> Result<()> {
        if let Some(wanted) = wanted
            && version(&reply.headers).as_ref() != Some(wanted)
        {
            return Err(Error::Changed {
                url: self.target().url.clone(),
                key: key.as_str().to_owned(),
                wanted: wanted.clone(),
            });
        }
        let given = if reply.status == StatusCode::PARTIAL_CONTENT.as_u16() {
            content_range(&reply.headers)
                .ok_or_else(|| self.unusable("206 without a usable Content-Range"))?
        } else {
            let size = number(&reply.headers, CONTENT_LENGTH);
            ByteRange::new(0..size.ok_or_else(|| self.unusable("no Content-Length"))?)
        };
        match given {
            given if given == range => Ok(()),
            given if given.start == range.start && given.end < range.end => Err(self.outside(key, range)),
            given => Err(self.unusable(format!("asked for {range:?}, got {given:?}"))),
        }
    }

    pub(super) fn outside(&self, key: &Key, range: ByteRange) -> Error {
        Error::InvalidRange {
            url: self.target().url.clone(),
            key: key.as_str().to_owned(),
            start: range.start,
            end: range.end,
        }
    }

    pub(super) fn unusable(&self, reason: impl Into<String>) -> Error {
        errors::protocol(self.target(), reason)
    }
}

/// The `If-Match` form of a version; a weak ETag keeps its own quotes.
pub(super) fn quoted(version: &Version) -> String {
    let text = version.as_str();
    if text.starts_with("W/") { text.to_owned() } else { format!("\"{text}\"") }
}

/// An ETag without its quotes. A weak one keeps them.
pub(super) fn bare_etag(etag: &str) -> &str {
    etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(etag)
}

/// The version that an ETag without quotes stands for. `None` when it is empty.
pub(super) fn version_of_bare_etag(bare: &str) -> Option<Version> {
    if bare.is_empty() || bare.len() > 255 { None } else { Some(Version::new(bare)) }
}

/// The version that an ETag stands for, as headers give it.
pub(super) fn version_of_etag(etag: &str) -> Option<Version> {
    version_of_bare_etag(bare_etag(etag))
}

fn version(headers: &HeaderMap) -> Option<Version> {
    version_of_etag(headers.get(ETAG)?.to_str().ok()?)
}

fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn modified(headers: &HeaderMap) -> Option<SystemTime> {
    let text = headers.get(LAST_MODIFIED)?.to_str().ok()?;
    SystemTime::try_from(DateTime::from_str(text, Format::HttpDate).ok()?).ok()
}

/// `bytes first-last/total`, RFC 9110 section 14.4.
fn content_range(headers: &HeaderMap) -> Option<ByteRange> {
    let (range, _total) =
        headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some(ByteRange::new(first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?))
}

/// The bytes of one answer; an error item when the connection breaks or gives another number of bytes.
struct RangeBody {
    incoming: Incoming,
    /// Gives the connection's place back when the body is dropped.
    _connection: OwnedSemaphorePermit,
    left: u64,
    url: String,
    done: bool,
}

impl RangeBody {
    fn fail(&mut self, reason: String, source: Option<hyper::Error>) -> Poll<Option<Result<Bytes>>> {
        self.done = true;
        let source = source.map(Into::into);
        Poll::Ready(Some(Err(Error::Unavailable { url: self.url.clone(), reason, source })))
    }
}

impl Stream for RangeBody {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.done {
            let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
            let data = match frame.map(|frame| frame.map(|frame| frame.into_data())) {
                Some(Ok(Ok(data))) => data,
                Some(Ok(Err(_trailers))) => continue,
                Some(Err(error)) => return self.fail("the body broke".into(), Some(error)),
                None if self.left == 0 => break,
                None => {
                    let reason = format!("the body ended {} bytes early", self.left);
                    return self.fail(reason, None);
                }
            };
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                return self.fail("the body has more bytes than were asked for".into(), None);
            };
            self.left = left;
            return Poll::Ready(Some(Ok(data)));
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_become_versions_and_back() {
        assert_eq!(version_of_etag("\"abc-2\""), Some(Version::new("abc-2")));
        assert_eq!(version_of_etag("abc"), Some(Version::new("abc")));
        assert_eq!(version_of_etag("\"\""), None);
        assert_eq!(version_of_etag(""), None);
        assert_eq!(quoted(&Version::new("abc-2")), "\"abc-2\"");
        assert_eq!(quoted(&version_of_etag("W/\"x\"").expect("an ETag")), "W/\"x\"");
    }

    #[test]
    fn content_ranges_are_read() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, HeaderValue::from_static(text));
            content_range(&headers)
        };
        assert_eq!(read("bytes 0-499/1234"), Some(ByteRange::new(0..500)));
        assert_eq!(read("bytes 42-42/*"), Some(ByteRange::new(42..43)));
        for broken in ["bytes */1234", "items 0-1/2", "bytes 1-/2", "bytes 0-18446744073709551615/1"] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }
}
