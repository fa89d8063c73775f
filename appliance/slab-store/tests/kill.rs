//! `kill -9` of a process that is filling a cache: what the next process finds is whole, verified and most of it.
//!
//! The process is this test program again, told by a variable what to do.

#![allow(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use futures::executor::block_on;
use slab_store::{BLOCK_BYTES, BlockIndex, DeviceSpec, ObjectKey, Options, ReadOutcome, Recovery, SlabStore};

const FILE: &str = "FOREBAY_KILL_TEST_FILE";
/// Sixteen slabs of 1 MiB.
const CAPACITY: u64 = 17 << 20;
/// Objects of one block each; the cache holds about half of them.
const OBJECTS: u32 = 200;

fn open(path: &Path) -> (SlabStore, Recovery) {
    let device = DeviceSpec::File { path: path.to_owned() };
    let slab_bytes = Some(1 << 20);
    let options = Options { memory_bytes: 16 << 20, slab_bytes, ..Options::new(device, CAPACITY) };
    SlabStore::open(options).unwrap()
}

fn key(number: u32) -> ObjectKey {
    ObjectKey::new(format!("object {number}").as_bytes()).unwrap()
}

/// Bytes that are another object's nowhere.
fn bytes(number: u32) -> Vec<u8> {
    let word = |i: u32| (u64::from(number) << 32 | u64::from(i)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..BLOCK_BYTES / 8).flat_map(|i| word(i).to_le_bytes()).collect()
}

/// The other process: fills the cache over and over and says how far it is, until it is killed.
#[test]
fn fills_a_cache_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let (store, _) = open(&path);
    for count in 0..u32::MAX {
        let number = count % OBJECTS;
        block_on(store.insert(&key(number), BlockIndex(0), &[bytes(number)])).unwrap();
        println!("inserted {count}");
    }
}

/// Starts the other process and kills it in the middle of a write after `inserts`.
fn fill_and_kill(path: &Path, inserts: u32) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fills_a_cache_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(FILE, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let wanted = format!("inserted {inserts}");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reached = lines.any(|line| line.unwrap().ends_with(&wanted));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(reached && status.code().is_none(), "the process ended by itself: {status}");
}

/// Reads every object and gives back how many are there.
fn check(path: &Path) -> u64 {
    let (store, recovery) = open(path);
    let mut reader = store.reader().unwrap();
    let mut hits = 0;
    for number in 0..OBJECTS {
        let expected = bytes(number);
        match reader.read(&key(number), 0, expected.len(), expected.len() as u64) {
            ReadOutcome::Hit(found) => {
                assert!(found == expected, "wrong bytes of object {number}");
                hits += 1;
            }
            ReadOutcome::Miss => assert!(!store.contains(&key(number), BlockIndex(0))),
        }
    }
    let stats = store.stats();
    assert_eq!(stats.checksum_mismatches, 0, "{stats:?}");
    // What verifies is there, unless the store evicts on its own right after it opened.
    assert!(hits + stats.evicted_blocks >= recovery.blocks, "{hits} hits, {recovery:?}, {stats:?}");
    store.close();
    hits
}

#[test]
fn a_killed_process_leaves_a_cache_that_serves_all_it_claims() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("slabs");
    // in the first slabs; when the cache is full and slabs are used again; again over what the last one left
    for (inserts, least) in [(20, 7), (160, 50), (60, 50)] {
        fill_and_kill(&path, inserts);
        let hits = check(&path);
        assert!(hits >= least, "{hits} blocks survive a kill after {inserts} inserts");
    }
}
