//! What was cached before a restart is not fetched again.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use forebay_tests::{
    Access, Daemon, MIB, S3, Setup, Tree, missing_fuse, read_whole, require, synthetic_bytes,
};

const LARGE_BYTES: u64 = 70 * MIB + 1;
const LARGE_SEED: u64 = 17;
/// A cache of 256 MiB has slabs of 4 MiB; two are open and two may be on their way to the disk.
const UNSEALED_BYTES_MAX: u64 = 16 * MIB;

fn dataset() -> (S3, Tree, Setup) {
    let s3 = S3::start();
    let tree = Tree::flat(23, 400, 30_000);
    tree.each(|path, bytes| s3.put(path, bytes));
    s3.put_synthetic("large.bin", LARGE_SEED, LARGE_BYTES);
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    (s3, tree, setup)
}

fn read_all(daemon: &Daemon<'_>, tree: &Tree) {
    for file in &tree.files {
        assert!(
            read_whole(&daemon.path(&file.path), Access::Buffered).unwrap() == file.bytes(),
            "{}",
            file.path
        );
    }
    let large = read_whole(&daemon.path("large.bin"), Access::Buffered).unwrap();
    assert!(large == synthetic_bytes(LARGE_SEED, 0..LARGE_BYTES));
}

#[test]
fn after_an_orderly_end_nothing_is_fetched_or_listed_again() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    let daemon = setup.start();
    read_all(&daemon, &tree);
    assert!(daemon.terminate().success());
    let daemon = setup.start();
    s3.reset_stats();
    read_all(&daemon, &tree);
    let stats = s3.stats();
    assert_eq!((stats.get, stats.head, stats.list), (0, 0, 0));
}

#[test]
fn after_a_kill_only_the_unsealed_tail_is_fetched_again() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    let daemon = setup.start();
    daemon.cli(&["warm", "--wait", daemon.mountpoint().to_str().unwrap()]).succeeded();
    s3.reset_stats();
    read_all(&daemon, &tree);
    assert_eq!(s3.stats().get, 0, "everything was warm");
    daemon.kill();
    let daemon = setup.start();
    s3.reset_stats();
    read_all(&daemon, &tree);
    let again = s3.stats().bytes_sent;
    assert!(again <= UNSEALED_BYTES_MAX, "{again} bytes were lost");
}

#[test]
fn a_daemon_killed_between_reads_serves_right_bytes_after_each_of_several_restarts() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    for round in 0..3 {
        let daemon = setup.start();
        for file in tree.files.iter().skip(round * 100).take(150) {
            assert!(
                read_whole(&daemon.path(&file.path), Access::Direct).unwrap() == file.bytes(),
                "{}",
                file.path
            );
        }
        daemon.kill();
    }
    let daemon = setup.start();
    read_all(&daemon, &tree);
    drop(daemon);
    drop(s3);
}

#[test]
fn a_running_daemon_keeps_a_second_one_off_its_cache() {
    require!(missing_fuse());
    let (_s3, _tree, setup) = dataset();
    let _daemon = setup.start();
    let second = setup.scratch().join("second");
    std::fs::create_dir(&second).unwrap();
    let mut command = setup.command();
    command.args(["mount", "file:///usr/share/doc"]).arg(&second).arg("--control-socket");
    command.arg(setup.scratch().join("second.sock")).arg("--cache-dir").arg(setup.cache_dir());
    let refused = forebay_tests::run(&mut command, std::time::Duration::from_secs(20));
    assert_eq!(refused.code(), 1, "{refused:?}");
    assert_eq!(forebay_tests::mounted_at(&second), None);
}
