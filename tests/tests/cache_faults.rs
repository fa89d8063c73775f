//! A cache that is damaged, cut off or broken: reads come from the store, and are right.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use forebay_tests::{
    Access, Daemon, Disk, LoopDevice, MIB, S3, Setup, Tree, missing_fuse, missing_loop_devices,
    missing_program, read_whole, require, synthetic_bytes,
};

const LARGE_BYTES: u64 = 56 * MIB;
const SEED: u64 = 71;
/// Close enough that no block of the large object is spared.
const FLIP_STEP_BYTES: u64 = 32 * 1024;

fn dataset() -> (S3, Tree) {
    let s3 = S3::start();
    let tree = Tree::flat(72, 100, 20_000);
    tree.each(|path, bytes| s3.put(path, bytes));
    s3.put_synthetic("large.bin", SEED, LARGE_BYTES);
    (s3, tree)
}

/// Direct reads, so that the page cache hides nothing of the slabs.
fn assert_reads_right(daemon: &Daemon<'_>, tree: &Tree) {
    let large = read_whole(&daemon.path("large.bin"), Access::Direct).unwrap();
    assert!(large == synthetic_bytes(SEED, 0..LARGE_BYTES), "large.bin differs");
    for file in &tree.files {
        assert!(
            read_whole(&daemon.path(&file.path), Access::Direct).unwrap() == file.bytes(),
            "{} differs",
            file.path
        );
    }
}

fn warm(daemon: &Daemon<'_>) {
    daemon.cli(&["warm", "--wait", daemon.mountpoint().to_str().unwrap()]).succeeded();
}

fn writable(path: &std::path::Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Inverts one byte in each step of a file from `start` on.
fn flip_bytes(file: &File, start: u64, len: u64) {
    let mut byte = [0];
    for offset in (start..len).step_by(FLIP_STEP_BYTES as usize) {
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[!byte[0]], offset).unwrap();
    }
    file.sync_all().unwrap();
}

#[test]
fn bytes_that_flip_under_a_running_daemon_are_noticed_and_fetched_again() {
    require!(missing_fuse());
    let (s3, tree) = dataset();
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    warm(&daemon);
    let slabs = writable(&setup.slab_file());
    flip_bytes(&slabs, 12_345, slabs.metadata().unwrap().len());
    assert_reads_right(&daemon, &tree);
    assert!(daemon.figure("/cache/checksum_mismatches") > 0, "{:#}", daemon.status());
    // what was fetched again is cached again
    s3.reset_stats();
    assert_reads_right(&daemon, &tree);
    let again = s3.stats().bytes_sent;
    assert!(again < LARGE_BYTES / 4, "{again} bytes were fetched once more");
}

#[test]
fn bytes_that_flipped_while_the_daemon_was_away_are_noticed_and_fetched_again() {
    require!(missing_fuse());
    let (s3, tree) = dataset();
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    warm(&daemon);
    daemon.terminate();
    let slabs = writable(&setup.slab_file());
    flip_bytes(&slabs, MIB + 12_345, slabs.metadata().unwrap().len());
    let daemon = setup.start();
    assert_reads_right(&daemon, &tree);
    assert_reads_right(&daemon, &tree);
}

#[test]
fn a_cache_file_that_is_cut_off_under_a_running_daemon_costs_only_time() {
    require!(missing_fuse());
    let (s3, tree) = dataset();
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    warm(&daemon);
    writable(&setup.slab_file()).set_len(MIB).unwrap();
    assert_reads_right(&daemon, &tree);
    assert_reads_right(&daemon, &tree);
}

#[test]
fn a_cache_directory_that_is_deleted_under_a_running_daemon_costs_nothing() {
    require!(missing_fuse());
    let (s3, tree) = dataset();
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    warm(&daemon);
    std::fs::remove_dir_all(setup.cache_dir()).unwrap();
    assert_reads_right(&daemon, &tree);
    daemon.terminate();
    let daemon = setup.start();
    assert_reads_right(&daemon, &tree);
}

#[test]
fn a_cache_on_a_block_device_comes_back_warm() {
    require!(missing_fuse(), missing_loop_devices());
    let (s3, tree) = dataset();
    let device = LoopDevice::new(256 * MIB);
    let setup = Setup::new().cache_device(device.path()).s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    assert_reads_right(&daemon, &tree);
    daemon.terminate();
    let daemon = setup.start();
    s3.reset_stats();
    assert_reads_right(&daemon, &tree);
    assert_eq!(s3.stats().get, 0);
}

#[test]
fn a_cache_device_that_loses_its_data_costs_only_time() {
    require!(missing_fuse(), missing_loop_devices());
    let (s3, tree) = dataset();
    let device = LoopDevice::new(256 * MIB);
    let setup = Setup::new().cache_device(device.path()).s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    warm(&daemon);
    // a loop device reads zeros where its file has ended
    device.backing().set_len(MIB).unwrap();
    assert_reads_right(&daemon, &tree);
    assert!(daemon.figure("/cache/checksum_mismatches") > 0, "{:#}", daemon.status());
}

#[test]
fn a_cache_device_that_fails_is_taken_out_and_the_mount_goes_on() {
    require!(missing_fuse(), missing_loop_devices(), missing_program("mkfs.ext4"));
    let (s3, tree) = dataset();
    let disk = Disk::new(320 * MIB);
    let device = LoopDevice::on(disk.path(), 256 * MIB);
    let setup = Setup::new().cache_device(device.path()).s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    warm(&daemon);
    disk.break_down();
    assert_reads_right(&daemon, &tree);
    assert_reads_right(&daemon, &tree);
    let status = daemon.status();
    assert!(daemon.figure("/cache/device_errors") > 0, "{status:#}");
    assert_eq!(status["cache"]["failed"], true, "{status:#}");
}

#[test]
fn a_cache_directory_whose_disk_fails_is_taken_out_and_the_mount_goes_on() {
    require!(missing_fuse(), missing_loop_devices(), missing_program("mkfs.ext4"));
    let (s3, tree) = dataset();
    let disk = Disk::new(320 * MIB);
    let setup = Setup::new().cache_dir_at(&disk.path().join("cache")).s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    warm(&daemon);
    disk.break_down();
    assert_reads_right(&daemon, &tree);
    assert_reads_right(&daemon, &tree);
    assert_eq!(daemon.status()["cache"]["failed"], true);
}
