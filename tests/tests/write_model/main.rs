//! Random operations on a read-write mount and on a plain ext4 directory give the same results: names, bytes, errors and
//! attributes, also after a restart and after a kill.
//!
//! The store begins with some files, so that operations meet clean nodes, and the plain directory with copies of them. All
//! random choices come from a seed that a failure prints; `FOREBAY_SEED` runs one again.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

mod operation;
mod snapshot;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use forebay_tests::{S3, Setup, missing_fuse, require};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use operation::{Handles, Operation, apply};
use snapshot::snapshot;

/// Operations between two comparisons of everything.
const ROUND: usize = 150;
const ROUNDS: usize = 8;

/// Files that the store has at the start.
const CLEAN: [(&str, usize); 6] =
    [("a", 10), ("b", 300_000), ("d/a", 5000), ("d/b", 0), ("d/e/a", 70_000), ("e/c", 1)];

fn bytes(length: usize, of: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + of * 7) as u8).collect()
}

/// The same files as the mount shows them.
fn make_plain(root: &Path) {
    for (number, (path, length)) in CLEAN.iter().enumerate() {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes(*length, number)).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    }
    for directory in ["", "d", "d/e", "e"] {
        fs::set_permissions(root.join(directory), PermissionsExt::from_mode(0o755)).unwrap();
    }
}

fn seed() -> u64 {
    let given =
        std::env::var("FOREBAY_SEED").ok().map(|text| text.parse().expect("FOREBAY_SEED is a number"));
    let seed = given.unwrap_or_else(|| rand::rng().random());
    println!("FOREBAY_SEED={seed}");
    seed
}

fn run(setup: &Setup) {
    let mut random = StdRng::seed_from_u64(seed());
    let plain = tempfile::tempdir().unwrap();
    make_plain(plain.path());
    let mut daemon = setup.start();
    // The time of a write that was never flushed is lost with the daemon that took it.
    let mut with_times = true;
    for round in 0..ROUNDS {
        let mounted = daemon.mountpoint().to_owned();
        let mut handles = Handles::default();
        for step in 0..ROUND {
            let operation = Operation::random(&mut random);
            let found = apply(&operation, &mounted, &mut handles.mounted);
            if found == Err(libc::EOPNOTSUPP) && operation.may_be_unsupported() {
                continue;
            }
            let expected = apply(&operation, plain.path(), &mut handles.plain);
            assert_eq!(found, expected, "round {round}, step {step}: {operation:?}");
        }
        drop(handles);
        assert_eq!(snapshot(&mounted, with_times), snapshot(plain.path(), with_times), "after round {round}");
        match round % 3 {
            0 => continue,
            1 => assert!(daemon.terminate().success()),
            _ => daemon.kill(),
        }
        with_times = false;
        daemon = setup.start();
        let found = snapshot(daemon.mountpoint(), with_times);
        assert_eq!(found, snapshot(plain.path(), with_times), "after the restart of round {round}");
    }
}

#[test]
fn over_a_directory_it_behaves_as_ext4_does() {
    require!(missing_fuse());
    let store = tempfile::tempdir().unwrap();
    make_plain(store.path());
    let text = format!("url = \"file://{}\"\nread_write = true\n", store.path().display());
    run(&Setup::new().mount_text(&text));
}

#[test]
fn over_s3_it_behaves_as_ext4_does() {
    require!(missing_fuse());
    let s3 = S3::start();
    for (number, (path, length)) in CLEAN.iter().enumerate() {
        s3.put(path, bytes(*length, number));
    }
    let text = format!("url = {:?}\nread_write = true\n", s3.url(""));
    run(&Setup::new().s3(&s3).mount_text(&text));
}
