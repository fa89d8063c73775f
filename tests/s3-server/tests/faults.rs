//! Fault knobs as a client sees them, and the consistency of a GET under replacement.

mod support;

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::Method;
use s3_server::{Operation, SyntheticObject, synthetic_bytes};
use support::Fixture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SIZE: u64 = 3_000_000;

async fn fixture() -> Fixture {
    let fixture = Fixture::start().await;
    fixture.server.put_synthetic("bkt", "k", SyntheticObject { seed: 5, size_bytes: SIZE });
    fixture
}

#[tokio::test]
async fn without_faults_the_bytes_arrive() {
    let fixture = fixture().await;
    let reply = fixture.get("/bkt/k", &[]).await;
    assert_eq!(reply.body, synthetic_bytes(5, 0..SIZE));
    let reply = fixture.get("/bkt/k", &[("range", "bytes=1234567-2234567")]).await;
    assert_eq!(reply.body, synthetic_bytes(5, 1_234_567..2_234_568));
    let stats = fixture.server.stats();
    assert_eq!((stats.get, stats.requests(), stats.bytes_sent, stats.faults), (2, 2, SIZE + 1_000_001, 0));
    fixture.server.reset_stats();
    assert_eq!(fixture.server.stats().get, 0);
}

#[tokio::test]
async fn refusals_have_their_codes() {
    let fixture = fixture().await;
    fixture.server.faults().set(|knobs| knobs.p_503 = 1.0);
    let reply = fixture.get("/bkt/k", &[]).await;
    assert_eq!((reply.status.as_u16(), reply.elements("Code")), (503, vec!["SlowDown"]));
    fixture
        .server
        .faults()
        .set(|knobs| (knobs.p_503, knobs.p_500, knobs.only) = (0.0, 1.0, Some(Operation::Get)));
    let reply = fixture.get("/bkt/k", &[]).await;
    assert_eq!((reply.status.as_u16(), reply.elements("Code")), (500, vec!["InternalError"]));
    assert_eq!(fixture.send(Method::HEAD, "/bkt/k", &[], "").await.status.as_u16(), 200);
    assert_eq!(fixture.server.stats().faults, 2);
    fixture.server.faults().clear();
    assert_eq!(fixture.get("/bkt/k", &[]).await.status.as_u16(), 200);
}

#[tokio::test]
async fn resets_and_outages_break_the_connection_and_heal() {
    let fixture = fixture().await;
    fixture.server.faults().set(|knobs| knobs.p_reset = 1.0);
    assert!(fixture.try_send(Method::GET, "/bkt/k", &[], "").await.is_err());
    fixture.server.faults().set(|knobs| (knobs.p_reset, knobs.down) = (0.0, true));
    assert!(fixture.try_send(Method::GET, "/bkt/k", &[], "").await.is_err());
    fixture.server.faults().clear();
    assert_eq!(fixture.get("/bkt/k", &[]).await.body.len() as u64, SIZE);
}

#[tokio::test]
async fn a_cut_body_is_a_true_beginning_of_the_object() {
    let fixture = fixture().await;
    fixture.server.faults().set(|knobs| knobs.p_cut = 1.0);
    for _ in 0..5 {
        let before = fixture.server.stats().bytes_sent;
        let cut = read_until_broken(&fixture).await;
        assert!(cut.len() < SIZE as usize);
        assert_eq!(cut, synthetic_bytes(5, 0..cut.len() as u64));
        assert_eq!(fixture.server.stats().bytes_sent - before, cut.len() as u64, "what was sent arrived");
    }
}

/// The bytes of a GET that arrive before the connection breaks.
async fn read_until_broken(fixture: &Fixture) -> Vec<u8> {
    let mut all = raw_get(fixture.server.address()).await.expect("a cut connection ends in FIN");
    let head_len = all.windows(4).position(|window| window == b"\r\n\r\n").expect("a response head") + 4;
    all.split_off(head_len)
}

/// All that comes back on a connection of its own, head and body.
async fn raw_get(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /bkt/k HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await?;
    Ok(all)
}

#[tokio::test]
async fn a_stalled_body_is_silent_and_then_breaks() {
    let fixture = fixture().await;
    fixture.server.faults().set(|knobs| (knobs.p_stall, knobs.stall_ms) = (1.0, 300));
    let started = Instant::now();
    assert!(fixture.try_send(Method::GET, "/bkt/k", &[], "").await.is_err());
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
}

#[tokio::test]
async fn delays_and_rates_take_their_time() {
    let fixture = fixture().await;
    fixture.server.faults().set(|knobs| (knobs.latency_ms, knobs.p_slow, knobs.slow_ms) = (50, 1.0, 100));
    let started = Instant::now();
    fixture.send(Method::HEAD, "/bkt/k", &[], "").await;
    assert!(started.elapsed() >= Duration::from_millis(150), "{:?}", started.elapsed());
    fixture.server.faults().clear();
    fixture.server.faults().set(|knobs| knobs.rate_bytes_per_s = 10_000_000);
    let started = Instant::now();
    let reply = fixture.get("/bkt/k", &[]).await;
    assert_eq!(reply.body, synthetic_bytes(5, 0..SIZE));
    // the last piece goes out when all before it are paid for
    assert!(started.elapsed() >= Duration::from_millis(270), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_get_serves_one_version_while_the_key_is_replaced() {
    const LEN: usize = 1_000_000;
    let fixture = Fixture::start().await;
    let whole = |value: u8| vec![value; LEN];
    fixture.server.put("bkt", "k", whole(0));
    let (done, replaced) = (Cell::new(false), Cell::new(0_u32));
    let replace = async {
        while !done.get() {
            replaced.set(replaced.get() + 1);
            fixture.server.put("bkt", "k", whole(replaced.get() as u8));
            tokio::task::yield_now().await;
        }
    };
    let read = async {
        for _ in 0..100 {
            let reply = fixture.get("/bkt/k", &[]).await;
            assert_eq!(reply.body.len(), LEN);
            assert!(reply.body.iter().all(|byte| *byte == reply.body[0]), "a mix of two versions");
            let range =
                fixture.get("/bkt/k", &[("range", "bytes=0-9"), ("if-match", reply.header("etag"))]).await;
            assert!(
                range.status.as_u16() == 412 || range.body == reply.body[..10],
                "a range of another version"
            );
        }
        done.set(true);
    };
    tokio::join!(replace, read);
    assert!(replaced.get() > 100, "replaced {} times during 100 reads", replaced.get());
}

#[tokio::test]
async fn a_server_stops_with_clients_connected() {
    let fixture = fixture().await;
    fixture.server.faults().set(|knobs| knobs.p_stall = 1.0);
    let address = fixture.server.address();
    let pending = tokio::spawn(raw_get(address));
    while fixture.server.stats().get == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(5), fixture.server.shutdown())
        .await
        .expect("shutdown is bounded");
    let ended = tokio::time::timeout(Duration::from_secs(5), pending).await;
    ended.expect("the client's connection is closed").unwrap().ok();
    assert!(TcpStream::connect(address).await.is_err(), "nothing listens any more");
}
