//! Several mounts of one daemon, and several stores in one mount.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::collections::BTreeSet;
use std::fs;

use forebay_tests::{Daemon, S3, Setup, Tree, missing_fuse, mounted_at, require};

fn names(daemon: &Daemon<'_>, below: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(daemon.path(below)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_tree_of_several_stores_appears_as_one() {
    require!(missing_fuse());
    let s3 = S3::start();
    let (frames, labels) = (Tree::flat(81, 30, 9_000), Tree::flat(82, 20, 300));
    frames.each(|path, bytes| s3.put(&format!("2026/frames/{path}"), bytes));
    let directory = tempfile::tempdir().unwrap();
    labels.write_to(directory.path());
    s3.put("root/readme", "top");
    let tree = |at: &str, url: &str| format!("[[mount.tree]]\nat = {at:?}\nurl = {url:?}\n");
    let text = format!(
        "consistency = \"immutable\"\n{}{}{}",
        tree("", &s3.url("root")),
        tree("train/video/frames", &s3.url("2026/frames")),
        tree("train/labels", &format!("file://{}", directory.path().display())),
    );
    let setup = Setup::new().s3(&s3).mount_text(&text);
    let daemon = setup.start();
    assert_eq!(names(&daemon, ""), set(&["readme", "train"]));
    assert_eq!(names(&daemon, "train"), set(&["labels", "video"]));
    assert_eq!(names(&daemon, "train/video"), set(&["frames"]));
    assert_eq!(fs::read(daemon.path("readme")).unwrap(), b"top");
    frames.assert_equals(&daemon.path("train/video/frames"));
    labels.assert_equals(&daemon.path("train/labels"));
}

#[test]
fn mounts_of_one_daemon_are_apart_and_go_one_by_one() {
    require!(missing_fuse());
    let s3 = S3::start();
    let (one, two) = (Tree::flat(83, 20, 1000), Tree::flat(84, 20, 2000));
    one.each(|path, bytes| s3.put(&format!("one/{path}"), bytes));
    two.each(|path, bytes| s3.put(&format!("two/{path}"), bytes));
    let setup = Setup::new().s3(&s3).mount(&s3.url("one"), "immutable").mount(&s3.url("two"), "ttl=5s");
    let mut daemon = setup.start();
    let [first, second] = setup.mountpoints() else { panic!("two mounts") };
    one.assert_equals(first);
    two.assert_equals(second);
    assert_eq!(daemon.status()["mounts"].as_array().map(Vec::len), Some(2));
    daemon.cli(&["umount", first.to_str().unwrap()]).succeeded();
    assert_eq!(mounted_at(first), None);
    two.assert_equals(second);
    daemon.cli(&["umount", second.to_str().unwrap()]).succeeded();
    assert_eq!(mounted_at(second), None);
    assert!(daemon.wait().success(), "a daemon without mounts ends");
}

#[test]
fn a_daemon_ends_when_its_mount_is_taken_away_from_outside() {
    require!(missing_fuse());
    let s3 = S3::start();
    s3.put("file", "x");
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    let mut daemon = setup.start();
    nix::mount::umount(daemon.mountpoint()).unwrap();
    assert!(daemon.wait().success());
}

#[test]
fn one_mount_that_fails_leaves_none() {
    require!(missing_fuse());
    let s3 = S3::start();
    s3.put("file", "x");
    let setup =
        Setup::new().s3(&s3).mount(&s3.url(""), "immutable").mount("s3://no-such-bucket", "immutable");
    let refused = forebay_tests::run(&mut setup.run_command(), std::time::Duration::from_secs(30));
    assert_eq!(refused.code(), 1, "{refused:?}");
    assert!(refused.stderr.contains("no-such-bucket"), "{}", refused.stderr);
    for mountpoint in setup.mountpoints() {
        assert_eq!(mounted_at(mountpoint), None);
    }
}
