//! Data that does not fit: it is served all the same, and the cache stays within its size.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use forebay_tests::{
    Access, DirectBuffer, MIB, S3, Setup, missing_fuse, open, read_range, require, synthetic_difference,
};

const CACHE_BYTES: u64 = 256 * MIB;
const OBJECT_BYTES: u64 = 330 * MIB + 77;
const SEED: u64 = 61;
/// The metadata database beside the slabs.
const BESIDES_BYTES_MAX: u64 = 16 * MIB;

/// Bytes that the files of a directory take on the disk.
fn disk_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    entries.map(|meta| meta.blocks() * 512).sum()
}

#[test]
fn an_object_larger_than_the_cache_is_read_right_and_the_cache_keeps_its_size() {
    require!(missing_fuse());
    let s3 = S3::start();
    s3.put_synthetic("huge.bin", SEED, OBJECT_BYTES);
    let setup = Setup::new().cache_size("256MiB").s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    let file = open(&daemon.path("huge.bin"), Access::Direct).unwrap();
    let mut buffer = DirectBuffer::new(MIB as usize);
    for pass in 0..2 {
        for offset in (0..OBJECT_BYTES).step_by(MIB as usize) {
            let data = read_range(&file, offset, buffer.bytes_mut()).unwrap();
            assert_eq!(data.len() as u64, MIB.min(OBJECT_BYTES - offset));
            assert_eq!(synthetic_difference(SEED, offset, data), None, "pass {pass}, at {offset}");
            if offset % (32 * MIB) == 0 {
                let (slabs, all) =
                    (fs::metadata(setup.slab_file()).unwrap().len(), disk_bytes(&setup.cache_dir()));
                assert!(slabs <= CACHE_BYTES, "{slabs} bytes of slabs, pass {pass}, at {offset}");
                assert!(
                    all <= CACHE_BYTES + BESIDES_BYTES_MAX,
                    "{all} bytes in all, pass {pass}, at {offset}"
                );
            }
        }
    }
    assert!(daemon.figure("/cache/evicted_bytes") > 0, "nothing was evicted");
    assert!(daemon.figure("/cache/used_bytes") <= CACHE_BYTES);
}

#[test]
fn a_mount_without_a_cache_reads_right() {
    require!(missing_fuse());
    let s3 = S3::start();
    s3.put_synthetic("file.bin", SEED, 20 * MIB);
    let setup = Setup::new().no_cache().s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    for access in Access::ALL {
        let data = forebay_tests::read_whole(&daemon.path("file.bin"), access).unwrap();
        assert_eq!((data.len() as u64, synthetic_difference(SEED, 0, &data)), (20 * MIB, None));
    }
    assert!(daemon.status()["cache"].is_null());
}
