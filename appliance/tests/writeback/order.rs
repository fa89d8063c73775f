//! What the store shows is at each moment a prefix of what happened here: the calls of the checkpoint libraries.

use staging::NewKind;

use super::rig::{MIB, Rig, bytes};

/// The keys come in this order, whatever else comes between.
fn assert_in_order(changes: &[String], keys: &[&str]) {
    let at = |key: &str| {
        changes.iter().position(|change| change == key).unwrap_or_else(|| panic!("{key} in {changes:?}"))
    };
    let places: Vec<usize> = keys.iter().map(|key| at(key)).collect();
    assert!(places.is_sorted(), "{keys:?} in {changes:?}");
}

/// torch.distributed.checkpoint: shards under their final names with fsync, `.metadata.tmp` renamed last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dcp_shows_its_metadata_last() {
    let rig = Rig::new().await;
    rig.mkdir("step-1");
    for rank in 0..2u64 {
        let shard = format!("step-1/__{rank}_0.distcp");
        rig.write(&shard, &bytes(rank, 12 * MIB));
        rig.fsync(&shard);
    }
    rig.write("step-1/.metadata.tmp", b"which shard has what");
    rig.fsync("step-1/.metadata.tmp");
    rig.rename("step-1/.metadata.tmp", "step-1/.metadata");
    rig.flush("").await;
    let changes = rig.changes();
    assert_in_order(&changes, &["step-1/", "step-1/__0_0.distcp", "step-1/__1_0.distcp", "step-1/.metadata"]);
    assert_eq!(changes.len(), 4, "the temporary name was shown: {changes:?}");
    for rank in 0..2u64 {
        assert!(rig.stored(&format!("step-1/__{rank}_0.distcp")) == Some(bytes(rank, 12 * MIB)));
    }
    assert!(rig.server.uploads(super::rig::BUCKET).is_empty());
}

/// Saving again over a published checkpoint: the old mark goes before the shards change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dcp_over_an_old_checkpoint_takes_the_mark_away_first() {
    let rig = Rig::new().await;
    rig.mkdir("ckpt");
    rig.write("ckpt/__0_0.distcp", b"old");
    rig.write("ckpt/.metadata", b"old");
    rig.flush("").await;
    rig.changes();
    rig.unlink("ckpt/.metadata");
    rig.write("ckpt/__0_0.distcp", b"newer");
    rig.write("ckpt/.metadata.tmp", b"new");
    rig.rename("ckpt/.metadata.tmp", "ckpt/.metadata");
    rig.flush("").await;
    let changes = rig.changes();
    assert_in_order(&changes, &["-ckpt/.metadata", "ckpt/__0_0.distcp", "ckpt/.metadata"]);
    assert_eq!(rig.stored("ckpt/.metadata").as_deref(), Some(&b"new"[..]));
}

/// torch.save to a temporary name and os.replace: the name never shows half a file, the old one is replaced at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_file_is_shown_whole() {
    let rig = Rig::new().await;
    rig.write("model.pt", &bytes(1, 2 * MIB));
    rig.flush("").await;
    assert_eq!(rig.changes(), ["model.pt"]);
    rig.write("model.pt.tmp", &bytes(2, 3 * MIB));
    rig.rename("model.pt.tmp", "model.pt");
    rig.flush("").await;
    assert_eq!(rig.changes(), ["model.pt"]);
    assert!(rig.stored("model.pt") == Some(bytes(2, 3 * MIB)));
}

/// Megatron and Lightning: a small file at the top names the newest folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracker_file_comes_after_what_it_names() {
    let rig = Rig::new().await;
    rig.mkdir("run");
    rig.mkdir("run/iter_0001");
    for rank in 0..4u64 {
        rig.write(&format!("run/iter_0001/mp_rank_{rank:02}.pt"), &bytes(rank, 6 * MIB));
    }
    rig.write("run/latest_checkpointed_iteration.txt", b"1");
    rig.flush("run").await;
    let changes = rig.changes();
    assert_eq!(
        changes.last().map(String::as_str),
        Some("run/latest_checkpointed_iteration.txt"),
        "{changes:?}"
    );
    assert_eq!(changes.len(), 7);
}

/// safetensors: shards, then the index that names them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_comes_after_its_shards() {
    let rig = Rig::new().await;
    rig.mkdir("export");
    let shards: Vec<String> = (1..=3).map(|n| format!("export/model-{n:05}-of-00003.safetensors")).collect();
    for (shard, seed) in shards.iter().zip(0..) {
        rig.write(shard, &bytes(seed, 5 * MIB + 7));
    }
    rig.write("export/model.safetensors.index.json", b"{}");
    rig.flush("").await;
    let changes = rig.changes();
    let mut wanted: Vec<&str> = shards.iter().map(String::as_str).collect();
    wanted.push("export/model.safetensors.index.json");
    assert_in_order(&changes, &wanted);
}

/// Trainers write into a temporary folder and rename it; then a link says which is the newest, and the oldest goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_folder_is_shown_under_its_final_name_only() {
    let rig = Rig::new().await;
    rig.mkdir("out");
    rig.mkdir("out/.tmp-7");
    rig.write("out/.tmp-7/weights", &bytes(7, 2 * MIB));
    rig.write("out/.tmp-7/config.json", b"{}");
    rig.rename("out/.tmp-7", "out/step-7");
    rig.make("out/latest", NewKind::Symlink { target: "step-7".into() }, None);
    rig.flush("").await;
    let changes = rig.changes();
    assert!(changes.iter().all(|key| !key.contains(".tmp")), "{changes:?}");
    assert_in_order(&changes, &["out/step-7/weights", "out/latest"]);
    assert_in_order(&changes, &["out/step-7/config.json", "out/latest"]);
    assert_eq!(rig.stored("out/latest").as_deref(), Some(&b"step-7"[..]));
}

/// A published folder that is renamed is copied inside the store; the old names go after the new ones are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_file_is_renamed_by_the_store() {
    let rig = Rig::new().await;
    rig.mkdir("d");
    rig.write("d/a", &bytes(1, 7 * MIB));
    rig.flush("").await;
    rig.changes();
    let sent = rig.server.stats().bytes_received;
    rig.rename("d/a", "d/b");
    rig.flush("").await;
    assert_eq!(rig.changes(), ["d/b", "-d/a"]);
    assert!(rig.stored("d/b") == Some(bytes(1, 7 * MIB)));
    let sent = rig.server.stats().bytes_received - sent;
    assert!(sent < 4096, "{sent} bytes were sent for a rename");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vanishes_within_the_delay_is_never_sent() {
    let rig = Rig::new().await;
    rig.write("short-lived", &bytes(1, 6 * MIB));
    rig.unlink("short-lived");
    rig.flush("").await;
    assert!(rig.changes().is_empty());
    assert_eq!(rig.server.stats().put + rig.server.stats().upload_part, 0);
}

/// A tree whose first event is held up by its own slow upload does not hold up another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_do_not_wait_for_each_other() {
    let rig = Rig::new().await;
    rig.mkdir("slow");
    rig.mkdir("fast");
    rig.flush("").await;
    rig.changes();
    rig.server.faults().set(|knobs| {
        knobs.only = Some(s3_server::Operation::CompleteMultipart);
        knobs.p_403 = 1.0;
    });
    rig.write("slow/large", &bytes(1, 11 * MIB));
    rig.write("slow/after", b"waits");
    rig.write("fast/small", b"goes");
    rig.flush_until("slow", |progress| progress.failing.is_some()).await;
    rig.flush("fast").await;
    assert_eq!(rig.changes(), ["fast/small"]);
    rig.server.faults().clear();
    rig.flush("").await;
    assert_eq!(rig.changes(), ["slow/large", "slow/after"]);
}
