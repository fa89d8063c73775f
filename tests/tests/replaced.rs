//! An object replaced behind the mount's back: an open file keeps its version or ends, a new open gets the new one.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use forebay_tests::{
    Access, Daemon, DirectBuffer, MIB, S3, Setup, eventually, missing_fuse, open, read_range, read_whole,
    require, synthetic_bytes, synthetic_difference,
};

const KEY: &str = "model.bin";
const OBJECT_BYTES: u64 = 12 * MIB + 3;
const OLD: u64 = 100;
const NEW: u64 = 200;

fn mounted(consistency: &str) -> (S3, Setup) {
    let s3 = S3::start();
    s3.put_synthetic(KEY, OLD, OBJECT_BYTES);
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), consistency);
    (s3, setup)
}

fn is_stale(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESTALE)
}

/// Whether the file at the path now holds the version of this seed.
fn holds(daemon: &Daemon<'_>, seed: u64) -> bool {
    match read_whole(&daemon.path(KEY), Access::Buffered) {
        Ok(whole) => whole == synthetic_bytes(seed, 0..OBJECT_BYTES),
        Err(error) if is_stale(&error) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Reads on in a file that was opened before the replacement, to its end.
fn read_on(file: &fs::File, from: u64) {
    let mut buffer = DirectBuffer::new(MIB as usize);
    for offset in (from..OBJECT_BYTES).step_by(MIB as usize) {
        match read_range(file, offset, buffer.bytes_mut()) {
            Ok(data) => {
                assert_eq!(synthetic_difference(OLD, offset, data), None, "another version at {offset}")
            }
            Err(error) => return assert!(is_stale(&error), "{error} in place of ESTALE"),
        }
    }
}

fn an_open_file_keeps_its_version(consistency: &str, access: Access) {
    let (s3, setup) = mounted(consistency);
    let daemon = setup.start();
    let file = open(&daemon.path(KEY), access).unwrap();
    let mut buffer = DirectBuffer::new(MIB as usize);
    let first = read_range(&file, 0, buffer.bytes_mut()).unwrap();
    assert_eq!(synthetic_difference(OLD, 0, first), None);
    s3.put_synthetic(KEY, NEW, OBJECT_BYTES);
    read_on(&file, MIB);
    read_on(&file, 0);
}

#[test]
fn an_open_file_never_mixes_versions() {
    require!(missing_fuse());
    for consistency in ["immutable", "ttl=1s", "strict"] {
        for access in Access::ALL {
            an_open_file_keeps_its_version(consistency, access);
        }
    }
}

#[test]
fn a_strict_mount_shows_the_new_version_at_the_next_open() {
    require!(missing_fuse());
    let (s3, setup) = mounted("strict");
    let daemon = setup.start();
    assert!(holds(&daemon, OLD));
    s3.put_synthetic(KEY, NEW, OBJECT_BYTES);
    assert!(holds(&daemon, NEW));
    s3.put(KEY, "short");
    assert_eq!(fs::metadata(daemon.path(KEY)).unwrap().len(), 5);
    assert_eq!(fs::read(daemon.path(KEY)).unwrap(), b"short");
    s3.remove(KEY);
    assert_eq!(fs::metadata(daemon.path(KEY)).unwrap_err().kind(), io::ErrorKind::NotFound);
    s3.put(KEY, "again");
    assert_eq!(fs::read(daemon.path(KEY)).unwrap(), b"again");
}

#[test]
fn a_ttl_mount_shows_the_new_version_after_its_time() {
    require!(missing_fuse());
    let (s3, setup) = mounted("ttl=1s");
    let daemon = setup.start();
    assert!(holds(&daemon, OLD));
    s3.put_synthetic(KEY, NEW, OBJECT_BYTES);
    s3.put("added.bin", "added");
    let limit = Duration::from_secs(10);
    eventually("the new version is seen", limit, || holds(&daemon, NEW).then_some(()));
    eventually("the new name is seen", limit, || fs::metadata(daemon.path("added.bin")).ok());
    s3.remove("added.bin");
    eventually("the name is gone", limit, || fs::metadata(daemon.path("added.bin")).err());
}

#[test]
fn an_immutable_mount_asks_nothing_until_it_is_synced() {
    require!(missing_fuse());
    let (s3, setup) = mounted("immutable");
    s3.put("dir/kept", "kept");
    s3.put("dir/removed", "removed");
    let daemon = setup.start();
    assert!(holds(&daemon, OLD));
    let names = || -> BTreeSet<String> {
        let entries = fs::read_dir(daemon.path("dir")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names(), BTreeSet::from(["kept".to_owned(), "removed".to_owned()]));
    assert!(fs::metadata(daemon.path("dir/added")).is_err());

    s3.put_synthetic(KEY, NEW, OBJECT_BYTES);
    s3.put("dir/added", "added");
    s3.put("new/dir/file", "file");
    s3.remove("dir/removed");
    assert!(holds(&daemon, OLD), "a whole version is cached, and an immutable mount asks nothing");
    assert_eq!(names().len(), 2);

    daemon.cli(&["sync", daemon.mountpoint().to_str().unwrap()]).succeeded();
    assert_eq!(names(), BTreeSet::from(["added".to_owned(), "kept".to_owned()]));
    assert!(holds(&daemon, NEW));
    assert_eq!(fs::read(daemon.path("dir/added")).unwrap(), b"added");
    assert_eq!(fs::metadata(daemon.path("dir/removed")).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(fs::read(daemon.path("new/dir/file")).unwrap(), b"file");
}

#[test]
fn a_sync_of_a_directory_and_of_a_file_is_seen_at_once() {
    require!(missing_fuse());
    let (s3, setup) = mounted("immutable");
    s3.put("a/file", "a1");
    s3.put("b/file", "b1");
    let daemon = setup.start();
    let read = |path: &str| fs::read_to_string(daemon.path(path)).unwrap();
    assert_eq!((read("a/file"), read("b/file")), ("a1".into(), "b1".into()));
    s3.put("a/file", "a2");
    s3.put("b/file", "b2");
    daemon.cli(&["sync", daemon.path("a").to_str().unwrap()]).succeeded();
    assert_eq!((read("a/file"), read("b/file")), ("a2".into(), "b1".into()));
    daemon.cli(&["sync", daemon.path("b/file").to_str().unwrap()]).succeeded();
    assert_eq!(read("b/file"), "b2");
}

#[test]
fn readers_see_whole_versions_while_an_object_is_replaced_over_and_over() {
    const SIZE_BYTES: u64 = 3 * MIB;
    const VERSIONS: u64 = 60;
    require!(missing_fuse());
    let (s3, setup) = mounted("strict");
    s3.put_synthetic("hot", 0, SIZE_BYTES);
    let daemon = setup.start();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers = [0, 1].map(|reader| {
            let (daemon, done) = (&daemon, &done);
            scope.spawn(move || {
                let mut whole_reads = 0;
                while !done.load(Ordering::Relaxed) {
                    match read_whole(&daemon.path("hot"), Access::ALL[reader]) {
                        Ok(data) => {
                            let is_one = |seed| data == synthetic_bytes(seed, 0..SIZE_BYTES);
                            assert!((0..=VERSIONS).any(is_one), "a mix of versions");
                            whole_reads += 1;
                        }
                        Err(error) => assert!(is_stale(&error), "{error} in place of ESTALE"),
                    }
                }
                whole_reads
            })
        });
        // also when an assertion below fails, or the readers would never end
        let finish = SetOnDrop(&done);
        for seed in 1..=VERSIONS {
            let gets = s3.stats().get;
            s3.put_synthetic("hot", seed, SIZE_BYTES);
            // each version meets a reader
            eventually("a reader asks for data", Duration::from_secs(10), || {
                (s3.stats().get > gets).then_some(())
            });
        }
        drop(finish);
        let whole_reads: Vec<u64> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        println!("whole reads: {whole_reads:?} of {VERSIONS} versions");
        assert!(whole_reads.iter().sum::<u64>() > 0, "no reader ever got a whole version");
    });
    let last = read_whole(&daemon.path("hot"), Access::Direct).unwrap();
    assert!(last == synthetic_bytes(VERSIONS, 0..SIZE_BYTES));
}

struct SetOnDrop<'f>(&'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
