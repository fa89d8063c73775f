//! Readers of the same cold data share its fetches.

use std::sync::Barrier;
use std::thread;

use forebay_tests::{
    Access, DirectBuffer, MIB, S3, Setup, missing_fuse, open, read_range, read_whole, require, settled,
    synthetic_bytes, synthetic_difference,
};

const OBJECT_BYTES: u64 = 48 * MIB + 5;
const OBJECT_SEED: u64 = 8;
const READERS: usize = 20;

fn cold_object() -> (S3, Setup) {
    let s3 = S3::start();
    s3.put_synthetic("shared.bin", OBJECT_SEED, OBJECT_BYTES);
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    (s3, setup)
}

fn assert_each_byte_left_once(s3: &S3) {
    let sent = settled(|| s3.stats().bytes_sent);
    assert!(sent >= OBJECT_BYTES, "{sent} bytes sent of {OBJECT_BYTES}: the readers were not cold");
    assert!(sent * 100 <= OBJECT_BYTES * 102, "{sent} bytes sent of {OBJECT_BYTES}");
}

#[test]
fn twenty_readers_from_start_to_end_move_each_byte_once() {
    require!(missing_fuse());
    let (s3, setup) = cold_object();
    let daemon = setup.start();
    let path = daemon.path("shared.bin");
    let (start, expected) = (Barrier::new(READERS), synthetic_bytes(OBJECT_SEED, 0..OBJECT_BYTES));
    s3.reset_stats();
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                start.wait();
                assert!(read_whole(&path, Access::Direct).unwrap() == expected);
            });
        }
    });
    assert_each_byte_left_once(&s3);
}

#[test]
fn twenty_readers_from_different_places_move_each_byte_once() {
    require!(missing_fuse());
    let (s3, setup) = cold_object();
    let daemon = setup.start();
    let path = daemon.path("shared.bin");
    let start = Barrier::new(READERS);
    s3.reset_stats();
    thread::scope(|scope| {
        for reader in 0..READERS as u64 {
            let (path, start) = (&path, &start);
            scope.spawn(move || {
                let file = open(path, Access::Direct).unwrap();
                let mut buffer = DirectBuffer::new(MIB as usize);
                start.wait();
                for step in 0..=OBJECT_BYTES / MIB {
                    let offset = (step + reader * 5) * MIB % (OBJECT_BYTES / MIB * MIB + MIB);
                    let data = read_range(&file, offset, buffer.bytes_mut()).unwrap();
                    assert_eq!(data.len() as u64, MIB.min(OBJECT_BYTES - offset));
                    assert_eq!(synthetic_difference(OBJECT_SEED, offset, data), None, "at {offset}");
                }
            });
        }
    });
    assert_each_byte_left_once(&s3);
}
