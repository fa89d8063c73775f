//! Large files that the kernel reads by itself: right in every mode, safe while they are open, checked in the background.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use forebay_tests::{
    Access, Daemon, FileMap, MIB, S3, Setup, Tree, eventually, missing_fuse, missing_passthrough, open,
    read_whole, require, settled, synthetic_bytes,
};

const SEED: u64 = 811;
const LARGE_BYTES: u64 = 24 * MIB + 4_321;

fn server(count: u64) -> S3 {
    let s3 = S3::start();
    (0..count).for_each(|number| s3.put_synthetic(&format!("{number}.bin"), SEED + number, LARGE_BYTES));
    s3
}

fn setup(s3: &S3) -> Setup {
    Setup::new().s3(s3).mount(&s3.url(""), "immutable")
}

fn bytes_of(number: u64) -> impl AsRef<[u8]> {
    synthetic_bytes(SEED + number, 0..LARGE_BYTES)
}

#[track_caller]
fn assert_right(path: &Path, number: u64) {
    for access in Access::ALL {
        let read = read_whole(path, access).unwrap();
        assert!(read == bytes_of(number).as_ref(), "{} differs, {access:?}", path.display());
    }
}

fn warm(daemon: &Daemon<'_>) {
    daemon.cli(&["warm", "--wait", daemon.mountpoint().to_str().unwrap()]).succeeded();
}

fn passed(daemon: &Daemon<'_>) -> u64 {
    daemon.figure("/mounts/0/passthrough/opens")
}

/// Requests that the daemon answered.
fn reads(daemon: &Daemon<'_>) -> u64 {
    daemon.figure("/mounts/0/reads/requests")
}

fn data_files(setup: &Setup) -> Vec<PathBuf> {
    let paths = fs::read_dir(setup.large_dir()).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "data")).collect()
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[!byte[0]], offset).unwrap();
    file.sync_all().unwrap();
}

/// Everything below a directory, on the disk.
fn disk_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let each = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(each).sum()
}

#[test]
fn a_tree_reads_the_same_with_and_without() {
    require!(missing_fuse(), missing_passthrough());
    let s3 = S3::start();
    let tree = Tree::odd(99);
    tree.each(|path, bytes| s3.put(path, bytes));
    for mode in ["auto", "off"] {
        let setup = setup(&s3).cache_setting("large_file_min", "1MiB").cache_setting("passthrough", mode);
        let daemon = setup.start();
        for _pass in ["cold", "warm"] {
            tree.assert_equals(daemon.mountpoint());
        }
        for file in &tree.files {
            let path = daemon.path(&file.path);
            assert!(read_whole(&path, Access::Direct).unwrap() == file.bytes(), "{mode} {}", file.path);
            if file.size_bytes > 0 {
                let map = FileMap::new(&open(&path, Access::Buffered).unwrap()).unwrap();
                assert!(*map == *file.bytes(), "{mode} {}, mapped", file.path);
            }
        }
        let status = daemon.status();
        assert_eq!(passed(&daemon) > 0, mode == "auto", "{status:#}");
        assert_eq!(setup.large_dir().exists(), mode == "auto");
    }
}

#[test]
fn a_complete_file_is_read_without_us_in_every_way() {
    require!(missing_fuse(), missing_passthrough());
    let s3 = server(1);
    let setup = setup(&s3);
    let daemon = setup.start();
    warm(&daemon);
    let before = reads(&daemon);
    let path = daemon.path("0.bin");
    assert_right(&path, 0);
    let file = File::open(&path).unwrap();
    assert!(*FileMap::new(&file).unwrap() == *bytes_of(0).as_ref());
    // io::copy uses copy_file_range, sendfile or splice, whichever the kernel takes.
    let mut copy = tempfile::tempfile().unwrap();
    std::io::copy(&mut &file, &mut copy).unwrap();
    copy.rewind().unwrap();
    let mut copied = Vec::new();
    copy.read_to_end(&mut copied).unwrap();
    assert!(copied == bytes_of(0).as_ref());
    assert_eq!(file.metadata().unwrap().len(), LARGE_BYTES);
    assert_eq!(reads(&daemon), before, "{:#}", daemon.status());
    assert!(passed(&daemon) >= 3);
    // After a restart as well, and nothing is fetched.
    assert!(daemon.terminate().success());
    let daemon = setup.start();
    s3.reset_stats();
    assert_right(&daemon.path("0.bin"), 0);
    assert_eq!((s3.stats().get, reads(&daemon)), (0, 0));
    let text = daemon.cli(&["status"]).succeeded().stdout;
    assert!(text.contains("1 of 1 complete, passed through"), "{text}");
    let config = setup.scratch().join("forebay.toml");
    let mut doctor = setup.command();
    doctor.args(["doctor", "--json", "--config"]).arg(config);
    let found = forebay_tests::run(&mut doctor, Duration::from_secs(60)).stdout;
    assert!(found.contains("the kernel reads large complete files by itself"), "{found}");
}

#[test]
fn a_file_that_becomes_complete_while_it_is_open_changes_at_its_last_close() {
    require!(missing_fuse(), missing_passthrough());
    let s3 = server(1);
    let setup = setup(&s3);
    let daemon = setup.start();
    let path = daemon.path("0.bin");
    let early = File::open(&path).unwrap();
    assert_right(&path, 0);
    eventually("the file is complete", Duration::from_secs(20), || {
        (daemon.figure("/cache/large_files/complete_files") == 1).then_some(())
    });
    assert_right(&path, 0);
    assert_eq!(passed(&daemon), 0, "an early open keeps the inode in the page cache's mode");
    drop(early);
    eventually("an open is passed through", Duration::from_secs(20), || {
        assert_right(&path, 0);
        (passed(&daemon) > 0).then_some(())
    });
    // Direct reads of what was not passed through came from the same file, checked.
    assert!(daemon.figure("/mounts/0/reads/cache_hits") > 0);
    let sent = s3.stats().bytes_sent;
    assert!(sent < LARGE_BYTES + 65_536, "{sent} bytes, listings included: something was fetched twice");
}

#[test]
fn files_in_use_survive_pressure_and_the_budget_holds() {
    require!(missing_fuse(), missing_passthrough());
    let s3 = server(8);
    let setup = setup(&s3).cache_setting("large_files_size", "100MiB");
    let daemon = setup.start();
    let path = |number: u64| daemon.path(&format!("{number}.bin"));
    read_whole(&path(0), Access::Buffered).unwrap();
    settled(|| daemon.figure("/cache/large_files/complete_files"));
    let (held, mapped) = (File::open(path(0)).unwrap(), File::open(path(0)).unwrap());
    let map = FileMap::new(&mapped).unwrap();
    drop(mapped);
    assert_eq!(passed(&daemon), 2);
    for number in 1..8 {
        assert!(read_whole(&path(number), Access::Direct).unwrap() == bytes_of(number).as_ref());
        let used = disk_bytes(&setup.large_dir());
        assert!(used <= 100 * MIB, "{used} bytes after {number}");
    }
    assert!(daemon.figure("/cache/large_files/evicted_bytes") > 0, "{:#}", daemon.status());
    let mut last = vec![0; 4_321];
    held.read_exact_at(&mut last, 24 * MIB).unwrap();
    assert!(last == bytes_of(0).as_ref()[24 * MIB as usize..] && *map == *bytes_of(0).as_ref());
    // Its names are taken away under it: what is open stays, what is opened comes from the store.
    fs::remove_dir_all(setup.large_dir()).unwrap();
    held.read_exact_at(&mut last, 24 * MIB).unwrap();
    drop((held, map));
    (0..8).for_each(|number| assert_right(&path(number), number));
}

#[test]
fn the_scrubber_finds_damage_and_new_opens_read_right_bytes_at_once() {
    require!(missing_fuse(), missing_passthrough());
    let s3 = server(1);
    let setup = setup(&s3).cache_setting("scrub_rate", "16MiB");
    let daemon = setup.start();
    let path = daemon.path("0.bin");
    warm(&daemon);
    let held = File::open(&path).unwrap();
    assert_eq!(passed(&daemon), 1);
    let [data] = &data_files(&setup)[..] else { panic!("one large file") };
    flip(data, LARGE_BYTES - 1);
    eventually("the damage is found", Duration::from_secs(30), || {
        (daemon.figure("/cache/large_files/demoted") == 1).then_some(())
    });
    assert_eq!(daemon.figure("/cache/large_files/checksum_mismatches"), 1);
    assert!(!data.exists());
    // While the old file is open the kernel takes no other for the inode: reads of new opens come to us.
    assert_right(&path, 0);
    drop(held);
    assert_right(&path, 0);
    eventually("the file is complete again", Duration::from_secs(20), || {
        assert_right(&path, 0);
        (daemon.figure("/cache/large_files/promoted") == 2).then_some(())
    });
}

#[test]
fn a_kill_in_the_middle_of_a_load_loses_little_and_damages_nothing() {
    require!(missing_fuse(), missing_passthrough());
    let s3 = server(4);
    let setup = setup(&s3);
    let daemon = setup.start();
    let path = |daemon: &Daemon<'_>, number: u64| daemon.path(&format!("{number}.bin"));
    assert_right(&path(&daemon, 0), 0);
    let half = open(&path(&daemon, 1), Access::Direct).unwrap();
    let mut buffer = forebay_tests::DirectBuffer::new(MIB as usize);
    for offset in (0..12).map(|mib| mib * MIB) {
        forebay_tests::read_range(&half, offset, buffer.bytes_mut()).unwrap();
    }
    settled(|| daemon.figure("/cache/large_files/inserted_bytes"));
    drop(half);
    daemon.kill();
    let daemon = setup.start();
    s3.reset_stats();
    (0..2).for_each(|number| assert_right(&path(&daemon, number), number));
    let fetched = s3.stats().bytes_sent;
    assert!(fetched <= LARGE_BYTES - 8 * MIB, "{fetched} bytes were fetched again");
    assert!(passed(&daemon) >= 2);
}
