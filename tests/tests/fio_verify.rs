//! fio as a second judge: files with its own checksums in every block, verified through the mount.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::process::Command;
use std::time::Duration;

use forebay_tests::{Setup, missing_fuse, missing_program, require, run};

const JOBS: usize = 3;
const TIME_MAX: Duration = Duration::from_secs(60);

/// fio's arguments that the writer and the verifiers share.
fn fio(block: &str, verifying: bool, directory: &std::path::Path) -> Command {
    let mut command = Command::new("fio");
    command.args([
        "--name=verify",
        "--size=12m",
        "--verify=crc32c",
        "--verify_fatal=1",
        "--thread=0",
        "--group_reporting",
    ]);
    command.arg(format!("--numjobs={JOBS}")).arg(format!("--bs={block}"));
    command.arg(format!("--directory={}", directory.display()));
    // the layout of the write decides what a verifier expects, so the block size is the same in both
    command.args(if verifying { ["--rw=read", "--readonly"] } else { ["--rw=write", "--do_verify=0"] });
    command
}

fn check(block: &str) {
    let data = tempfile::tempdir().unwrap();
    // fio keeps verify states in its working directory
    let work = tempfile::tempdir().unwrap();
    run(fio(block, false, data.path()).current_dir(work.path()), TIME_MAX).succeeded();
    let setup = Setup::new().mount(&format!("file://{}", data.path().display()), "immutable");
    let daemon = setup.start();
    for direct in ["--direct=0", "--direct=1"] {
        for pass in ["cold", "warm"] {
            let mut verify = fio(block, true, daemon.mountpoint());
            verify.args([direct, "--allow_file_create=0", "--invalidate=0"]).current_dir(work.path());
            let verified = run(&mut verify, TIME_MAX);
            assert!(verified.status.success(), "{block} {direct} {pass}: {verified:?}");
            assert!(verified.stdout.contains("err= 0"), "{block} {direct} {pass}: {verified:?}");
        }
    }
}

#[test]
fn small_blocks_verify_through_the_mount() {
    require!(missing_fuse(), missing_program("fio"));
    check("4k");
}

#[test]
fn blocks_across_our_own_borders_verify_through_the_mount() {
    require!(missing_fuse(), missing_program("fio"));
    check("192k");
}

#[test]
fn large_blocks_verify_through_the_mount() {
    require!(missing_fuse(), missing_program("fio"));
    check("1m");
}

#[test]
fn a_damaged_file_fails_the_verification() {
    require!(missing_fuse(), missing_program("fio"));
    let (data, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(fio("4k", false, data.path()).current_dir(work.path()), TIME_MAX).succeeded();
    let file = std::fs::OpenOptions::new().write(true).open(data.path().join("verify.1.0")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"damage", 5_000_000).unwrap();
    let setup = Setup::new().mount(&format!("file://{}", data.path().display()), "immutable");
    let daemon = setup.start();
    let verified = run(fio("4k", true, daemon.mountpoint()).current_dir(work.path()), TIME_MAX);
    assert!(!verified.status.success(), "the judge sees nothing: {verified:?}");
}
