//! The store on a real file system: what is complete and what is not, budget, damage, restart, and files in use.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backing_store::{BackingStore, Options, Run, Written};
use slab_store::{BLOCK_BYTES, BlockIndex, ObjectKey, ReadOutcome};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const BLOCK: usize = BLOCK_BYTES as usize;

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn options(directory: &Path) -> Options {
    let quiet = Options { scrub_bytes_per_s: 0, ..Options::new(directory.to_owned(), 64 * MIB) };
    Options { object_bytes_min: MIB, ..quiet }
}

fn open(directory: &Path) -> BackingStore {
    BackingStore::open(options(directory)).unwrap().0
}

/// An object whose bytes follow from its number.
struct Object {
    key: ObjectKey,
    bytes: Vec<u8>,
}

fn object(number: u64, len: u64) -> Object {
    let mut state = number + 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let bytes = std::iter::repeat_with(next).take(len as usize).collect();
    Object { key: ObjectKey::new(format!("store\0object{number}\0etag").as_bytes()).unwrap(), bytes }
}

impl Object {
    fn blocks(&self) -> u32 {
        self.bytes.len().div_ceil(BLOCK) as u32
    }

    /// Writes a run of blocks, each in two parts.
    fn write(&self, store: &BackingStore, first: u32, count: u32) -> Written {
        let start = first as usize * BLOCK;
        let end = (start + count as usize * BLOCK).min(self.bytes.len());
        let parts = |block: &'_ [u8]| block.len() / 3;
        let blocks: Vec<Vec<&[u8]>> = self.bytes[start..end]
            .chunks(BLOCK)
            .map(|block| vec![&block[..parts(block)], &block[parts(block)..]])
            .collect();
        store.writer().write(&Run {
            key: &self.key,
            size_bytes: self.bytes.len() as u64,
            first: BlockIndex(first),
            blocks: &blocks,
        })
    }

    /// Writes all of it; what the last run gave.
    fn write_all(&self, store: &BackingStore) -> Written {
        let mut last = Written::Refused;
        for first in (0..self.blocks()).step_by(8) {
            last = self.write(store, first, 8.min(self.blocks() - first));
        }
        last
    }

    /// Whether a read hits; what it gives must be right.
    fn reads(&self, store: &BackingStore, offset: usize, len: usize) -> bool {
        match store.reader().read(&self.key, offset as u64, len) {
            ReadOutcome::Hit(bytes) => {
                assert!(bytes == &self.bytes[offset..offset + len], "wrong bytes at {offset}");
                true
            }
            ReadOutcome::Miss => false,
        }
    }
}

fn data_files(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "data")).collect()
}

/// Bytes that a directory takes on disk.
fn disk_bytes(directory: &Path) -> u64 {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[!byte[0]], offset).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn what_is_there_is_served_and_nothing_else() {
    let directory = directory();
    let store = open(directory.path());
    let object = object(1, 5 * MIB + 777);
    assert_eq!(object.write(&store, 8, 4), Written::Kept);
    assert!(object.reads(&store, 8 * BLOCK + 5, 3 * BLOCK));
    assert!(object.reads(&store, 12 * BLOCK - 1, 1));
    assert!(!object.reads(&store, 7 * BLOCK, 2 * BLOCK), "block 7 is missing");
    assert!(!object.reads(&store, 12 * BLOCK - 1, 2), "block 12 is missing");
    assert!(store.contains(&object.key, BlockIndex(11)) && !store.contains(&object.key, BlockIndex(12)));
    assert!(store.lend(&object.key).is_none(), "not complete");
    // The last block is short and its end not aligned.
    assert_eq!(object.write(&store, 40, 1), Written::Kept);
    assert!(object.reads(&store, 40 * BLOCK, 777));
    assert!(matches!(store.reader().read(&object.key, 40 * BLOCK as u64, 778), ReadOutcome::Miss));
}

#[test]
fn the_last_block_completes_the_file_offset_for_offset() {
    let directory = directory();
    let store = open(directory.path());
    let object = object(2, 3 * MIB + 1);
    for first in (1..object.blocks()).rev() {
        assert_eq!(object.write(&store, first, 1), Written::Kept);
    }
    assert_eq!(object.write(&store, 0, 1), Written::Completed);
    let [path] = &data_files(directory.path())[..] else { panic!("one file") };
    assert!(fs::read(path).unwrap() == object.bytes, "exactly the object, no byte more");
    let lent = store.lend(&object.key).unwrap();
    let mut read = vec![0; 100];
    let direct = File::from(lent.as_fd().try_clone_to_owned().unwrap());
    assert_eq!(direct.metadata().unwrap().ino(), fs::metadata(path).unwrap().ino());
    assert!(object.reads(&store, 0, 100));
    File::open(path).unwrap().read_exact_at(&mut read, MIB).unwrap();
    assert!(read == object.bytes[MIB as usize..][..100]);
    assert_eq!(object.write(&store, 0, 2), Written::Kept, "again");
    assert_eq!(store.stats().promoted, 1);
}

#[test]
fn a_restart_finds_complete_files_and_parts() {
    let directory = directory();
    let (whole, part) = (object(1, 2 * MIB), object(2, 4 * MIB));
    let store = open(directory.path());
    whole.write_all(&store);
    part.write(&store, 3, 5);
    let used = store.stats().used_bytes;
    drop(store);
    let (store, recovery) = BackingStore::open(options(directory.path())).unwrap();
    assert_eq!((recovery.sealed_files, recovery.partial_files, recovery.removed_files), (1, 1, 0));
    assert_eq!(recovery.bytes, used);
    assert!(store.lend(&whole.key).is_some() && whole.reads(&store, 5, MIB as usize));
    assert!(part.reads(&store, 3 * BLOCK, 5 * BLOCK) && !part.reads(&store, 0, 1));
    part.write_all(&store);
    assert!(store.lend(&part.key).is_some(), "completed after the restart");
}

/// Files that a crash left half made or torn, and those of others, are removed; damage never becomes data.
#[test]
fn a_restart_drops_what_is_not_whole() {
    let directory = directory();
    let objects: Vec<Object> = (0..5).map(|number| object(number, 2 * MIB)).collect();
    let store = open(directory.path());
    objects.iter().for_each(|object| assert_eq!(object.write_all(&store), Written::Completed));
    drop(store);
    let path =
        |object: &Object, ending| directory.path().join(format!("{:032x}.{ending}", object.key.hash()));
    flip(&path(&objects[0], "sums"), 40);
    fs::remove_file(path(&objects[1], "data")).unwrap();
    OpenOptions::new().write(true).open(path(&objects[2], "data")).unwrap().set_len(MIB).unwrap();
    OpenOptions::new().write(true).open(path(&objects[3], "sums")).unwrap().set_len(100).unwrap();
    fs::write(directory.path().join("stranger.data"), b"x").unwrap();
    let (store, recovery) = BackingStore::open(options(directory.path())).unwrap();
    assert_eq!((recovery.sealed_files, recovery.partial_files, recovery.removed_files), (1, 0, 4));
    assert!(objects[4].reads(&store, 0, BLOCK) && !objects[2].reads(&store, 0, BLOCK));
    assert_eq!(data_files(directory.path()).len(), 1);
}

#[test]
fn damage_is_a_miss_and_is_counted() {
    let directory = directory();
    let store = open(directory.path());
    let object = object(1, 4 * MIB);
    object.write(&store, 0, 8);
    let [path] = &data_files(directory.path())[..] else { panic!("one file") };
    flip(path, 3 * BLOCK as u64 + 99);
    assert!(object.reads(&store, 0, 3 * BLOCK), "the blocks before are whole");
    assert!(!object.reads(&store, 2 * BLOCK, 2 * BLOCK));
    assert!(!store.contains(&object.key, BlockIndex(3)) && store.contains(&object.key, BlockIndex(4)));
    assert_eq!(store.stats().checksum_mismatches, 1);
    // What is fetched again is taken again, and once only on the account.
    let used = store.stats().used_bytes;
    object.write(&store, 3, 1);
    assert!(object.reads(&store, 0, 8 * BLOCK));
    assert_eq!(store.stats().used_bytes, used + BLOCK as u64);
    object.write_all(&store);
    flip(path, MIB);
    assert!(!object.reads(&store, 0, MIB as usize + 1));
    assert!(store.lend(&object.key).is_none(), "a complete file goes as a whole");
    assert_eq!((store.stats().demoted, store.stats().used_bytes), (1, 0));
    assert_eq!(object.write_all(&store), Written::Completed);
}

#[test]
fn the_coldest_files_go_and_the_budget_holds() {
    let directory = directory();
    let store = open(directory.path());
    let objects: Vec<Object> = (0..12).map(|number| object(number, 10 * MIB)).collect();
    for (number, object) in objects.iter().enumerate() {
        assert_eq!(object.write_all(&store), Written::Completed);
        // The first one is used all the time.
        assert!(store.lend(&objects[0].key).is_some());
        assert!(store.stats().used_bytes <= 64 * MIB);
        assert!(disk_bytes(directory.path()) <= 64 * MIB, "after {number}");
    }
    let there: Vec<usize> = (0..12).filter(|number| objects[*number].reads(&store, 0, BLOCK)).collect();
    assert_eq!(there, [0, 7, 8, 9, 10, 11]);
    assert_eq!(store.stats().evicted_files, 6);
    // A smaller budget keeps the warmest.
    assert!(store.lend(&objects[8].key).is_some());
    drop(store);
    let less = Options { budget_bytes: 25 * MIB, ..options(directory.path()) };
    let (store, recovery) = BackingStore::open(less).unwrap();
    assert_eq!((recovery.sealed_files, recovery.removed_files), (2, 4));
    assert!(objects[8].reads(&store, 0, BLOCK));
}

#[test]
fn files_in_use_are_never_victims() {
    let directory = directory();
    let store = open(directory.path());
    let objects: Vec<Object> = (0..4).map(|number| object(number, 20 * MIB)).collect();
    let lent: Vec<_> = objects[..3]
        .iter()
        .map(|object| {
            object.write_all(&store);
            store.lend(&object.key).unwrap()
        })
        .collect();
    assert_eq!(objects[3].write_all(&store), Written::Refused);
    assert!(store.stats().refused_bytes >= 16 * MIB && store.stats().used_bytes <= 64 * MIB);
    drop(lent);
    assert_eq!(objects[3].write_all(&store), Written::Completed);
}

/// A file that loses its name while it is lent or mapped stays readable, and is paid for until the last one lets go.
#[test]
fn a_removed_file_is_paid_for_until_nobody_has_it() {
    let directory = directory();
    let store = open(directory.path());
    let object = object(1, 8 * MIB);
    object.write_all(&store);
    let lent = store.lend(&object.key).unwrap();
    // What the kernel does for a passthrough open and its mapping: an open of its own.
    let kernels = File::open(&data_files(directory.path())[0]).unwrap();
    store.remove(&object.key);
    assert!(lent.is_dropped() && data_files(directory.path()).is_empty());
    assert!(!object.reads(&store, 0, BLOCK));
    assert!(store.stats().used_bytes > 8 * MIB);
    drop(lent);
    assert!(store.stats().used_bytes > 8 * MIB, "still open in the kernel");
    assert_eq!(store.stats().lingering_files, 1);
    let mut read = vec![0; BLOCK];
    kernels.read_exact_at(&mut read, MIB).unwrap();
    assert!(read == object.bytes[MIB as usize..][..BLOCK]);
    drop(kernels);
    let deadline = Instant::now() + Duration::from_secs(20);
    while store.stats().used_bytes > 0 {
        assert!(Instant::now() < deadline, "{:?}", store.stats());
        std::thread::yield_now();
    }
}

#[test]
fn errors_of_the_disk_are_misses_and_take_the_store_out() {
    let directory = directory();
    let store = open(directory.path());
    let objects: Vec<Object> = (0..9).map(|number| object(number, 2 * MIB)).collect();
    objects.iter().for_each(|object| assert_eq!(object.write_all(&store), Written::Completed));
    drop(store);
    let store = open(directory.path());
    for path in data_files(directory.path()) {
        // Opening a directory for writing fails, as a disk does that has gone.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
    }
    assert!(!objects[0].reads(&store, 0, BLOCK));
    assert!(store.lend(&objects[1].key).is_none());
    assert_eq!((store.stats().device_errors, store.is_failed()), (2, false));
    objects[2..].iter().for_each(|object| assert!(!object.reads(&store, 0, BLOCK)));
    assert!(store.is_failed());
    assert_eq!(objects[0].write(&store, 0, 1), Written::Refused);
}

#[test]
fn the_scrubber_finds_damage_that_nobody_reads() {
    let directory = directory();
    let objects = [object(1, 4 * MIB), object(2, 4 * MIB)];
    let store = open(directory.path());
    objects.iter().for_each(|object| assert_eq!(object.write_all(&store), Written::Completed));
    drop(store);
    let damaged = directory.path().join(format!("{:032x}.data", objects[1].key.hash()));
    flip(&damaged, 4 * MIB - 1);
    let scrubbing = Options { scrub_bytes_per_s: 1 << 40, ..options(directory.path()) };
    let store = BackingStore::open(scrubbing).unwrap().0;
    let deadline = Instant::now() + Duration::from_secs(20);
    while store.stats().scrub_rounds == 0 {
        assert!(Instant::now() < deadline, "{:?}", store.stats());
        std::thread::yield_now();
    }
    let stats = store.stats();
    assert_eq!((stats.checksum_mismatches, stats.demoted, stats.sealed_files), (1, 1, 1));
    assert!(store.lend(&objects[0].key).is_some() && store.lend(&objects[1].key).is_none());
    assert!(!damaged.exists());
    assert!(stats.scrubbed_bytes >= 7 * MIB);
}

#[test]
fn writers_of_one_object_complete_it_together() {
    let directory = directory();
    let store = open(directory.path());
    let object = object(1, 16 * MIB);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, object) = (&store, &object);
            scope.spawn(move || {
                for first in (thread * 4..object.blocks()).step_by(16) {
                    assert_ne!(object.write(store, first, 4), Written::Refused);
                }
            });
        }
    });
    assert_eq!((store.stats().promoted, store.stats().files), (1, 1));
    for offset in (0..16).map(|mib| mib * MIB as usize) {
        assert!(object.reads(&store, offset, MIB as usize));
    }
}

#[test]
fn only_objects_that_fit_are_taken() {
    let directory = directory();
    let store = open(directory.path());
    assert!(!store.takes(MIB - 1) && store.takes(MIB) && store.takes(60 * MIB) && !store.takes(64 * MIB));
}

#[test]
fn one_process_has_the_directory() {
    let directory = directory();
    let _store = open(directory.path());
    let second = BackingStore::open(options(directory.path())).err().map(|error| error.to_string());
    assert!(second.unwrap().contains("in use by another daemon"));
}
