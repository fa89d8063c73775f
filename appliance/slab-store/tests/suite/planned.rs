//! Reads that a ring of the caller carries out; here pread(2) plays the ring.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use slab_store::{AlignedBuf, DeviceSpec, Options, PlannedRead, SlabStore, Step};

use crate::support::{Object, insert};

const BUF_BYTES: usize = 768 * 1024;

fn store_in(dir: &tempfile::TempDir) -> SlabStore {
    let device = DeviceSpec::File { path: dir.path().join("slabs") };
    SlabStore::open(Options::new(device, 64 << 20)).unwrap().0
}

/// Enough blocks to push earlier ones out of the write segments.
fn insert_more(store: &SlabStore) {
    (0..200).for_each(|id| insert(store, Object { id: 1_000_000 + id, size: 20_000 }).unwrap());
}

/// What a ring does with the runs of a plan.
fn carry_out(store: &SlabStore, read: &PlannedRead, buf: &mut [u8]) {
    let file: std::fs::File = store.descriptor().unwrap().as_fd().try_clone_to_owned().unwrap().into();
    for run in read.runs() {
        assert_eq!((run.len % store.unit_bytes() as usize, run.device_offset % 512), (0, 0));
        file.read_exact_at(&mut buf[run.position..run.position + run.len], run.device_offset).unwrap();
    }
}

/// The bytes of a read; `None` is a miss.
fn read(store: &SlabStore, object: Object, offset: u64, len: usize) -> Option<Vec<u8>> {
    let (mut read, mut buf) = (PlannedRead::default(), AlignedBuf::new(BUF_BYTES));
    let mut step = store.start(&mut read, &object.key(), offset, len, object.size, &mut buf);
    loop {
        match step {
            Step::Hit(range) => return Some(buf[range].to_vec()),
            Step::Miss => return None,
            Step::NoRoom => panic!("{BUF_BYTES} bytes are enough"),
            Step::Read => {
                carry_out(store, &read, &mut buf);
                step = store.finish(&mut read, Ok(()), &mut buf);
            }
        }
    }
}

#[test]
fn bytes_arrive_whatever_their_place() {
    let dir = tempfile::TempDir::new().unwrap();
    let store = store_in(&dir);
    let objects = [700, 5_000, 100_000, 131_072, 300_001].map(|size| Object { id: size as u32, size });
    objects.iter().for_each(|object| insert(&store, *object).unwrap());
    insert_more(&store);
    for object in objects {
        for (offset, len) in
            [(0, 4096), (0, 300_001), (1, 699), (4096, 8192), (99_999, 100_000), (131_071, 3)]
        {
            let start = object.size.min(offset);
            let expected = object.bytes(start, (object.size - start).min(len) as usize);
            let found = read(&store, object, offset, len as usize);
            assert!(found == Some(expected), "{offset} + {len} of {}", object.size);
        }
    }
    assert_eq!(read(&store, Object { id: 9, size: 100 }, 0, 100), None);
    assert!(store.stats().hits >= 30);
}

#[test]
fn a_plan_that_needs_more_than_the_buffer_is_told() {
    let dir = tempfile::TempDir::new().unwrap();
    let store = store_in(&dir);
    let object = Object { id: 1, size: 131_072 };
    insert(&store, object).unwrap();
    let mut buf = AlignedBuf::new(4096);
    let step = store.start(&mut PlannedRead::default(), &object.key(), 100, 50, object.size, &mut buf);
    assert_eq!(step, Step::NoRoom, "a block in an open slab is checked as a whole");
}

#[test]
fn a_failed_read_counts_and_drops_the_block() {
    let dir = tempfile::TempDir::new().unwrap();
    let store = store_in(&dir);
    let object = Object { id: 1, size: 100_000 };
    insert(&store, object).unwrap();
    insert_more(&store);
    let (mut planned, mut buf) = (PlannedRead::default(), AlignedBuf::new(BUF_BYTES));
    // Until its segment is written, it is read from memory.
    while store.start(&mut planned, &object.key(), 0, 100_000, object.size, &mut buf) != Step::Read {
        std::thread::yield_now();
    }
    let failure = io::Error::from_raw_os_error(libc::EIO);
    assert_eq!(store.finish(&mut planned, Err(failure), &mut buf), Step::Miss);
    assert_eq!(store.stats().device_errors, 1);
    assert_eq!(read(&store, object, 0, 100_000), None);
    assert!(!store.is_failed());
}
