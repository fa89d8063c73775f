//! Measures the namespace: import of a large listing from S3 beside the server's own list rate, and memory per name.
//!
//! `cargo run --release -p forebay --example list_import -- [flat|tree] [KEYS] [ROUNDS]`
//!
//! The server runs in this process with a thread of its own. Its own rate is that of a plain HTTP client that asks for
//! page after page and looks for the token of the next one alone. Both run in turns; the ratio of the medians counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use forebay::config::{Consistency, TreePath};
use forebay::namespace::{Cached, Clock, Database, Ino, KernelCache, Namespace, NamespaceOptions, Node};
use forebay::store::{Store, StoreIndex};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use s3_server::{Options, Server};

const BUCKET: &str = "names";
const DATABASE_CACHE_BYTES: usize = 32 << 20;

struct NoKernel;

impl KernelCache for NoKernel {
    fn entry_changed(&self, _: Ino, _: &str) {}
    fn inode_changed(&self, _: Ino) {}
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let is_flat = args.next().is_none_or(|layout| layout == "flat");
    let keys: usize = args.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let rounds: usize = args.next().map_or(Ok(3), |count| count.parse())?;
    let server = Server::start(Options { anonymous: true, ..Options::default() }).await?;
    for index in 0..keys {
        server.put(BUCKET, &key(index, is_flat), Bytes::new());
    }
    let (mut raw, mut import) = (Vec::new(), Vec::new());
    let mut last = None;
    for round in 0..rounds {
        let (elapsed, count) = list_plainly(&server.endpoint()).await?;
        ensure!(count == keys, "the plain listing has {count} keys");
        raw.push(elapsed);
        let directory = tempfile::TempDir::new()?;
        let started = Instant::now();
        let namespace = open(&server.endpoint(), &directory).await?;
        let report = namespace.refresh(&TreePath::root(), true).await?;
        import.push(started.elapsed());
        ensure!(report.objects == keys as u64, "the import has {} objects", report.objects);
        println!("round {round}: plain {elapsed:.2?}, import {:.2?}", import[round]);
        last = Some((namespace, directory));
    }
    let (raw, import) = (median(raw), median(import));
    let rate = |time: Duration| keys as f64 / time.as_secs_f64();
    println!("plain listing:  {:>9.0} keys/s", rate(raw));
    println!(
        "import:         {:>9.0} keys/s, {:.2} of the plain listing",
        rate(import),
        rate(import) / rate(raw)
    );
    let (namespace, directory) = last.context("at least one round")?;
    look_up_all(&namespace, keys, is_flat).await?;
    drop(namespace);
    reopen(&server.endpoint(), &directory, keys).await?;
    server.shutdown().await;
    Ok(())
}

fn key(index: usize, is_flat: bool) -> String {
    if is_flat {
        format!("ILSVRC2012_train_{index:08}.JPEG")
    } else {
        format!("n{:05}/ILSVRC2012_train_{index:08}.JPEG", index / 1000)
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// One page after the other, without a look at what is in it.
async fn list_plainly(endpoint: &str) -> Result<(Duration, usize)> {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let started = Instant::now();
    let (mut token, mut count) = (String::new(), 0);
    loop {
        let uri = format!("{endpoint}/{BUCKET}?{token}list-type=2&max-keys=1000&encoding-type=url");
        let body = client.get(uri.parse()?).await?.into_body().collect().await?.to_bytes();
        let page = std::str::from_utf8(&body)?;
        count += page.matches("<Key>").count();
        let next = page.split_once("<NextContinuationToken>").and_then(|(_, rest)| rest.split_once('<'));
        let Some((next, _)) = next else { return Ok((started.elapsed(), count)) };
        token = format!(
            "continuation-token={}&",
            next.replace('+', "%2B").replace('=', "%3D").replace('/', "%2F")
        );
    }
}

async fn open(endpoint: &str, directory: &tempfile::TempDir) -> Result<Namespace> {
    let mut settings = ufs::Settings::default();
    settings.s3.endpoint = Some(endpoint.to_owned());
    settings.s3.credentials = ufs::s3::Credentials::Anonymous;
    let ufs = ufs::connect(&format!("s3://{BUCKET}").parse()?, &settings).await?;
    let options = NamespaceOptions {
        identity: "/mnt".into(),
        tree: vec![(TreePath::root(), StoreIndex(0))],
        stores: vec![Arc::new(Store::new(ufs, BUCKET.into()))],
        consistency: Consistency::Immutable,
        database: Database::open(directory.path(), DATABASE_CACHE_BYTES)?,
        events: Arc::new(NoKernel),
        clock: Clock::default(),
    };
    Ok(Namespace::open(options).await?)
}

/// What the kernel does in an `ls -l` of everything, and keeps.
async fn look_up_all(namespace: &Namespace, keys: usize, is_flat: bool) -> Result<()> {
    let before = resident_bytes()?;
    let started = Instant::now();
    for index in 0..keys {
        let path = key(index, is_flat);
        let mut at = Ino::ROOT;
        for name in path.split('/') {
            let Cached::Known(found) = namespace.lookup_cached(at, name) else {
                anyhow::bail!("{path} is not known")
            };
            at = found.node.ino();
        }
        ensure!(matches!(namespace.node(at), Some(Node::File(_))));
    }
    let elapsed = started.elapsed();
    let stats = namespace.stats();
    let each = |bytes: u64| bytes as f64 / stats.known_inodes as f64;
    println!("lookups:        {:>9.0} files/s on one thread", keys as f64 / elapsed.as_secs_f64());
    println!("a known inode:  {:>9.1} bytes by its own count", each(stats.inode_memory_bytes));
    let cache = resident_bytes()?.saturating_sub(before);
    println!(
        "                {:>9.1} bytes more resident, the database's page cache of 32 MiB included",
        each(cache)
    );
    Ok(())
}

async fn reopen(endpoint: &str, directory: &tempfile::TempDir, keys: usize) -> Result<()> {
    let bytes = std::fs::metadata(directory.path().join("names.redb"))?.len();
    println!("database:       {:>9.1} bytes a name in the file", bytes as f64 / keys as f64);
    let started = Instant::now();
    let namespace = open(endpoint, directory).await?;
    println!("reopening:      {:>9.2?}", started.elapsed());
    ensure!(namespace.stats().listings_imported == 0);
    Ok(())
}

fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
