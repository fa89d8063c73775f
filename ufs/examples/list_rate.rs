//! Keys per second of a whole listing: `list_all` on 1, 2 and 4 lanes against the server's own rate, interleaved.
//!
//!     cargo run --release -p s3-server -- --listen 127.0.0.1:9000 --anonymous --keys 1000000 &
//!     cargo run --release -p ufs --example list_rate -- http://127.0.0.1:9000 demo keys/
//!
//! The server's own rate is that of fetching page after page of the same listing without reading more of them than the
//! continuation token. The bucket must be readable without a signature.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::TryStreamExt;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use ufs::s3::Credentials;
use ufs::{Key, Location, Settings, Ufs};

const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, bucket, directory] = &arguments[..] else {
        anyhow::bail!("usage: list_rate ENDPOINT BUCKET DIRECTORY/");
    };
    let mut settings = Settings::default();
    settings.s3.endpoint = Some(endpoint.clone());
    settings.s3.credentials = Credentials::Anonymous;
    let store =
        ufs::connect(&Location::S3 { bucket: bucket.clone(), prefix: String::new() }, &settings).await?;
    for round in 1..=ROUNDS {
        let own = measure(raw(endpoint, bucket, directory)).await?;
        print!("round {round}: server {own}");
        for lanes in [1, 2, 4] {
            print!("; {lanes} lanes {}", measure(listed(&store, directory, lanes)).await?);
        }
        println!();
    }
    Ok(())
}

async fn measure(listing: impl Future<Output = Result<usize>>) -> Result<String> {
    let (cpu, wall) = (cpu_us()?, Instant::now());
    let keys = listing.await?;
    let (cpu, wall) = ((cpu_us()? - cpu) as f64 / keys as f64, keys as f64 / wall.elapsed().as_secs_f64());
    Ok(format!("{wall:.0} keys/s ({keys} keys, {cpu:.2} us CPU each)"))
}

fn cpu_us() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
}

async fn listed(store: &Arc<dyn Ufs>, directory: &str, lanes: usize) -> Result<usize> {
    let pages = ufs::list_all(store.clone(), Key::new(directory)?, lanes);
    Ok(pages.try_fold(0, |keys, page| async move { Ok(keys + page.len()) }).await?)
}

async fn raw(endpoint: &str, bucket: &str, directory: &str) -> Result<usize> {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let prefix =
        format!("{endpoint}/{bucket}?list-type=2&max-keys=1000&encoding-type=url&prefix={directory}");
    let (mut uri, mut keys) = (prefix.clone(), 0);
    loop {
        let answer = client.get(uri.parse()?).await?;
        anyhow::ensure!(answer.status().is_success(), "{}", answer.status());
        let body = answer.into_body().collect().await?.to_bytes();
        let text = std::str::from_utf8(&body)?;
        keys += between(text, "<KeyCount>", "</KeyCount>").context("no KeyCount")?.parse::<usize>()?;
        let Some(token) = between(text, "<NextContinuationToken>", "</NextContinuationToken>") else {
            return Ok(keys);
        };
        let token = token.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        uri = format!("{prefix}&continuation-token={token}");
    }
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}
