//! A bad store stays outside: bytes are right or an error comes, and every call ends in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use s3_server::{Knobs, Operation, Options, Server, SyntheticObject, synthetic_bytes};
use ufs::s3::Credentials;
use ufs::{
    Attributes, ByteRange, Error, Key, ListDepth, ListRequest, Location, PutCondition, Settings, Ufs, Version,
};

const BUCKET: &str = "faults";
const SEED: u64 = 20_240_229;
const SIZE: u64 = 4 << 20;

struct Setup {
    server: Server,
    store: Arc<dyn Ufs>,
    settings: Settings,
    version: Version,
}

/// A store with limits short enough for a test, over an object of 4 MiB.
async fn start() -> Setup {
    let options = Options::default();
    let credentials = Credentials::Static {
        access_key: options.access_key.clone(),
        secret_key: options.secret_key.clone(),
        session_token: None,
    };
    let server = Server::start(options).await.expect("a free port");
    server.create_bucket(BUCKET);
    let version = server.put_synthetic(BUCKET, "object", SyntheticObject { seed: SEED, size_bytes: SIZE });
    server.faults().reseed(SEED);
    println!("seed {SEED}");
    let mut settings = Settings::default();
    settings.s3.endpoint = Some(server.endpoint());
    settings.s3.credentials = credentials;
    settings.calls.attempt_timeout = Duration::from_secs(5);
    settings.calls.total_timeout = Duration::from_secs(20);
    settings.calls.stall_timeout = Duration::from_millis(300);
    settings.calls.attempts_max = 20;
    settings.calls.backoff_min = Duration::from_millis(1);
    settings.calls.backoff_max = Duration::from_millis(20);
    let store = connect(&settings).await;
    Setup { server, store, settings, version: Version::new(version.trim_matches('"')) }
}

async fn connect(settings: &Settings) -> Arc<dyn Ufs> {
    let location = Location::S3 { bucket: BUCKET.into(), prefix: String::new() };
    ufs::connect(&location, settings).await.expect("the server answers")
}

fn key(text: &str) -> Key {
    Key::new(text).expect("short")
}

async fn read(store: &dyn Ufs, version: &Version, start: u64, end: u64) -> ufs::Result<Bytes> {
    let body = store.read(&key("object"), Some(version), ByteRange::new(start..end)).await?;
    Ok(body.try_collect::<Vec<Bytes>>().await?.concat().into())
}

async fn put(store: &dyn Ufs, key: &Key, data: Bytes) -> ufs::Result<ufs::Meta> {
    store.put(key, data, &Attributes::default(), &PutCondition::IfAbsent).await
}

impl Setup {
    fn spoil(&self, change: impl FnOnce(&mut Knobs)) {
        self.server.faults().set(change);
    }
}

#[tokio::test]
async fn broken_stalled_and_refused_reads_give_the_right_bytes() {
    let setup = start().await;
    setup.spoil(|knobs| {
        knobs.only = Some(Operation::Get);
        knobs.p_cut = 0.3;
        knobs.p_stall = 0.05;
        knobs.p_503 = 0.1;
        knobs.p_500 = 0.1;
        knobs.p_reset = 0.1;
        knobs.jitter = 0.5;
        knobs.latency_ms = 2;
    });
    let ranges = (0..60u64)
        .map(|n| (n * 65_521 % SIZE, n))
        .map(|(start, n)| (start, (start + 1 + n * 40_009).min(SIZE)));
    let reads = ranges.map(|(start, end)| {
        let setup = &setup;
        async move {
            let data = read(&*setup.store, &setup.version, start, end).await.expect("resumed");
            assert!(data == synthetic_bytes(SEED, start..end), "{start}..{end}");
        }
    });
    futures::stream::iter(reads).buffer_unordered(8).collect::<Vec<_>>().await;
    let faults = setup.server.stats().faults;
    assert!(faults > 30, "only {faults} faults were injected");
}

#[tokio::test]
async fn only_the_missing_bytes_are_asked_for_again() {
    let setup = start().await;
    setup.server.reset_stats();
    setup.spoil(|knobs| {
        knobs.only = Some(Operation::Get);
        knobs.p_cut = 0.5;
    });
    for _ in 0..10 {
        let data = read(&*setup.store, &setup.version, 0, SIZE).await.expect("resumed");
        assert!(data == synthetic_bytes(SEED, 0..SIZE));
    }
    let stats = setup.server.stats();
    assert!(stats.faults > 0);
    // Without resuming, ten reads at this rate of cuts would send half as much again. What was in the connection's
    // buffers when it broke is lost and sent twice.
    assert!(stats.bytes_sent < 10 * SIZE + stats.faults * (2 << 20), "{} bytes sent", stats.bytes_sent);
}

#[tokio::test]
async fn listings_and_writes_come_through_refusals() {
    let setup = start().await;
    setup.spoil(|knobs| {
        knobs.p_503 = 0.2;
        knobs.p_500 = 0.1;
        knobs.p_reset = 0.1;
    });
    for n in 0..20 {
        let name = key(&format!("written/{n:02}"));
        let data = synthetic_bytes(n, 0..5_000);
        let meta = put(&*setup.store, &name, data.clone()).await.expect("written");
        assert_eq!(setup.server.get(BUCKET, name.as_str()), Some(data));
        assert_eq!(setup.store.stat(&name).await.expect("is there"), meta);
    }
    let request = ListRequest {
        directory: key("written/"),
        depth: ListDepth::Children,
        start_after: None,
        continuation: None,
    };
    assert_eq!(setup.store.list(&request).await.expect("listed").entries.len(), 20);
    assert!(setup.server.stats().faults > 0);
}

/// The answer of a conditional write gets lost behind the time limit; the write itself took effect.
#[tokio::test]
async fn a_conditional_put_whose_answer_was_lost_is_recognized() {
    let mut setup = start().await;
    setup.settings.calls.attempt_timeout = Duration::from_millis(300);
    let store = connect(&setup.settings).await;
    let (name, data) = (key("once"), synthetic_bytes(5, 0..70_000));
    setup.server.put(BUCKET, "once", data.clone());
    // The server holds the bytes already; the first try fails unclearly.
    setup.spoil(|knobs| {
        knobs.only = Some(Operation::Put);
        knobs.p_slow = 0.5;
        knobs.slow_ms = 2_000;
    });
    let mut recognized = 0;
    for _ in 0..12 {
        match put(&*store, &name, data.clone()).await {
            Ok(meta) => {
                assert_eq!(meta.size_bytes, 70_000);
                recognized += 1;
            }
            Err(error) => assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}"),
        }
        let other = synthetic_bytes(6, 0..70_000);
        let error = put(&*store, &name, other).await.expect_err("other bytes are there");
        assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
    }
    assert!(recognized > 0, "no try was lost");
}

async fn ends_in_time<T>(limit: Duration, what: &str, call: impl Future<Output = ufs::Result<T>>) -> Error {
    let started = Instant::now();
    let error = match call.await {
        Ok(_) => panic!("{what} succeeded"),
        Err(error) => error,
    };
    assert!(matches!(error, Error::Unavailable { .. } | Error::Throttled { .. }), "{what}: {error:?}");
    assert!(started.elapsed() < limit, "{what} took {:?}", started.elapsed());
    error
}

#[tokio::test]
async fn every_call_ends_in_time_when_the_store_does_not_answer() {
    let mut setup = start().await;
    setup.settings.calls.attempt_timeout = Duration::from_millis(100);
    setup.settings.calls.total_timeout = Duration::from_millis(600);
    setup.settings.calls.attempts_max = 4;
    let store = connect(&setup.settings).await;
    let limit = Duration::from_secs(5);
    let outages: [fn(&mut Knobs); 4] = [
        |knobs| knobs.down = true,
        |knobs| knobs.latency_ms = 60_000,
        |knobs| knobs.p_503 = 1.0,
        |knobs| knobs.p_reset = 1.0,
    ];
    for outage in outages {
        setup.server.faults().clear();
        setup.spoil(outage);
        let request = ListRequest {
            directory: Key::root(),
            depth: ListDepth::Recursive,
            start_after: None,
            continuation: None,
        };
        ends_in_time(limit, "stat", store.stat(&key("object"))).await;
        ends_in_time(limit, "list", store.list(&request)).await;
        ends_in_time(limit, "read", read(&*store, &setup.version, 0, SIZE)).await;
        ends_in_time(limit, "put", put(&*store, &key("x"), Bytes::from_static(b"x"))).await;
        ends_in_time(limit, "delete", store.delete(&key("x"), None)).await;
    }
    setup.server.faults().clear();
    store.stat(&key("object")).await.expect("heals by itself");
}

#[tokio::test]
async fn a_body_that_stalls_for_ever_ends_in_an_error() {
    let mut setup = start().await;
    setup.settings.calls.stall_timeout = Duration::from_millis(50);
    setup.settings.calls.total_timeout = Duration::from_secs(2);
    setup.settings.calls.attempts_max = 3;
    let store = connect(&setup.settings).await;
    // Every body stops somewhere, at last before its only byte.
    setup.spoil(|knobs| knobs.p_stall = 1.0);
    let error =
        ends_in_time(Duration::from_secs(10), "read", read(&*store, &setup.version, 0, 64 << 10)).await;
    assert!(error.to_string().contains("stalled"), "{error}");
}

#[tokio::test]
async fn an_outage_in_the_middle_of_a_body_heals() {
    let setup = start().await;
    setup.spoil(|knobs| knobs.p_cut = 1.0);
    let body =
        setup.store.read(&key("object"), Some(&setup.version), ByteRange::new(0..SIZE)).await.expect("begun");
    setup.spoil(|knobs| {
        knobs.p_cut = 0.0;
        knobs.down = true;
    });
    // Connections are reset before they have a request that could count.
    let tries = || setup.server.stats().faults + setup.server.stats().connections;
    let seen = tries();
    let end_outage = async {
        let deadline = Instant::now() + Duration::from_secs(10);
        while tries() < seen + 2 {
            assert!(Instant::now() < deadline, "nobody asked again");
            tokio::task::yield_now().await;
        }
        setup.server.faults().clear();
    };
    let (chunks, ()) = tokio::join!(body.try_collect::<Vec<Bytes>>(), end_outage);
    assert!(chunks.expect("healed").concat() == synthetic_bytes(SEED, 0..SIZE));
}

#[tokio::test]
async fn an_object_replaced_before_the_body_is_resumed_is_changed() {
    let setup = start().await;
    setup.spoil(|knobs| knobs.p_cut = 1.0);
    let mut body =
        setup.store.read(&key("object"), Some(&setup.version), ByteRange::new(0..SIZE)).await.expect("begun");
    setup.server.faults().clear();
    setup.server.put(BUCKET, "object", synthetic_bytes(SEED + 1, 0..SIZE));
    let mut data = Vec::new();
    let error = loop {
        match body.next().await.expect("ends in an error") {
            Ok(chunk) => data.extend_from_slice(&chunk),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, Error::Changed { wanted, .. } if *wanted == setup.version), "{error:?}");
    assert!(data == synthetic_bytes(SEED, 0..data.len() as u64), "bytes of the new version");
    assert!(body.next().await.is_none());
}
