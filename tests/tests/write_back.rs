//! From a mount to the store: what is written there arrives in order, `forebay flush` waits for it, and nothing is lost when
//! the store says no or the daemon is killed.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs::{self, File};
use std::io::Write;

use std::time::Duration;

use forebay_tests::{
    Access, Daemon, MIB, S3, Setup, eventually, missing_fuse, read_whole, require, synthetic_bytes,
};

/// Nothing is sent by itself within a test.
const LATER: &str = "[writeback]\ndelay_large = \"1h\"\ndelay_small = \"1h\"\npart_size = \"5MiB\"\n";

fn setup(s3: &S3, more: &str) -> Setup {
    let text = format!("url = {:?}\nread_write = true\n{LATER}{more}", s3.url(""));
    s3.take_changes();
    Setup::new().s3(s3).impatient().mount_text(&text)
}

fn write(daemon: &Daemon<'_>, path: &str, data: &[u8]) {
    let mut file = File::create(daemon.path(path)).unwrap();
    file.write_all(data).unwrap();
    file.sync_all().unwrap();
}

fn flush(daemon: &Daemon<'_>) {
    daemon.cli(&["flush", daemon.mountpoint().to_str().unwrap(), "--timeout", "60s"]).succeeded();
}

fn staged_nodes(daemon: &Daemon<'_>) -> u64 {
    let room = nix::sys::statvfs::statvfs(daemon.mountpoint()).unwrap();
    room.files() - room.files_free()
}

fn changed_keys(s3: &S3) -> Vec<String> {
    s3.take_changes().into_iter().map(|change| change.key).collect()
}

#[test]
fn a_checkpoint_arrives_with_its_mark_last_and_is_read_from_here() {
    require!(missing_fuse());
    let s3 = S3::start();
    let setup = setup(&s3, "");
    let daemon = setup.start();
    let shard = synthetic_bytes(1, 0..12 * MIB);
    fs::create_dir(daemon.path("step-1")).unwrap();
    write(&daemon, "step-1/__0_0.distcp", &shard);
    write(&daemon, "step-1/.metadata.tmp", b"mark");
    fs::rename(daemon.path("step-1/.metadata.tmp"), daemon.path("step-1/.metadata")).unwrap();
    assert!(daemon.figure("/mounts/0/writeback/dirty_bytes") >= 12 * MIB);
    flush(&daemon);
    assert_eq!(changed_keys(&s3), ["step-1/", "step-1/__0_0.distcp", "step-1/.metadata"]);
    assert_eq!(daemon.figure("/mounts/0/writeback/dirty_bytes"), 0);
    s3.reset_stats();
    assert!(fs::read(daemon.path("step-1/__0_0.distcp")).unwrap() == shard);
    assert_eq!(s3.stats().get, 0, "what was just written was fetched");
    daemon.terminate();
}

#[test]
fn a_store_that_refuses_is_told_and_the_data_stays() {
    require!(missing_fuse());
    let s3 = S3::start();
    let setup = setup(&s3, "");
    let daemon = setup.start();
    s3.faults().set(|knobs| knobs.p_403 = 1.0);
    // A new name is looked up in the store, which would refuse that too.
    s3.faults().set(|knobs| knobs.only = Some(s3_server::Operation::Put));
    write(&daemon, "file", b"stays");
    let flushed = daemon.cli(&["flush", daemon.mountpoint().to_str().unwrap(), "--timeout", "20s"]);
    assert_eq!(flushed.code(), 1, "{flushed:?}");
    assert!(flushed.stderr.contains("access denied"), "{}", flushed.stderr);
    let shown = daemon.cli(&["status"]).succeeded().stdout;
    assert!(shown.contains("writes RED") && shown.contains("file: "), "{shown}");
    s3.faults().clear();
    flush(&daemon);
    assert_eq!(s3.get(S3::BUCKET, "file").as_deref(), Some(&b"stays"[..]));
    daemon.terminate();
}

#[test]
fn a_killed_daemon_goes_on_where_it_was() {
    require!(missing_fuse());
    let s3 = S3::start();
    let setup = setup(&s3, "");
    let daemon = setup.start();
    let data = synthetic_bytes(2, 0..30 * MIB);
    write(&daemon, "big", &data);
    s3.faults().set(|knobs| {
        knobs.only = Some(s3_server::Operation::CompleteMultipart);
        knobs.p_500 = 1.0;
    });
    let flushed = daemon.cli(&["flush", daemon.mountpoint().to_str().unwrap(), "--timeout", "4s"]);
    assert_eq!(flushed.code(), 1, "{flushed:?}");
    daemon.kill();
    s3.faults().clear();
    s3.reset_stats();
    let daemon = setup.start();
    flush(&daemon);
    assert!(s3.get(S3::BUCKET, "big") == Some(data));
    let sent = s3.stats().bytes_received;
    assert!(sent < 10 * MIB, "{sent} bytes were sent again of 30 MiB");
    daemon.terminate();
}

#[test]
fn a_close_can_wait_for_the_store() {
    require!(missing_fuse());
    let s3 = S3::start();
    let setup = setup(&s3, "sync_on_close = \"remote\"\n");
    let daemon = setup.start();
    fs::write(daemon.path("file"), b"there at once").unwrap();
    assert_eq!(s3.get(S3::BUCKET, "file").as_deref(), Some(&b"there at once"[..]));
    daemon.terminate();
}

#[test]
fn copies_stay_within_their_limit_and_are_read_from_the_store_then() {
    require!(missing_fuse());
    let s3 = S3::start();
    let setup = setup(&s3, "kept_limit = \"6MiB\"\n");
    let daemon = setup.start();
    let files: Vec<_> =
        (0..4).map(|seed| (format!("copy-{seed}"), synthetic_bytes(seed, 0..3 * MIB))).collect();
    for (name, data) in &files {
        write(&daemon, name, data);
        flush(&daemon);
    }
    let dirty = synthetic_bytes(9, 0..12 * MIB);
    write(&daemon, "dirty", &dirty);
    eventually("copies are evicted", Duration::from_secs(20), || {
        (daemon.figure("/mounts/0/writeback/kept_bytes") <= 6 * MIB).then_some(())
    });
    assert_eq!(daemon.figure("/mounts/0/writeback/dirty_bytes"), 12 * MIB);
    s3.reset_stats();
    for (name, data) in &files {
        assert!(read_whole(&daemon.path(name), Access::Direct).unwrap() == data[..], "{name}");
    }
    assert!((6 * MIB..=9 * MIB).contains(&s3.stats().bytes_sent), "{} bytes", s3.stats().bytes_sent);
    assert!(read_whole(&daemon.path("dirty"), Access::Direct).unwrap() == dirty[..]);
    daemon.terminate();
}

/// 800 names are more than three quarters of 1000.
#[test]
fn clean_names_are_handed_back_and_stay_visible() {
    require!(missing_fuse());
    /// They do not wait for each other.
    const TREES: u64 = 16;
    let s3 = S3::start();
    let setup = setup(&s3, "files_max = 1000\n");
    let daemon = setup.start();
    for tree in 0..TREES {
        fs::create_dir(daemon.path(&format!("run-{tree}"))).unwrap();
    }
    let path = |daemon: &Daemon<'_>, number: u64| daemon.path(&format!("run-{}/{number}", number % TREES));
    for number in 0..800 {
        fs::write(path(&daemon, number), format!("file {number}")).unwrap();
    }
    flush(&daemon);
    // The kernel of this mount knew all of them.
    daemon.terminate();
    let daemon = setup.start();
    fs::write(daemon.path("run-0/dirty"), b"not sent").unwrap();
    eventually("names are handed back", Duration::from_secs(60), || {
        (staged_nodes(&daemon) < 750).then_some(())
    });
    let listed = (0..TREES).map(|tree| fs::read_dir(daemon.path(&format!("run-{tree}"))).unwrap().count());
    assert_eq!(listed.sum::<usize>(), 801);
    for number in 0..800 {
        let text = fs::read_to_string(path(&daemon, number)).unwrap();
        assert_eq!(text, format!("file {number}"));
    }
    assert_eq!(fs::read(daemon.path("run-0/dirty")).unwrap(), b"not sent");
    daemon.terminate();
}
