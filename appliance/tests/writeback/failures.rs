//! A store that says no, or nothing: the data stays, the reason is told, and it goes on by itself.

use s3_server::{Knobs, Operation};

use super::rig::{MIB, Rig, bytes};

async fn heals_from(spoil: fn(&mut Knobs), said: &str, is_refused: bool) {
    let rig = Rig::new().await;
    rig.server.faults().set(spoil);
    rig.write("file", &bytes(1, MIB));
    let failing = rig.flush_until("", |progress| progress.failing.is_some()).await;
    let reason = failing.failing.clone().expect("told");
    assert!(reason.starts_with("file: ") && reason.contains(said), "{reason}");
    assert_eq!(failing.is_refused, is_refused, "{reason}");
    let status = rig.writeback.status();
    assert!(status.is_red());
    assert_eq!((status.failing_count, status.dirty_bytes, status.dirty_files), (1, 1 << 20, 1));
    assert!(status.failing[0].reason.contains(said), "{:?}", status.failing);
    rig.server.faults().clear();
    let healed = std::time::Instant::now();
    rig.flush("").await;
    assert!(healed.elapsed().as_secs() < 10, "{:?}", healed.elapsed());
    assert!(rig.stored("file") == Some(bytes(1, MIB)));
    let status = rig.writeback.status();
    assert!(!status.is_red());
    assert_eq!((status.dirty_bytes, status.events_waiting), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied() {
    heals_from(|knobs| knobs.p_403 = 1.0, "denied", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_quota() {
    heals_from(|knobs| (knobs.p_quota, knobs.only) = (1.0, Some(Operation::Put)), "quota", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outage() {
    heals_from(|knobs| knobs.down = true, "does not answer", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_while_parts_are_sent_sends_none_twice() {
    let rig = Rig::new().await;
    let data = bytes(2, 60 * MIB);
    rig.write("big", &data);
    rig.server.reset_stats();
    rig.server.faults().set(|knobs| {
        knobs.only = Some(Operation::UploadPart);
        knobs.p_500 = 0.7;
    });
    rig.flush_until("", |progress| progress.failing.is_some()).await;
    rig.server.faults().set(|knobs| *knobs = Knobs { down: true, ..Knobs::default() });
    rig.flush_until("", |progress| progress.failing.as_ref().is_some_and(|why| why.contains("answer"))).await;
    rig.server.faults().clear();
    rig.flush("").await;
    assert!(rig.stored("big") == Some(data));
    assert_eq!(rig.server.stats().create_multipart, 1);
    assert_eq!(rig.server.stats().list_parts, 0, "what this run has sent it knows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_prompt_and_the_next_start_goes_on() {
    let rig = Rig::new().await;
    rig.server.faults().set(|knobs| (knobs.p_slow, knobs.slow_ms) = (1.0, 60_000));
    rig.write("file", b"waits");
    rig.flush_until("", |progress| !progress.is_done()).await;
    let started = std::time::Instant::now();
    rig.writeback.stop().await;
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
    rig.server.faults().clear();
    let rig = rig.restart().await;
    rig.flush("").await;
    assert_eq!(rig.stored("file").as_deref(), Some(&b"waits"[..]));
}
