//! CPU time of this process per small GET and per listed key: the SDK against our own signed requests, interleaved.
//!
//!     cargo run --release -p ufs --example get_cost -- http://127.0.0.1:9000 ACCESS_KEY SECRET_KEY
//!
//! The server must run in another process. Makes a bucket `get-cost` of 64 objects of 100 KB and 10,000 empty ones.

use std::time::Instant;

use anyhow::{Context, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials as Keys, Region, RequestChecksumCalculation};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use ufs::s3::{Credentials, S3Store, Settings};
use ufs::{ByteRange, Key, ListDepth, ListRequest, Ufs};

const BUCKET: &str = "get-cost";
const OBJECTS: usize = 64;
const OBJECT_BYTES: usize = 100_000;
const LISTED: usize = 10_000;
const GETS: usize = 4_000;
const IN_FLIGHT: usize = 16;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, access_key, secret_key] = &arguments[..] else {
        anyhow::bail!("usage: get_cost ENDPOINT ACCESS_KEY SECRET_KEY");
    };
    let sdk = sdk_client(endpoint, access_key, secret_key);
    prepare(&sdk).await?;
    let credentials = Credentials::Static {
        access_key: access_key.clone(),
        secret_key: secret_key.clone(),
        session_token: None,
    };
    let settings = Settings { endpoint: Some(endpoint.clone()), credentials, ..Settings::default() };
    let own = S3Store::new(BUCKET, "", &settings).await?;
    for round in 1..=ROUNDS {
        let get_sdk = measure(GETS, (0..GETS).map(|n| sdk_get(&sdk, n))).await?;
        let get_own = measure(GETS, (0..GETS).map(|n| own_get(&own, n))).await?;
        let list_sdk = measure(LISTED, [sdk_list(&sdk)]).await?;
        let list_own = measure(LISTED, [own_list(&own)]).await?;
        println!("round {round}: GET  sdk {get_sdk}, own {get_own}");
        println!("round {round}: list sdk {list_sdk}, own {list_own}");
    }
    Ok(())
}

/// Runs calls, 16 at a time, and tells CPU and wall time per unit of work.
async fn measure<F: Future<Output = Result<()>>>(
    units: usize,
    calls: impl IntoIterator<Item = F>,
) -> Result<String> {
    let (cpu, wall) = (cpu_us()?, Instant::now());
    futures::stream::iter(calls).buffer_unordered(IN_FLIGHT).try_collect::<Vec<()>>().await?;
    let (cpu, wall) = (cpu_us()? - cpu, wall.elapsed());
    let units = units as f64;
    Ok(format!("{:.2} us CPU ({:.0}/s)", cpu as f64 / units, units / wall.as_secs_f64()))
}

fn cpu_us() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
}

fn object(n: usize) -> String {
    format!("small/{:03}", n % OBJECTS)
}

async fn sdk_get(sdk: &Client, n: usize) -> Result<()> {
    let range = format!("bytes=0-{}", OBJECT_BYTES - 1);
    let answer = sdk.get_object().bucket(BUCKET).key(object(n)).range(range).send().await?;
    let mut body = answer.body;
    let mut len = 0;
    while let Some(chunk) = body.try_next().await? {
        len += chunk.len();
    }
    anyhow::ensure!(len == OBJECT_BYTES, "{len} bytes");
    Ok(())
}

async fn own_get(own: &S3Store, n: usize) -> Result<()> {
    let range = ByteRange::new(0..OBJECT_BYTES as u64);
    let mut body = own.read(&Key::new(object(n))?, None, range).await?;
    let mut len = 0;
    while let Some(chunk) = body.try_next().await? {
        len += chunk.len();
    }
    anyhow::ensure!(len == OBJECT_BYTES, "{len} bytes");
    Ok(())
}

async fn sdk_list(sdk: &Client) -> Result<()> {
    let (mut token, mut len) = (None, 0);
    loop {
        let request = sdk.list_objects_v2().bucket(BUCKET).prefix("listed/").set_continuation_token(token);
        let page = request.send().await?;
        len += page.contents().len();
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    anyhow::ensure!(len == LISTED, "{len} keys");
    Ok(())
}

async fn own_list(own: &S3Store) -> Result<()> {
    let directory = Key::new("listed/")?;
    let mut request =
        ListRequest { directory, depth: ListDepth::Recursive, start_after: None, continuation: None };
    let mut len = 0;
    loop {
        let page = own.list(&request).await?;
        len += page.entries.len();
        request.continuation = page.next;
        if request.continuation.is_none() {
            break;
        }
    }
    anyhow::ensure!(len == LISTED, "{len} keys");
    Ok(())
}

fn sdk_client(endpoint: &str, access_key: &str, secret_key: &str) -> Client {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::from_static("us-east-1"))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .credentials_provider(Keys::new(access_key, secret_key, None, None, "example"));
    Client::from_conf(config.build())
}

async fn prepare(sdk: &Client) -> Result<()> {
    if let Err(error) = sdk.create_bucket().bucket(BUCKET).send().await {
        println!("bucket {BUCKET}: {}", aws_sdk_s3::error::DisplayErrorContext(error));
    }
    let small = (0..OBJECTS).map(|n| (object(n), Bytes::from(vec![b'x'; OBJECT_BYTES])));
    let listed = (0..LISTED).map(|n| (format!("listed/frame-{n:08}.jpg"), Bytes::new()));
    let puts = small.chain(listed).map(|(key, data)| {
        let put = sdk.put_object().bucket(BUCKET).key(key).body(data.into()).send();
        async move { put.await.map(drop) }
    });
    futures::stream::iter(puts)
        .buffer_unordered(32)
        .try_collect::<Vec<()>>()
        .await
        .context("filling the bucket")
        .map(drop)
}
