//! The suites of others, over a read-write mount: pjdfstest for names, modes and errors, fsx for data.
//!
//! `pjdfstest.toml` beside this file lists what is expected to fail, each with its reason.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forebay_tests::{Daemon, Setup, missing_fuse, missing_program, require, run};
use tempfile::TempDir;

const TIME_MAX: Duration = Duration::from_secs(150);

fn mount() -> (TempDir, Setup) {
    let store = tempfile::tempdir().unwrap();
    fs::set_permissions(store.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let url = format!("file://{}", store.path().display());
    let text = format!("url = {url:?}\nread_write = true\nallow_other = true\nthreads = 4\n");
    let setup = Setup::new().mount_text(&text);
    // the suites' other users have to reach the mountpoint
    fs::set_permissions(setup.scratch(), PermissionsExt::from_mode(0o755)).unwrap();
    (store, setup)
}

fn file_beside(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/posix_suites").join(name)
}

/// The last lines of a suite's output tell what failed.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(120)..].join("\n")
}

fn pjdfstest(daemon: &Daemon<'_>, patterns: &[&str]) {
    let mut command = Command::new("pjdfstest");
    command.arg("-c").arg(file_beside("pjdfstest.toml")).arg("-p").arg(daemon.mountpoint());
    let finished = run(command.arg("--").args(patterns), TIME_MAX);
    assert!(finished.status.success(), "{}\n{}", tail(&finished.stdout), tail(&finished.stderr));
}

#[test]
fn pjdfstest_passes() {
    require!(missing_fuse(), missing_program("pjdfstest"));
    let (_store, setup) = mount();
    pjdfstest(&setup.start(), &[]);
}

fn fsx(daemon: &Daemon<'_>, config: &str, operations: u32, seed: u32) {
    let mut command = Command::new("fsx");
    command.arg("-f").arg(file_beside(config)).arg("-N").arg(operations.to_string());
    command.arg("-S").arg(seed.to_string()).arg(daemon.path(&format!("file-{seed}")));
    // fsx keeps its own copy of the file beside it
    command.arg("-P").arg(daemon.mountpoint().parent().unwrap());
    let finished = run(&mut command, TIME_MAX);
    assert!(finished.status.success(), "{}\n{}", tail(&finished.stdout), tail(&finished.stderr));
}

#[test]
fn fsx_finds_every_byte() {
    require!(missing_fuse(), missing_program("fsx"));
    let (_store, setup) = mount();
    let daemon = setup.start();
    for seed in 1..=3 {
        fsx(&daemon, "fsx.toml", 2000, seed);
    }
}

#[test]
#[ignore = "long"]
fn fsx_finds_every_byte_for_long() {
    require!(missing_fuse(), missing_program("fsx"));
    let (_store, setup) = mount();
    let daemon = setup.start();
    for seed in 100..=110 {
        fsx(&daemon, "fsx.toml", 10_000, seed);
    }
}
