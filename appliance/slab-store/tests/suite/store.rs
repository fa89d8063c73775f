//! What a store promises when nothing goes wrong.

use slab_store::sim::SimDevice;
use slab_store::{BLOCK_BYTES, BlockIndex, InsertError, ReadOutcome, ReaderShape, Submitted};

use crate::support::*;

const MIB: u64 = 1 << 20;

#[test]
fn ranges_are_read_from_memory_from_the_device_and_after_a_restart() {
    for sector_bytes in [512, 4096] {
        let device = SimDevice::blank(CAPACITY).with_sector_bytes(sector_bytes);
        // The last blocks of these are small, and end anywhere.
        let all =
            [1, 511, 5_000, 65_536, 131_072, 131_073, 300_001, 1_000_000].map(|size| Object { id: 1, size });
        let (store, _) = open(&device);
        all.iter().for_each(|object| insert(&store, *object).unwrap());
        check_ranges(&store, &all);
        store.close();
        let (store, recovery) = open(&device);
        assert_eq!(recovery.bytes, all.iter().map(|object| object.size).sum::<u64>());
        assert_eq!((recovery.discarded, recovery.bytes), (0, store.stats().used_bytes));
        check_ranges(&store, &all);
        assert_eq!(store.stats().checksum_mismatches, 0);
    }
}

fn check_ranges(store: &slab_store::SlabStore, all: &[Object]) {
    let mut reader = store.reader().unwrap();
    for object in all {
        for offset in [0, 1, 4095, 4096, 65_537, 131_071, 131_072, 262_145, object.size - 1] {
            for len in [1, 17, 4096, 65_536, 131_072, 400_000, 1 << 20] {
                if offset < object.size {
                    assert!(read(&mut reader, *object, offset, len), "{object:?} at {offset}, length {len}");
                }
            }
        }
        let beyond = reader.read(&object.key(), object.size, 10, object.size);
        assert_eq!(beyond, ReadOutcome::Hit(&[]));
    }
}

#[test]
fn a_block_of_another_length_or_version_is_a_miss() {
    let (store, _) = open(&SimDevice::blank(CAPACITY));
    let object = Object { id: 1, size: 10_000 };
    insert(&store, object).unwrap();
    let mut reader = store.reader().unwrap();
    assert_eq!(reader.read(&object.key(), 0, 10, 9_999), ReadOutcome::Miss);
    assert_eq!(reader.read(&Object { id: 2, ..object }.key(), 0, 10, 10_000), ReadOutcome::Miss);
    assert_eq!(reader.read(&object.key(), 0, slab_store::READ_BYTES_MAX + 1, 10 * MIB), ReadOutcome::Miss);
    assert_eq!(store.stats().misses, 3);
}

#[test]
fn insert_is_idempotent_and_checks_sizes() {
    let (store, _) = open(&SimDevice::blank(CAPACITY));
    let object = Object { id: 1, size: 100_000 };
    insert(&store, object).unwrap();
    insert(&store, object).unwrap();
    assert_eq!(store.stats().inserted_blocks, 1);
    let limit = BLOCK_BYTES as usize;
    let empty = wait("insert", store.insert(&object.key(), BlockIndex(1), &[b""]));
    assert_eq!(empty, Err(InsertError::Size { len: 0, limit }));
    let long = vec![0; limit + 1];
    let result = wait("insert", store.insert(&object.key(), BlockIndex(1), &[&long]));
    assert_eq!(result, Err(InsertError::Size { len: limit + 1, limit }));
}

#[test]
fn removed_blocks_are_gone() {
    let (store, _) = open(&SimDevice::blank(CAPACITY));
    let object = Object { id: 1, size: 300_000 };
    insert(&store, object).unwrap();
    store.remove_object(&object.key(), object.blocks());
    let mut reader = store.reader().unwrap();
    assert_eq!(read_all(&store, &mut reader, &[object]), 0);
    assert_eq!((store.stats().blocks, store.stats().used_bytes), (0, 0));
}

#[test]
fn budgets_hold_while_many_times_the_capacity_passes() {
    let device = SimDevice::blank(CAPACITY);
    let (store, _) = open(&device);
    let mut reader = store.reader().unwrap();
    for object in objects(3, 300) {
        insert(&store, object).unwrap();
        assert!(read(&mut reader, object, 0, 4096), "what was just inserted can be read");
        let stats = store.stats();
        assert!(stats.memory_bytes <= stats.memory_bytes_max, "{stats:?}");
        assert!(stats.used_bytes <= stats.capacity_bytes, "{stats:?}");
    }
    let stats = store.stats();
    assert!(stats.evicted_bytes + stats.used_bytes >= stats.inserted_bytes, "{stats:?}");
    assert!(stats.inserted_bytes > 3 * CAPACITY as u64, "{stats:?}");
    assert!(stats.used_bytes > CAPACITY as u64 / 4, "most of the cache is in use: {stats:?}");
    assert_eq!((stats.checksum_mismatches, stats.device_errors), (0, 0));
}

#[test]
fn blocks_that_are_read_outlive_blocks_that_are_not() {
    let (store, _) = open(&SimDevice::blank(17 << 20));
    let mut reader = store.reader().unwrap();
    // One in five is read again and again; the others never are.
    let (mut hot, mut cold) = (Vec::new(), Vec::new());
    for id in 0..600 {
        let object = Object { id, size: 100_000 };
        insert(&store, object).unwrap();
        if id % 5 == 0 && id < 100 {
            hot.push(object)
        } else {
            cold.push(object)
        }
        hot.iter().for_each(|object| assert!(read(&mut reader, *object, 0, 100_000)));
    }
    assert_eq!(read_all(&store, &mut reader, &hot), 20);
    assert!(read_all(&store, &mut reader, &cold) < 140);
    assert!(store.stats().reinserted_bytes >= 2_000_000);
}

/// Inserts objects of a size until something is evicted; gives back the part of the space that is lost, in percent.
fn waste_percent(store: &slab_store::SlabStore, size: u64) -> f64 {
    let mut inserted = 0;
    while store.stats().evicted_blocks == 0 {
        insert(store, Object { id: inserted, size }).unwrap();
        inserted += 1;
    }
    let stats = store.stats();
    let waste = 100.0 - stats.inserted_bytes as f64 * 100.0 / stats.capacity_bytes as f64;
    println!("{size} B objects: {waste:.2} % of {} bytes are lost", stats.capacity_bytes);
    waste
}

#[test]
fn small_objects_waste_little() {
    let (store, _) = open(&SimDevice::blank(129 << 20));
    assert!(waste_percent(&store, 5_000) <= 15.0);
    let dir = tempfile::TempDir::new().unwrap();
    let device = slab_store::DeviceSpec::File { path: dir.path().join("slabs") };
    let mut options = slab_store::Options::new(device, 2 << 30);
    options.memory_bytes = 64 << 20;
    let (store, _) = slab_store::SlabStore::open(options).unwrap();
    assert!(waste_percent(&store, 100_000) <= 5.0);
}

#[test]
fn many_reads_are_in_flight_at_once() {
    let (store, _) = open(&SimDevice::blank(CAPACITY));
    let object = Object { id: 1, size: 1_000_000 };
    insert(&store, object).unwrap();
    let mut reader = store.reader_with(ReaderShape { slots: 4, read_bytes_max: 4096 }).unwrap();
    let offsets = [0u64, 4096, 131_072, 999_000];
    for offset in offsets {
        assert_eq!(reader.submit(offset, &object.key(), offset, 4096, object.size), Submitted::Queued);
    }
    assert_eq!(reader.submit(9, &object.key(), 0, 4096, object.size), Submitted::Full);
    let mut tags = Vec::new();
    while let Some(done) = reader.reap() {
        let len = 4096.min(object.size - done.tag) as usize;
        assert_eq!(done.outcome, ReadOutcome::Hit(&object.bytes(done.tag, len)));
        tags.push(done.tag);
    }
    tags.sort_unstable();
    assert_eq!(tags, offsets);
    assert_eq!(reader.submit(9, &object.key(), 0, 4096, 5), Submitted::Miss);
}

#[test]
fn threads_insert_and_read_at_once() {
    let (store, _) = open(&SimDevice::blank(33 << 20));
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let store = store.clone();
            scope.spawn(move || {
                let mut reader = store.reader().unwrap();
                let mine = objects(thread % 2 + 1, 150);
                for (i, object) in mine.iter().enumerate() {
                    insert(&store, *object).unwrap();
                    read(&mut reader, mine[i / 2], 0, 300_000);
                    read(&mut reader, mine[i / 3], 1, 4_000);
                }
            });
        }
    });
    let stats = store.stats();
    assert_eq!((stats.checksum_mismatches, stats.device_errors), (0, 0), "{stats:?}");
    assert!(stats.evicted_bytes > 0 && stats.hits > 100, "{stats:?}");
}

#[test]
fn a_dropped_insert_leaves_nothing_behind() {
    use std::future::Future;
    let device = SimDevice::blank(CAPACITY);
    let (store, _) = open(&device);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for id in 0..2_000 {
        let object = Object { id, size: u64::from(BLOCK_BYTES) };
        let (key, data) = (object.key(), [object.block(0)]);
        let mut insert = Box::pin(store.insert(&key, BlockIndex(0), &data));
        let taken = insert.as_mut().poll(&mut context).is_ready();
        drop(insert);
        assert_eq!(taken, store.contains(&key, BlockIndex(0)) || taken, "{id}");
    }
    // Whoever waits after the drops is served.
    insert(&store, Object { id: 9_999, size: 100_000 }).unwrap();
}

#[test]
fn a_closed_store_refuses_and_its_readers_go_on() {
    let device = SimDevice::blank(CAPACITY);
    let (store, _) = open(&device);
    let (other, object) = (store.clone(), Object { id: 1, size: 50_000 });
    insert(&store, object).unwrap();
    let mut reader = store.reader().unwrap();
    store.close();
    assert_eq!(insert(&other, Object { id: 2, size: 1 }), Err(InsertError::Closed));
    assert!(read(&mut reader, object, 0, 50_000));
}
