//! A plain HTTP client without signatures: the best that the network path and the server can give.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Runtime;

use super::fileset::BUCKET;

/// A client on one thread, as the S3 server is.
pub(crate) struct PlainClient {
    runtime: Runtime,
    http: Client<HttpConnector, Empty<Bytes>>,
    bucket_url: String,
}

impl PlainClient {
    pub(crate) fn new(endpoint: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { runtime, http, bucket_url: format!("{endpoint}/{BUCKET}") })
    }

    /// Gets an object with this many ranged GETs at a time; the bytes are counted and dropped.
    pub(crate) fn get_ranges(
        &self,
        key: &str,
        size_bytes: u64,
        part_bytes: u64,
        at_a_time: usize,
    ) -> anyhow::Result<Duration> {
        let starts = (0..size_bytes).step_by(part_bytes as usize);
        let part =
            |start: u64| Part { key: key.to_owned(), range: start..size_bytes.min(start + part_bytes) };
        self.get_all(starts.map(part).collect(), at_a_time)
    }

    /// Gets ranges of objects, this many at a time.
    pub(crate) fn get_all(&self, parts: Vec<Part>, at_a_time: usize) -> anyhow::Result<Duration> {
        let parts: Arc<[Part]> = parts.into();
        let next = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        self.runtime.block_on(async {
            let worker = |_| {
                let (http, url) = (self.http.clone(), self.bucket_url.clone());
                let (next, parts) = (Arc::clone(&next), Arc::clone(&parts));
                tokio::spawn(async move {
                    while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        get_range(&http, &format!("{url}/{}", part.key), part.range.clone()).await?;
                    }
                    anyhow::Ok(())
                })
            };
            for ended in (0..at_a_time).map(worker).collect::<Vec<_>>() {
                ended.await??;
            }
            anyhow::Ok(())
        })?;
        Ok(started.elapsed())
    }

    /// Lists all keys below each prefix, this many prefixes at a time; returns how many there are.
    pub(crate) fn list(&self, prefixes: &[String], at_a_time: usize) -> anyhow::Result<(u64, Duration)> {
        let next = Arc::new(AtomicUsize::new(0));
        let prefixes: Arc<[String]> = prefixes.into();
        let started = Instant::now();
        let keys = self.runtime.block_on(async {
            let worker = |_| {
                let (http, url) = (self.http.clone(), self.bucket_url.clone());
                let (next, prefixes) = (Arc::clone(&next), Arc::clone(&prefixes));
                tokio::spawn(async move {
                    let mut keys = 0;
                    while let Some(prefix) = prefixes.get(next.fetch_add(1, Ordering::Relaxed)) {
                        keys += list_prefix(&http, &url, prefix).await?;
                    }
                    anyhow::Ok(keys)
                })
            };
            let mut keys = 0;
            for ended in (0..at_a_time).map(worker).collect::<Vec<_>>() {
                keys += ended.await??;
            }
            anyhow::Ok(keys)
        })?;
        Ok((keys, started.elapsed()))
    }
}

/// Bytes of an object.
pub(crate) struct Part {
    pub(crate) key: String,
    pub(crate) range: Range<u64>,
}

type Http = Client<HttpConnector, Empty<Bytes>>;

async fn get_range(http: &Http, url: &str, range: Range<u64>) -> anyhow::Result<()> {
    let header = format!("bytes={}-{}", range.start, range.end - 1);
    let request = Request::get(url).header("range", header).body(Empty::new())?;
    let mut body = answer(http, request, StatusCode::PARTIAL_CONTENT).await?;
    let mut len = 0;
    while let Some(frame) = body.frame().await {
        len += frame.context("a response body")?.data_ref().map_or(0, Bytes::len) as u64;
    }
    ensure!(len == range.end - range.start, "{len} bytes of {range:?} of {url}");
    Ok(())
}

async fn list_prefix(http: &Http, url: &str, prefix: &str) -> anyhow::Result<u64> {
    let (mut keys, mut token) = (0, String::new());
    loop {
        let uri = format!("{url}?list-type=2&prefix={prefix}{token}");
        let body = answer(http, Request::get(uri).body(Empty::new())?, StatusCode::OK).await?;
        let page = body.collect().await.context("a page of the listing")?.to_bytes();
        let page = std::str::from_utf8(&page)?;
        keys += element(page, "KeyCount").context("a page without KeyCount")?.parse::<u64>()?;
        match element(page, "NextContinuationToken") {
            Some(next) => token = format!("&continuation-token={next}"),
            None => return Ok(keys),
        }
    }
}

async fn answer(http: &Http, request: Request<Empty<Bytes>>, wanted: StatusCode) -> anyhow::Result<Incoming> {
    let response = http.request(request).await.context("ask the S3 server")?;
    ensure!(response.status() == wanted, "the S3 server answers {}", response.status());
    Ok(response.into_body())
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once('<').map(|(text, _)| text)
}
