//! Large files: parts, resuming, and what is not sent again.

use super::rig::{BUCKET, MIB, Rig, bytes, settings};

const PART: u64 = 5 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_was_broken_off_goes_on() {
    let rig = Rig::new().await;
    let data = bytes(3, 53 * MIB);
    rig.write("big", &data);
    rig.server.reset_stats();
    // Parts arrive one by one, and the completion never does.
    rig.server.faults().set(|knobs| {
        knobs.only = Some(s3_server::Operation::CompleteMultipart);
        knobs.p_500 = 1.0;
    });
    rig.flush_until("", |progress| progress.failing.is_some()).await;
    let sent = rig.server.stats().bytes_received;
    assert!(sent >= data.len() as u64);
    assert_eq!(rig.server.uploads(BUCKET).len(), 1);
    let rig = rig.restart().await;
    rig.server.faults().clear();
    rig.server.reset_stats();
    rig.flush("").await;
    assert!(rig.stored("big") == Some(data));
    let stats = rig.server.stats();
    assert_eq!((stats.upload_part, stats.create_multipart), (0, 0), "parts were sent again");
    assert!(rig.server.uploads(BUCKET).is_empty());
    assert_eq!(std::fs::read_dir(rig.uploads_directory()).expect("there").count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_missing_parts_are_sent_after_a_restart() {
    let rig = Rig::new().await;
    let data = bytes(4, 40 * MIB);
    rig.write("big", &data);
    rig.server.reset_stats();
    rig.server.faults().set(|knobs| {
        knobs.only = Some(s3_server::Operation::UploadPart);
        knobs.p_500 = 0.6;
    });
    rig.flush_until("", |progress| progress.failing.is_some()).await;
    let rig = rig.restart().await;
    let uploads = rig.server.uploads(BUCKET);
    rig.server.faults().clear();
    rig.server.reset_stats();
    rig.flush("").await;
    assert!(rig.stored("big") == Some(data));
    let stats = rig.server.stats();
    assert_eq!((uploads.len(), stats.create_multipart), (1, 0));
    assert!(stats.upload_part < 8, "{} of 8 parts were sent again", stats.upload_part);
}

/// The file is written again between the runs: no part of the old content is taken for one of the new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_older_content_are_not_taken() {
    let rig = Rig::new().await;
    rig.write("big", &bytes(5, 22 * MIB));
    rig.server.faults().set(|knobs| {
        knobs.only = Some(s3_server::Operation::CompleteMultipart);
        knobs.p_500 = 1.0;
    });
    rig.flush_until("", |progress| progress.failing.is_some()).await;
    let rig = rig.restart().await;
    rig.server.faults().clear();
    let data = bytes(6, 22 * MIB);
    rig.write("big", &data);
    rig.flush("").await;
    assert!(rig.stored("big") == Some(data));
    assert!(rig.server.uploads(BUCKET).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_sends_the_tail_alone() {
    let rig = Rig::new().await;
    let (old, tail) = (bytes(7, 64 * MIB), bytes(8, MIB));
    rig.write("log", &old);
    rig.flush("").await;
    rig.server.reset_stats();
    let file = rig.open_file("log");
    file.write_at(old.len() as u64, &tail).expect("appended");
    file.close().expect("closed");
    rig.flush("").await;
    assert!(rig.stored("log") == Some([&old[..], &tail[..]].concat().into()));
    let sent = rig.server.stats().bytes_received;
    assert!(sent < PART + (2 << 20), "{sent} bytes were sent for an append of 1 MiB");
    assert!(rig.writeback.status().copied_bytes >= 59 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_removed_while_it_is_sent_leaves_nothing() {
    let rig = Rig::new().await;
    rig.write("big", &bytes(9, 23 * MIB));
    rig.server.faults().set(|knobs| {
        knobs.only = Some(s3_server::Operation::UploadPart);
        knobs.p_503 = 1.0;
    });
    rig.flush_until("", |progress| progress.failing.is_some()).await;
    rig.unlink("big");
    rig.server.faults().clear();
    rig.flush("").await;
    let rig = rig.restart().await;
    rig.wait_for("the upload is aborted", |rig| rig.server.uploads(BUCKET).is_empty()).await;
    assert_eq!(rig.stored("big"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attributes_go_along_and_the_namespace_knows_the_file() {
    let rig = Rig::new().await;
    rig.mkdir("d");
    rig.write("d/small", b"12345");
    rig.write("d/large", &bytes(10, 6 * MIB));
    rig.flush("").await;
    assert_eq!(rig.known("d/small").await, Some(5));
    assert_eq!(rig.known("d/large").await, Some(6 * MIB as u64));
    rig.unlink("d/small");
    rig.flush("").await;
    assert_eq!(rig.known("d/small").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bandwidth_is_kept() {
    let rig = Rig::with(forebay::writeback::Settings { bandwidth_bytes: Some(20 << 20), ..settings() }).await;
    rig.write("big", &bytes(11, 30 * MIB));
    let started = std::time::Instant::now();
    rig.flush("").await;
    // The last part is not waited for.
    assert!(started.elapsed().as_secs_f64() > 1.1, "{:?}", started.elapsed());
}
