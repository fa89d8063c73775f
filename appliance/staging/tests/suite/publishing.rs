//! Publish events: what the store is told, when, and in which order.

use staging::{Durability, Lookup, NodeNumber, Outcome, RenameMode, Turn};

use crate::support::{QUIET, ROOT, Rig, attributes, base};

#[test]
fn a_close_is_published_after_its_delay() {
    let rig = Rig::new();
    let number = rig.file(ROOT, "f", b"1");
    assert!(rig.ready().is_empty());
    assert_eq!(rig.staging.next_due(), Some(rig.staging.now() + QUIET));
    rig.wait(QUIET);
    assert_eq!(rig.publish(), ["put f"]);
    let node = rig.staging.node(number).expect("it is there");
    assert_eq!(
        (node.durability, node.version.as_deref()),
        (Durability::Remote, Some(format!("v{}", number.0).as_str()))
    );
    let stats = rig.staging.stats();
    assert_eq!((stats.dirty_bytes, stats.dirty_files, stats.kept_bytes, stats.events_waiting), (0, 0, 1, 0));
    let rig = rig.kill();
    assert_eq!(rig.staging.node(number).map(|node| node.durability), Some(Durability::Remote));
    rig.write(number, 1, b"2");
    rig.wait(QUIET);
    assert_eq!(rig.publish(), ["put f"]);
}

#[test]
fn a_temporary_name_is_never_published() {
    let rig = Rig::new();
    rig.file(ROOT, "gone.tmp", b"1");
    rig.file(ROOT, "f.tmp", b"1");
    rig.staging.unlink(ROOT, "gone.tmp", None).expect("it is there");
    rig.staging.rename((ROOT, "f.tmp"), (ROOT, "f"), RenameMode::Replace, None).expect("it is there");
    rig.wait(QUIET);
    assert_eq!(rig.publish(), ["put f"]);
}

/// torch.distributed.checkpoint: shards, then `.metadata.tmp`, an unlink of the old `.metadata`, and the rename.
#[test]
fn a_manifest_comes_after_its_shards() {
    let rig = Rig::new();
    let run = rig.directory("run");
    let tmp = rig.file(run, ".metadata.tmp", b"early");
    rig.file(run, "__0_0.distcp", b"shard");
    rig.file(run, "__1_0.distcp", b"shard");
    rig.staging
        .rename((run, ".metadata.tmp"), (run, ".metadata"), RenameMode::Replace, None)
        .expect("it is there");
    rig.wait(QUIET);
    let events = rig.staging.events_below("run");
    let paths: Vec<_> = events.iter().map(|event| event.path.as_ref()).collect();
    assert_eq!(paths, ["run", "run/__0_0.distcp", "run/__1_0.distcp", "run/.metadata"]);
    assert_eq!(rig.ready(), ["put run"], "small files wait for their turn");
    let last = &events[3];
    assert!(!rig.staging.may_publish(last.seq));
    rig.staging.take(last.seq).expect("nobody has it");
    rig.staging.begin_upload(last.seq).expect("data may go early");
    let target = base("run/.metadata", "", 5);
    assert_eq!(rig.staging.begin_publish(last.seq, &target).expect("it is taken"), Turn::Wait);
    assert_eq!(rig.staging.node(tmp).map(|node| node.durability), Some(Durability::Uploading));
}

#[test]
fn a_place_in_the_order_is_kept() {
    let rig = Rig::new();
    let run = rig.directory("run");
    let shard = rig.file(run, "shard", &[1; 5000]);
    rig.file(run, "manifest", b"1");
    rig.write(shard, 0, b"22");
    rig.wait(QUIET);
    assert_eq!(rig.publish(), ["put run", "put run/shard", "put run/manifest"]);
}

/// Megatron: `latest_checkpointed_iteration.txt` is written in place after the shards of each iteration.
#[test]
fn a_pointer_that_is_written_again_has_two_places() {
    let rig = Rig::new();
    let run = rig.directory("run");
    rig.file(run, "iter_1", b"shard");
    let latest = rig.file(run, "latest", b"1");
    rig.file(run, "iter_2", b"shard");
    let file = rig.open(latest);
    file.truncate(0).expect("it is open");
    file.write_at(0, b"2").expect("it is open");
    std::mem::forget(file); // The daemon is killed before it is closed.
    let rig = rig.kill();
    rig.wait(QUIET);
    let mut sent = Vec::new();
    while let Some(event) = rig.staging.ready(rig.staging.now()).into_iter().next() {
        rig.staging.take(event.seq).expect("nobody has it");
        let upload = rig.staging.begin_upload(event.seq).expect("it can be sent");
        let bytes = match upload.kind {
            staging::UploadKind::Frozen { bytes } => bytes.into_vec(),
            staging::UploadKind::File { .. } => rig.read(upload.node),
            _ => Vec::new(),
        };
        let target = base(&event.path, &format!("v{}", event.seq.0), bytes.len() as u64);
        let turn = rig.staging.begin_publish(event.seq, &target).expect("it is taken");
        let is_first_of_its_path = !sent.iter().any(|(path, _)| *path == event.path);
        assert!(matches!(turn, Turn::Now { replaces } if replaces.is_none() == is_first_of_its_path));
        rig.staging.published(event.seq, target).expect("it is taken");
        sent.push((event.path, String::from_utf8(bytes).expect("text")));
    }
    let sent: Vec<_> = sent.iter().map(|(path, bytes)| (path.as_ref(), bytes.as_str())).collect();
    let expected = [
        ("run", ""),
        ("run/iter_1", "shard"),
        ("run/latest", "1"),
        ("run/iter_2", "shard"),
        ("run/latest", "2"),
    ];
    assert_eq!(sent, expected);
    assert_eq!(rig.staging.stats().dirty_files, 0);
}

#[test]
fn independent_trees_do_not_wait_for_each_other() {
    let rig = Rig::new();
    let (a, b) = (rig.directory("a"), rig.directory("b"));
    rig.wait(QUIET);
    rig.publish();
    rig.file(a, "large", b"1");
    rig.file(b, "small", b"1");
    rig.wait(QUIET);
    let events = rig.staging.ready(rig.staging.now());
    assert!(events.iter().all(|event| rig.staging.may_publish(event.seq)));
    rig.file(ROOT, "outside", b"1");
    rig.wait(QUIET);
    let outside = rig.staging.events_below("outside").remove(0);
    assert!(!rig.staging.may_publish(outside.seq), "it is related to both");
}

#[test]
fn what_changes_during_an_upload_is_published_again() {
    let rig = Rig::new();
    let number = rig.file(ROOT, "log", b"line 1\n");
    rig.wait(QUIET);
    let event = rig.staging.ready(rig.staging.now()).remove(0);
    rig.staging.take(event.seq).expect("nobody has it");
    rig.staging.begin_upload(event.seq).expect("it can be sent");
    rig.write(number, 7, b"line 2\n");
    let sent = base("log", "v1", 7);
    assert_eq!(
        rig.staging.begin_publish(event.seq, &sent).expect("it is taken"),
        Turn::Now { replaces: None }
    );
    assert_eq!(
        rig.staging.published(event.seq, sent.clone()).expect("it is taken"),
        Outcome::ChangedMeanwhile
    );
    assert_eq!(rig.staging.stats().dirty_bytes, 7, "the appended line is what the store lacks");
    let rig = rig.kill();
    assert_eq!(rig.read(number), b"line 1\nline 2\n");
    assert_ne!(rig.staging.node(number).map(|node| node.durability), Some(Durability::Remote));
    rig.wait(QUIET);
    let event = rig.staging.ready(rig.staging.now()).remove(0);
    rig.staging.take(event.seq).expect("nobody has it");
    rig.staging.begin_upload(event.seq).expect("it can be sent");
    rig.write(number, 0, b"LINE");
    assert_eq!(rig.staging.begin_publish(event.seq, &sent).expect("it is taken"), Turn::Changed);
    rig.staging.give_back(event.seq, QUIET);
    assert!(rig.ready().is_empty());
    rig.wait(QUIET);
    let event = rig.staging.ready(rig.staging.now()).remove(0);
    rig.staging.take(event.seq).expect("nobody has it");
    rig.staging.begin_upload(event.seq).expect("it can be sent");
    let turn = rig.staging.begin_publish(event.seq, &sent).expect("it is taken");
    assert_eq!(turn, Turn::Now { replaces: Some(sent) }, "it replaces what this host put there");
}

#[test]
fn a_renamed_object_is_put_before_its_old_key_is_removed() {
    let rig = Rig::new();
    rig.staging
        .adopt_file(ROOT, "a", NodeNumber(9), base("a", "v1", 3), attributes())
        .expect("it is adopted");
    rig.staging.rename((ROOT, "a"), (ROOT, "b"), RenameMode::Replace, None).expect("it is there");
    rig.staging.rename((ROOT, "b"), (ROOT, "c"), RenameMode::Replace, None).expect("it is there");
    assert_eq!(rig.staging.lookup(ROOT, "a"), Lookup::Whiteout);
    assert_eq!(rig.staging.lookup(ROOT, "b"), Lookup::Unknown);
    rig.wait(QUIET);
    assert_eq!(rig.publish(), ["put c", "remove a"]);
    assert_eq!(rig.staging.lookup(ROOT, "a"), Lookup::Unknown, "the store has nothing there any more");
}

#[test]
fn a_put_that_may_have_gone_through_is_removed_with_its_name() {
    let rig = Rig::new();
    rig.file(ROOT, "f", b"1");
    rig.wait(QUIET);
    let event = rig.staging.ready(rig.staging.now()).remove(0);
    rig.staging.take(event.seq).expect("nobody has it");
    rig.staging.begin_upload(event.seq).expect("it can be sent");
    rig.staging.begin_publish(event.seq, &base("f", "", 1)).expect("it is taken");
    rig.staging.unlink(ROOT, "f", None).expect("it is there");
    assert_eq!(rig.staging.lookup(ROOT, "f"), Lookup::Whiteout);
    assert_eq!(rig.staging.published(event.seq, base("f", "v1", 1)).expect("it is taken"), Outcome::Gone);
    rig.wait(QUIET);
    let remove = rig.staging.ready(rig.staging.now()).remove(0);
    assert_eq!(remove.action, staging::Action::Remove { below: base("f", "v1", 1) });
    rig.publish_one(&remove);
    assert_eq!(rig.staging.lookup(ROOT, "f"), Lookup::Unknown);
}

#[test]
fn a_conflicting_file_steps_aside() {
    let rig = Rig::new();
    let run = rig.directory("run");
    rig.wait(QUIET);
    rig.publish();
    let number = rig.file(run, "f", b"mine");
    rig.wait(QUIET);
    let event = rig.staging.ready(rig.staging.now()).remove(0);
    rig.staging.take(event.seq).expect("nobody has it");
    let aside = rig.staging.conflict(event.seq, "host").expect("it is taken");
    assert_eq!(aside.as_deref(), Some("run/f.forebay-conflict-host-1"));
    assert_eq!(rig.staging.lookup(run, "f"), Lookup::Unknown, "the store's is seen");
    assert_eq!(rig.number(run, "f.forebay-conflict-host-1"), number);
    rig.wait(QUIET);
    assert_eq!(rig.publish(), ["put run/f.forebay-conflict-host-1"]);
}

#[test]
fn an_open_log_is_published_each_period() {
    let rig = Rig::new();
    let number = rig.file(ROOT, "log", b"");
    rig.wait(QUIET);
    rig.publish();
    let file = rig.open(number);
    file.write_at(0, b"line").expect("it is open");
    assert_eq!(rig.staging.next_due(), Some(rig.staging.now() + QUIET));
    rig.wait(QUIET);
    assert!(rig.ready().is_empty(), "its event was made now");
    rig.wait(QUIET);
    assert_eq!(rig.publish(), ["put log"]);
}

#[test]
fn a_flush_makes_things_due() {
    let rig = Rig::new();
    let run = rig.directory("run");
    let file = rig.open(rig.file(run, "f", b"1"));
    file.write_at(1, b"2").expect("it is open");
    rig.staging.hasten("run").expect("it is not poisoned");
    assert_eq!(rig.publish(), ["put run", "put run/f"]);
    assert!(rig.staging.events_below("run").is_empty());
}
