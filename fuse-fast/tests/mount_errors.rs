//! Each way in which a mount fails has its own error, and leaves nothing mounted.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use fuse_fast::mount::{FuseDevice, MountError, MountOptions, mount, unmount};
use fuse_fast::session::{Session, SessionConfig, SessionError, Transport};
use support::{LONG, cannot_mount, memory, mounted};

fn try_mount(path: &Path) -> Result<FuseDevice, MountError> {
    mount(path, &MountOptions::default())
}

fn mounts_at(path: &Path) -> usize {
    let path = path.to_str().expect("ASCII");
    let text = fs::read_to_string("/proc/self/mountinfo").expect("readable");
    text.lines().filter(|line| line.split(' ').nth(4) == Some(path)).count()
}

#[test]
fn a_mount_point_must_be_a_directory_that_exists() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("missing");
    let error = try_mount(&missing).expect_err("nothing there");
    assert!(matches!(error, MountError::Missing { .. }), "{error:?}");
    assert!(error.to_string().contains("missing does not exist"), "{error}");
    let file = directory.path().join("file");
    fs::write(&file, "").expect("writable");
    let error = try_mount(&file).expect_err("a file");
    assert!(matches!(error, MountError::NotADirectory { .. }), "{error:?}");
    let below = try_mount(&file.join("below")).expect_err("below a file");
    assert!(matches!(below, MountError::NotADirectory { .. }), "{below:?}");
    let dangling = directory.path().join("dangling");
    symlink("nowhere", &dangling).expect("writable");
    assert!(matches!(try_mount(&dangling), Err(MountError::Missing { .. })));
}

#[test]
fn options_that_could_carry_others_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let bad_subtype = MountOptions { subtype: "a,suid".to_owned(), ..MountOptions::default() };
    let error = mount(directory.path(), &bad_subtype).expect_err("a comma");
    assert!(matches!(error, MountError::BadOption { option: "subtype", .. }), "{error:?}");
    let bad_source = MountOptions { source: "two\nlines".to_owned(), ..MountOptions::default() };
    let error = mount(directory.path(), &bad_source).expect_err("a newline");
    assert!(matches!(error, MountError::BadOption { option: "source", .. }), "{error:?}");
}

#[test]
fn a_second_mount_at_the_same_place_is_refused() {
    if cannot_mount() {
        return;
    }
    let mounted = mounted(Transport::Device, memory(LONG));
    let error = try_mount(mounted.directory.path()).expect_err("ours is there");
    assert!(matches!(error, MountError::Busy { .. }), "{error:?}");
    assert!(error.to_string().contains("forebay is mounted there already"), "{error}");
    assert_eq!(mounts_at(mounted.directory.path()), 1);
}

#[test]
fn a_mount_covers_a_directory_with_files() {
    if cannot_mount() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("below"), "").expect("writable");
    let device = try_mount(directory.path()).expect("not empty is fine");
    let config = SessionConfig { threads: 1, ..SessionConfig::default() };
    let session = Session::start(device, Arc::new(memory(LONG)), config).expect("starts");
    assert!(!directory.path().join("below").exists());
    drop(session);
    assert!(directory.path().join("below").exists());
}

/// The process behind the mount is gone: its last descriptor is closed while the mount is still there.
#[test]
fn a_dead_mount_is_named_and_can_be_cleaned() {
    if cannot_mount() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let status = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "mount_and_die", "--include-ignored"])
        .env("FUSE_FAST_MOUNT_AND_DIE", directory.path())
        .stdout(std::process::Stdio::null())
        .status()
        .expect("runs");
    assert!(!status.success(), "it aborts");
    let error = try_mount(directory.path()).expect_err("dead");
    assert!(matches!(error, MountError::DeadMount { .. }), "{error:?}");
    assert!(error.to_string().contains("transport endpoint is not connected"), "{error}");
    unmount(directory.path(), true).expect("root can");
    drop(try_mount(directory.path()).expect("clean again"));
    assert_eq!(mounts_at(directory.path()), 0);
}

/// Not a test of its own: the other process of `a_dead_mount_is_named_and_can_be_cleaned`.
#[test]
#[ignore = "started by another test"]
fn mount_and_die() {
    let Some(path) = std::env::var_os("FUSE_FAST_MOUNT_AND_DIE") else { return };
    let _device = try_mount(Path::new(&path)).expect("mounts");
    std::process::abort();
}

#[test]
fn a_session_that_does_not_start_leaves_nothing_mounted() {
    if cannot_mount() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let device = try_mount(directory.path()).expect("mounts");
    assert_eq!(mounts_at(directory.path()), 1);
    let config = SessionConfig { threads: 0, ..SessionConfig::default() };
    let error = Session::start(device, Arc::new(memory(LONG)), config).expect_err("no threads");
    assert!(matches!(error, SessionError::BadSetting { setting: "threads", .. }), "{error:?}");
    assert_eq!(mounts_at(directory.path()), 0);
}

#[test]
fn a_mount_shows_its_source_and_type() {
    if cannot_mount() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let options = MountOptions { source: "s3://bucket/a b,c".to_owned(), ..MountOptions::default() };
    let _device = mount(directory.path(), &options).expect("mounts");
    let text = fs::read_to_string("/proc/self/mountinfo").expect("readable");
    let path = directory.path().to_str().expect("ASCII");
    let line = text.lines().find(|line| line.contains(path)).expect("mounted");
    assert!(line.contains(" - fuse.forebay s3://bucket/a\\040b,c "), "{line}");
    assert!(line.contains("ro,nosuid,nodev") && line.contains("default_permissions"), "{line}");
}
