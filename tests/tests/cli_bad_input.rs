//! What an operator can get wrong: one line that names cause and setting, an exit code, and nothing left mounted.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forebay_tests::{
    Disk, MIB, S3, Setup, missing_fuse, missing_loop_devices, missing_program, mounted_at, require, run,
};

const REFUSAL_TIME_MAX: Duration = Duration::from_secs(30);
/// Where docs/FORMAT-SLABS.md puts the copies of the superblock, and the version within one.
const SUPERBLOCK_OFFSETS: [u64; 2] = [0, 512 * 1024];
const VERSION_OFFSET: u64 = 8;

/// The command fails with this exit code and one line of stderr that holds all of `parts`.
#[track_caller]
fn assert_refused(command: &mut Command, mountpoint: Option<&Path>, code: i32, parts: &[&str]) {
    let refused = run(command.args(["--log-level", "error"]), REFUSAL_TIME_MAX);
    assert_eq!(refused.code(), code, "{refused:?}");
    let line = refused.stderr.strip_suffix('\n').unwrap_or_default();
    assert!(line.starts_with("forebay: ") && !line.contains('\n'), "not one line: {:?}", refused.stderr);
    for part in parts {
        assert!(line.contains(part), "no {part:?} in {line:?}");
    }
    if let Some(mountpoint) = mountpoint {
        assert_eq!(mounted_at(mountpoint), None, "left mounted");
    }
}

/// `forebay run` of a setup with one mount is refused.
#[track_caller]
fn assert_not_started(setup: &Setup, code: i32, parts: &[&str]) {
    assert_refused(&mut setup.run_command(), Some(&setup.mountpoints()[0]), code, parts);
}

fn served(setup: Setup) -> (S3, Setup) {
    let s3 = S3::start();
    s3.put("file", "x");
    let setup = setup.s3(&s3).impatient().mount(&s3.url(""), "immutable");
    (s3, setup)
}

#[test]
fn wrong_credentials() {
    require!(missing_fuse());
    let (_s3, setup) = served(Setup::new());
    let [(_, key), (_, _)] = S3::start().credentials();
    assert_not_started(
        &setup.credentials(&key, "wrong"),
        1,
        &["s3://data", "denied", "SignatureDoesNotMatch"],
    );
    let (_s3, setup) = served(Setup::new());
    assert_not_started(
        &setup.credentials("nobody", "wrong"),
        1,
        &["s3://data", "denied", "InvalidAccessKeyId"],
    );
}

#[test]
fn no_credentials() {
    require!(missing_fuse());
    let s3 = S3::start();
    let setup = Setup::new().store("endpoint", &s3.endpoint()).impatient().mount(&s3.url(""), "immutable");
    assert_not_started(&setup, 1, &["credentials", "AWS_ACCESS_KEY_ID"]);
}

#[test]
fn no_such_bucket() {
    require!(missing_fuse());
    let s3 = S3::start();
    let setup = Setup::new().s3(&s3).impatient().mount("s3://absent/prefix", "immutable");
    assert_not_started(
        &setup,
        1,
        &["s3://absent/prefix", "bucket", "does not exist", "check the mount's URL"],
    );
}

#[test]
fn an_endpoint_that_is_down_or_silent() {
    require!(missing_fuse());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let silent = Setup::new().credentials("key", "secret").store("endpoint", &endpoint).impatient();
    assert_not_started(&silent.mount("s3://data", "immutable"), 1, &["s3://data", "does not answer"]);
    drop(listener);
    let down = Setup::new().credentials("key", "secret").store("endpoint", &endpoint).impatient();
    assert_not_started(
        &down.mount("s3://data", "immutable"),
        1,
        &["s3://data", "does not answer", "refused"],
    );
}

#[test]
fn a_directory_store_that_is_missing() {
    require!(missing_fuse());
    let setup = Setup::new().mount("file:///nonexistent/data", "immutable");
    assert_not_started(&setup, 1, &["file:///nonexistent/data", "does not exist"]);
}

#[test]
fn a_full_or_read_only_cache_directory() {
    require!(missing_fuse(), missing_loop_devices(), missing_program("mkfs.ext4"));
    let disk = Disk::new(128 * MIB);
    let (_s3, setup) = served(Setup::new().cache_dir_at(&disk.path().join("cache")));
    assert_not_started(&setup, 1, &["no room", "--cache-size"]);
    disk.make_read_only();
    let (_s3, setup) = served(Setup::new().cache_dir_at(&disk.path().join("other")));
    assert_not_started(&setup, 1, &["ead-only file system", "--cache-dir"]);
}

#[test]
fn a_cache_of_another_version() {
    require!(missing_fuse());
    let (_s3, setup) = served(Setup::new());
    setup.start().terminate();
    let slabs = fs::OpenOptions::new().write(true).open(setup.slab_file()).unwrap();
    for superblock in SUPERBLOCK_OFFSETS {
        slabs.write_all_at(&99_u32.to_le_bytes(), superblock + VERSION_OFFSET).unwrap();
    }
    assert_not_started(&setup, 1, &["version 99", "--cache-dir"]);
}

#[test]
fn a_foreign_file_in_the_place_of_the_cache_is_not_overwritten() {
    require!(missing_fuse());
    let (_s3, setup) = served(Setup::new());
    setup.start().terminate();
    let thesis = vec![b'x'; 2 << 20];
    fs::write(setup.slab_file(), &thesis).unwrap();
    assert_not_started(&setup, 1, &["not a slab cache", "--cache-dir"]);
    assert!(fs::read(setup.slab_file()).unwrap() == thesis);
}

#[test]
fn foreign_files_beside_the_cache_are_left_alone() {
    require!(missing_fuse());
    let (_s3, setup) = served(Setup::new());
    let notes = setup.cache_dir().join("notes.txt");
    fs::write(&notes, "mine").unwrap();
    setup.start().terminate();
    assert_eq!(fs::read(&notes).unwrap(), b"mine");
}

#[test]
fn a_mountpoint_that_is_busy() {
    require!(missing_fuse());
    let (_s3, setup) = served(Setup::new());
    let daemon = setup.start();
    let mut second = setup.command();
    second.args(["mount", "file:///usr"]).arg(daemon.mountpoint());
    second.arg("--control-socket").arg(setup.scratch().join("second.sock"));
    assert_refused(&mut second, None, 1, &["in use", daemon.mountpoint().to_str().unwrap()]);
    assert_eq!(fs::read(daemon.path("file")).unwrap(), b"x", "the first mount goes on");
}

#[test]
fn a_mountpoint_that_is_missing_or_no_directory() {
    require!(missing_fuse());
    let (_s3, setup) = served(Setup::new());
    let mountpoint = setup.mountpoints()[0].clone();
    fs::remove_dir(&mountpoint).unwrap();
    assert_not_started(&setup, 1, &["does not exist", mountpoint.to_str().unwrap()]);
    fs::write(&mountpoint, "").unwrap();
    assert_not_started(&setup, 1, &["not a directory", mountpoint.to_str().unwrap()]);
}

#[test]
fn a_dead_mount_at_the_mountpoint() {
    require!(missing_fuse());
    let (_s3, setup) = served(Setup::new());
    let daemon = setup.start();
    daemon.kill_and_leave_mounts();
    let mountpoint = &setup.mountpoints()[0];
    let parts = ["ransport endpoint", "umount", mountpoint.to_str().unwrap()];
    assert_refused(&mut setup.run_command(), None, 1, &parts);
    forebay_tests::detach(mountpoint).unwrap();
    let daemon = setup.start();
    assert_eq!(fs::read(daemon.path("file")).unwrap(), b"x");
}
