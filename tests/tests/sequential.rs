//! A cold read from start to end: right bytes, in few requests, each byte once.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use forebay_tests::{
    Access, DirectBuffer, MIB, S3, Setup, missing_fuse, open, read_range, require, settled,
    synthetic_difference,
};

const OBJECT_BYTES: u64 = 160 * MIB + 99;
const OBJECT_SEED: u64 = 13;
const STEP_BYTES: usize = 256 * 1024;

fn check(access: Access) {
    let s3 = S3::start();
    s3.put_synthetic("film.bin", OBJECT_SEED, OBJECT_BYTES);
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    let file = open(&daemon.path("film.bin"), access).unwrap();
    s3.reset_stats();
    let mut buffer = DirectBuffer::new(STEP_BYTES);
    let mut offset = 0;
    while offset < OBJECT_BYTES {
        let data = read_range(&file, offset, buffer.bytes_mut()).unwrap();
        assert_eq!(data.len() as u64, (STEP_BYTES as u64).min(OBJECT_BYTES - offset), "at {offset}");
        assert_eq!(synthetic_difference(OBJECT_SEED, offset, data), None);
        offset += data.len() as u64;
    }
    let sent = settled(|| s3.stats().bytes_sent);
    let gets = s3.stats().get;
    assert!(sent >= OBJECT_BYTES && sent * 100 <= OBJECT_BYTES * 105, "{sent} bytes sent of {OBJECT_BYTES}");
    // the window grows: on average a request brings a MiB or more
    assert!(gets <= OBJECT_BYTES / MIB, "{gets} GETs for {OBJECT_BYTES} bytes");
}

#[test]
fn a_buffered_sequential_read_moves_each_byte_once_in_large_requests() {
    require!(missing_fuse());
    check(Access::Buffered);
}

#[test]
fn a_direct_sequential_read_moves_each_byte_once_in_large_requests() {
    require!(missing_fuse());
    check(Access::Direct);
}
