//! `forebay mount` from start to end: flags, readiness, signals, umount.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_tests::{S3, Setup, Tree, eventually, missing_fuse, mounted_at, require, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const TIME_MAX: Duration = Duration::from_secs(30);

fn dataset() -> (S3, Tree, Setup) {
    let s3 = S3::start();
    let tree = Tree::flat(7, 40, 3_000);
    tree.each(|path, bytes| s3.put(&format!("prefix/{path}"), bytes));
    // the mountpoint is made, and detached in the end, by the setup
    let setup = Setup::new().s3(&s3).mount(&s3.url("prefix"), "immutable");
    (s3, tree, setup)
}

fn mount_command(s3: &S3, setup: &Setup) -> Command {
    let mut command = setup.command();
    command.args(["mount", &s3.url("prefix")]).arg(&setup.mountpoints()[0]);
    command.args(["--endpoint", &s3.endpoint(), "--cache-size", "256MiB", "--memory", "128MiB"]);
    command.arg("--cache-dir").arg(setup.cache_dir()).arg("--control-socket").arg(setup.control_socket());
    command
}

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_mount_in_the_foreground_ends_with_an_interrupt() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    let mountpoint = &setup.mountpoints()[0];
    let mut daemon = spawn(mount_command(&s3, &setup));
    eventually("it is mounted", TIME_MAX, || mounted_at(mountpoint));
    tree.assert_equals(mountpoint);
    kill(Pid::from_raw(i32::try_from(daemon.id()).unwrap()), Signal::SIGINT).unwrap();
    let ended = eventually("it ends", TIME_MAX, || daemon.try_wait().unwrap());
    assert!(ended.success());
    assert_eq!(mounted_at(mountpoint), None);
}

#[test]
fn a_mount_in_the_background_is_ready_when_the_command_returns() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    let mountpoint = &setup.mountpoints()[0];
    run(mount_command(&s3, &setup).arg("--background"), TIME_MAX).succeeded();
    assert!(mounted_at(mountpoint).is_some());
    tree.assert_equals(mountpoint);
    let mut umount = setup.command();
    umount.arg("umount").arg(mountpoint).arg("--control-socket").arg(setup.control_socket());
    run(&mut umount, TIME_MAX).succeeded();
    assert_eq!(mounted_at(mountpoint), None);
}

#[test]
fn a_mount_is_possible_as_soon_as_umount_returned() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    let mountpoint = &setup.mountpoints()[0];
    for _ in 0..3 {
        // the same control socket, cache directory and mountpoint each time
        run(mount_command(&s3, &setup).arg("--background"), TIME_MAX).succeeded();
        tree.assert_equals(mountpoint);
        let mut umount = setup.command();
        umount.arg("umount").arg(mountpoint).arg("--control-socket").arg(setup.control_socket());
        run(&mut umount, TIME_MAX).succeeded();
        assert!(!setup.control_socket().exists(), "the daemon has let go of its socket");
    }
}

#[test]
fn status_for_people_names_mount_cache_and_store() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    let daemon = setup.start();
    tree.assert_equals(daemon.mountpoint());
    let text = daemon.cli(&["status"]).succeeded().stdout;
    let (mountpoint, cache) = (daemon.mountpoint().to_str().unwrap(), setup.cache_dir());
    for part in [mountpoint, "immutable", cache.to_str().unwrap(), &s3.url("prefix"), "100.0% stores"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn a_dead_mount_is_taken_away_by_umount() {
    require!(missing_fuse());
    let (_s3, _tree, setup) = dataset();
    let daemon = setup.start();
    daemon.kill_and_leave_mounts();
    let mountpoint = &setup.mountpoints()[0];
    let mut umount = setup.command();
    run(umount.arg("umount").arg(mountpoint), TIME_MAX).succeeded();
    assert_eq!(mounted_at(mountpoint), None);
}
