//! Damaged bytes and failing devices.

use slab_store::sim::{Faults, SimDevice};
use slab_store::{InsertError, OpenError, Planted, SlabStore};

use crate::support::*;

fn filled() -> (SimDevice, Vec<Object>) {
    let device = SimDevice::blank(CAPACITY);
    let all = objects(11, 30);
    let (store, _) = open(&device);
    all.iter().for_each(|object| insert(&store, *object).unwrap());
    store.close();
    (device, all)
}

/// Damages bytes all over the device, opens it and reads everything. Gives back the mismatches that were found;
/// panics on wrong bytes.
fn flip_everywhere(planted: Option<Planted>) -> u64 {
    let (clean, all) = filled();
    let image = clean.image();
    let mut mismatches = 0;
    for round in 0..60usize {
        let device = SimDevice::from_image(image.clone());
        // A prime stride walks over headers, data, meta, page tables and trailers alike.
        for at in (1 + round * 977..image.len()).step_by(60_013) {
            device.flip(at, 1 << (round % 8));
        }
        mismatches += read_damaged(&device, &all, planted);
    }
    mismatches
}

fn read_damaged(device: &SimDevice, all: &[Object], planted: Option<Planted>) -> u64 {
    let (store, _) = open_with(device, planted);
    let mut reader = store.reader().unwrap();
    for object in all {
        for offset in (0..object.size).step_by(50_000) {
            read(&mut reader, *object, offset, 4_096);
            read(&mut reader, *object, offset, 200_000);
        }
    }
    store.stats().checksum_mismatches
}

#[test]
fn flipped_bits_are_never_served() {
    let mismatches = flip_everywhere(None);
    assert!(mismatches > 100, "the flips hit data: {mismatches}");
}

#[test]
fn reads_that_skip_verification_are_found() {
    let found = std::panic::catch_unwind(|| flip_everywhere(Some(Planted::SkipVerification)));
    assert!(found.is_err(), "the suite above must notice wrong bytes");
}

#[test]
fn every_byte_of_every_footer_may_be_damaged() {
    let (clean, all) = filled();
    let image = clean.image();
    let is_trailer = |at: &usize| image[*at..].starts_with(b"FBFOOT1\n");
    let trailers: Vec<usize> = (0..image.len()).step_by(4096).filter(is_trailer).collect();
    assert!(trailers.len() >= 3);
    for trailer in trailers {
        // The trailer's fields, then page table and records before it, more coarsely.
        let fields = (0..80).map(|at| trailer + at);
        let tables = (1..40).map(|step| trailer - step * 211);
        for at in fields.chain(tables) {
            let device = SimDevice::from_image(image.clone());
            device.flip(at, 0x55);
            read_damaged(&device, &all[..4], None);
        }
    }
}

#[test]
fn a_damaged_superblock_is_replaced_by_its_copy() {
    let (device, all) = filled();
    device.flip(20, 0xff);
    let (store, _) = open(&device);
    assert!(read_all(&store, &mut store.reader().unwrap(), &all) > 30);
    drop(store);
    device.flip(512 * 1024 + 20, 0xff);
    assert!(matches!(SlabStore::open(options(&device)), Err(OpenError::Damaged { .. })));
}

#[test]
fn short_transfers_are_continued() {
    let device = SimDevice::blank(CAPACITY);
    device.set_faults(Faults { short: true, ..Faults::default() });
    let all = objects(13, 60);
    let (store, _) = open(&device);
    all.iter().for_each(|object| insert(&store, *object).unwrap());
    store.close();
    let (store, recovery) = open(&device);
    let hits = read_all(&store, &mut store.reader().unwrap(), &all);
    assert_eq!(hits as u64, recovery.blocks);
    assert_eq!((store.stats().device_errors, store.stats().checksum_mismatches), (0, 0));
}

#[test]
fn a_read_error_is_a_miss_and_drops_the_block() {
    let (device, all) = filled();
    let (store, _) = open(&device);
    let mut reader = store.reader().unwrap();
    let object = *all.iter().find(|object| store.contains(&object.key(), slab_store::BlockIndex(0))).unwrap();
    device.set_faults(Faults { fail_reads: true, ..Faults::default() });
    assert!(!read(&mut reader, object, 0, 10));
    device.set_faults(Faults::default());
    assert!(!store.contains(&object.key(), slab_store::BlockIndex(0)));
    assert_eq!((store.stats().device_errors, store.is_failed()), (1, false));
    insert(&store, object).unwrap();
    assert!(read(&mut reader, object, 0, 10));
}

#[test]
fn a_device_that_stops_reading_fails_the_store_and_nothing_hangs() {
    let (device, all) = filled();
    let (store, _) = open(&device);
    let mut reader = store.reader().unwrap();
    device.set_faults(Faults { fail_reads: true, ..Faults::default() });
    assert_eq!(read_all(&store, &mut reader, &all), 0);
    assert!(store.is_failed());
    device.set_faults(Faults::default());
    assert_eq!(read_all(&store, &mut reader, &all), 0, "a failed store stays failed");
    assert_eq!(insert(&store, all[0]), Err(InsertError::Failed));
}

#[test]
fn a_device_that_stops_writing_fails_the_store_and_nothing_hangs() {
    for faults in [
        Faults { fail_writes: true, ..Faults::default() },
        Faults { fail_syncs: true, ..Faults::default() },
        Faults { fail_writes: true, fail_syncs: true, fail_reads: true, ..Faults::default() },
    ] {
        let device = SimDevice::blank(CAPACITY);
        let (store, _) = open(&device);
        device.set_faults(faults);
        // Either some insert is refused, or all slabs are used up and the store fails while they are awaited.
        let refused = (0..2_000).find_map(|id| insert(&store, Object { id, size: 100_000 }).err());
        assert_eq!(refused, Some(InsertError::Failed), "{faults:?}");
        assert!(store.is_failed() && store.stats().device_errors > 0);
        store.close();
    }
}

#[test]
fn rare_read_errors_do_not_fail_the_store() {
    let (device, all) = filled();
    let (store, _) = open(&device);
    let mut reader = store.reader().unwrap();
    device.set_faults(Faults { fail_read_every: 97, ..Faults::default() });
    for _ in 0..40 {
        read_all(&store, &mut reader, &all);
    }
    assert!(store.stats().device_errors > 5 && !store.is_failed(), "{:?}", store.stats());
}
