//! Two writers of one key: nothing of somebody else is overwritten.

use super::rig::{BUCKET, MIB, Rig, bytes, settings};

fn aside(rig: &Rig) -> Vec<String> {
    rig.changes().into_iter().filter(|key| key.contains(".forebay-conflict-")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_name_that_another_host_has_taken_steps_aside() {
    let first = Rig::new().await;
    let second = Rig::on(first.server.clone(), settings()).await;
    first.write("shared", b"of the first");
    second.write("shared", b"of the second");
    first.flush("").await;
    second.flush("").await;
    second.flush("").await;
    assert_eq!(first.stored("shared").as_deref(), Some(&b"of the first"[..]));
    let asides = aside(&second);
    assert_eq!(asides.len(), 1, "{asides:?}");
    assert_eq!(second.stored(&asides[0]).as_deref(), Some(&b"of the second"[..]));
    let status = second.writeback.status();
    assert_eq!((status.conflicts_count, status.failing_count), (1, 0));
    assert!(status.conflicts[0].starts_with("shared: "), "{:?}", status.conflicts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_steps_aside_too_and_leaves_no_upload() {
    let rig = Rig::new().await;
    rig.write("big", &bytes(1, 12 * MIB));
    rig.flush("").await;
    rig.server.put(BUCKET, "big", "foreign");
    rig.write("big", &bytes(2, 13 * MIB));
    rig.changes();
    rig.flush("").await;
    rig.flush("").await;
    assert_eq!(rig.stored("big").as_deref(), Some(&b"foreign"[..]));
    let asides = aside(&rig);
    assert_eq!(asides.len(), 1, "{asides:?}");
    assert!(rig.stored(&asides[0]) == Some(bytes(2, 13 * MIB)));
    assert!(rig.server.uploads(BUCKET).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_has_changed_is_not_removed() {
    let rig = Rig::new().await;
    rig.write("file", b"ours");
    rig.flush("").await;
    rig.server.put(BUCKET, "file", "foreign");
    rig.unlink("file");
    rig.flush("").await;
    assert_eq!(rig.stored("file").as_deref(), Some(&b"foreign"[..]));
    assert_eq!(rig.writeback.status().conflicts_count, 1);
}

/// The answer of a PUT is lost and the daemon killed: what it finds is its own, not a conflict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_this_host_has_put_before_is_recognized() {
    let rig = Rig::new().await;
    rig.write("file", b"written once");
    // The PUT takes effect; the HEAD behind it, which confirms it, does not.
    rig.server.faults().set(|knobs| {
        knobs.only = Some(s3_server::Operation::Head);
        knobs.p_500 = 1.0;
    });
    rig.flush_until("", |progress| progress.failing.is_some()).await;
    assert_eq!(rig.stored("file").as_deref(), Some(&b"written once"[..]));
    let rig = rig.restart().await;
    rig.server.faults().clear();
    rig.flush("").await;
    assert_eq!(rig.writeback.status().conflicts_count, 0);
    rig.write("file", b"written again");
    rig.flush("").await;
    assert_eq!(rig.stored("file").as_deref(), Some(&b"written again"[..]));
    assert_eq!(rig.writeback.status().conflicts_count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_is_gone_is_nothing_to_overwrite() {
    let rig = Rig::new().await;
    rig.write("file", b"first");
    rig.flush("").await;
    rig.server.remove(BUCKET, "file");
    rig.write("file", b"second");
    rig.flush("").await;
    assert_eq!(rig.stored("file").as_deref(), Some(&b"second"[..]));
    assert_eq!(rig.writeback.status().conflicts_count, 0);
}
