//! A random read moves about its own bytes, however large the object is.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs::File;

use forebay_tests::{
    Access, DirectBuffer, MIB, S3, Setup, missing_fuse, open, read_range, require, settled,
    synthetic_difference,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const OBJECT_BYTES: u64 = 10 << 30;
const OBJECT_SEED: u64 = 3;
const READS: u64 = 12;
/// The bound of the promise, for a read of 1 MiB.
const MOVED_BYTES_MAX: u64 = MIB + MIB / 4;

fn read_at_random(s3: &S3, file: &File, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut buffer = DirectBuffer::new(MIB as usize);
    for slice in 0..READS {
        // every read in a part of the object of its own, so that each is cold
        let offset = slice * (OBJECT_BYTES / READS) + rng.random_range(0..OBJECT_BYTES / READS - 4 * MIB);
        s3.reset_stats();
        let data = read_range(file, offset, buffer.bytes_mut()).unwrap();
        assert_eq!(
            (data.len() as u64, synthetic_difference(OBJECT_SEED, offset, data)),
            (MIB, None),
            "at {offset}"
        );
        let moved = settled(|| s3.stats().bytes_sent);
        assert!(moved >= MIB, "{moved} bytes moved for 1 MiB at {offset}: the read was not cold");
        assert!(moved <= MOVED_BYTES_MAX, "{moved} bytes moved for 1 MiB at {offset}, seed {seed}");
    }
}

fn check(access: Access, seed: u64) {
    let s3 = S3::start();
    s3.put_synthetic("huge.bin", OBJECT_SEED, OBJECT_BYTES);
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    let file = open(&daemon.path("huge.bin"), access).unwrap();
    read_at_random(&s3, &file, seed);
}

#[test]
fn direct_random_reads_of_a_cold_huge_object_move_little_more_than_they_return() {
    require!(missing_fuse());
    check(Access::Direct, 41);
}

#[test]
fn buffered_random_reads_of_a_cold_huge_object_move_little_more_than_they_return() {
    require!(missing_fuse());
    check(Access::Buffered, 42);
}
