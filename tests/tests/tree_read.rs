//! A mounted tree is the stored tree: names, sizes, bytes, by every way of reading.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use forebay_tests::{
    Access, DirectBuffer, FileMap, MIB, S3, Setup, SharedStore, Tree, missing_fuse, open, read_range,
    read_whole, require, run, synthetic_bytes, synthetic_difference,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const LARGE_BYTES: u64 = 24 * MIB + 777;
const LARGE_SEED: u64 = 5;

fn large_file() -> (S3, Setup) {
    let s3 = S3::start();
    s3.put_synthetic("large.bin", LARGE_SEED, LARGE_BYTES);
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    (s3, setup)
}

#[test]
fn whole_trees_are_equal_on_every_kind_of_store() {
    require!(missing_fuse());
    let tree = Tree::odd(1);
    for mut store in SharedStore::kinds() {
        println!("store: {}", store.kind());
        store.put_tree(&tree);
        let setup = store.setup("ttl=30s");
        let daemon = setup.start();
        tree.assert_equals(daemon.mountpoint());
        // again, from the cache
        tree.assert_equals(daemon.mountpoint());
    }
}

#[test]
fn listings_and_attributes_are_those_of_the_store() {
    require!(missing_fuse());
    let tree = Tree::odd(2);
    for mut store in SharedStore::kinds() {
        store.put_tree(&tree);
        let setup = store.setup("immutable");
        let daemon = setup.start();
        let limit = Duration::from_secs(30);
        let sizes = run(
            Command::new("find").arg(daemon.mountpoint()).args(["-type", "f", "-printf", "%s %P\\0"]),
            limit,
        );
        let mut found: Vec<String> =
            sizes.succeeded().stdout.split_terminator('\0').map(str::to_owned).collect();
        let mut expected: Vec<String> =
            tree.files.iter().map(|file| format!("{} {}", file.size_bytes, file.path)).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", store.kind());
        let long_listing = run(Command::new("ls").arg("-lR").arg(daemon.mountpoint()), limit).succeeded();
        assert_eq!(long_listing.stderr, "");
        for file in tree.files.iter().step_by(17) {
            let meta = fs::metadata(daemon.path(&file.path)).unwrap();
            assert_eq!((meta.len(), meta.is_file()), (file.size_bytes, true), "{}", file.path);
        }
        assert!(fs::metadata(daemon.path("deep/a/b")).unwrap().is_dir());
        let absent = fs::metadata(daemon.path("frames/none")).unwrap_err();
        assert_eq!(absent.raw_os_error(), Some(libc::ENOENT));
    }
}

#[test]
fn a_mount_refuses_writes() {
    require!(missing_fuse());
    let (_s3, setup) = large_file();
    let daemon = setup.start();
    let refused = fs::write(daemon.path("new"), b"x").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
    let refused = fs::remove_file(daemon.path("large.bin")).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
}

#[test]
fn random_reads_match_a_model() {
    require!(missing_fuse());
    let (_s3, setup) = large_file();
    let daemon = setup.start();
    for (access, seed) in Access::ALL.into_iter().zip([11, 12]) {
        let mut rng = StdRng::seed_from_u64(seed);
        let file = open(&daemon.path("large.bin"), access).unwrap();
        for _ in 0..300 {
            // ends behind the file too
            let offset = rng.random_range(0..LARGE_BYTES + MIB);
            let len = rng.random_range(1..=300_000);
            let mut buffer = DirectBuffer::new(len);
            let data = read_range(&file, offset, buffer.bytes_mut()).unwrap();
            let end = LARGE_BYTES.min(offset + len as u64);
            assert_eq!(
                data.len() as u64,
                end.saturating_sub(offset),
                "{access:?} seed {seed}: {offset}+{len}"
            );
            assert_eq!(
                synthetic_difference(LARGE_SEED, offset, data),
                None,
                "{access:?} seed {seed}: {offset}+{len}"
            );
        }
    }
}

#[test]
fn mapped_files_hold_the_stored_bytes() {
    require!(missing_fuse());
    let (_s3, setup) = large_file();
    let daemon = setup.start();
    let map = FileMap::new(&open(&daemon.path("large.bin"), Access::Buffered).unwrap()).unwrap();
    let mut rng = StdRng::seed_from_u64(21);
    for _ in 0..100 {
        let offset = rng.random_range(0..LARGE_BYTES);
        let end = LARGE_BYTES.min(offset + 10_000);
        let data = &map[usize::try_from(offset).unwrap()..usize::try_from(end).unwrap()];
        assert_eq!(synthetic_difference(LARGE_SEED, offset, data), None, "at {offset}");
    }
    assert_eq!(synthetic_difference(LARGE_SEED, 0, &map), None);
}

#[test]
fn concurrent_readers_of_one_file_and_of_many_all_get_the_right_bytes() {
    require!(missing_fuse());
    let s3 = S3::start();
    let tree = Tree::flat(31, 60, 200_000);
    tree.each(|path, bytes| s3.put(path, bytes));
    s3.put_synthetic("large.bin", LARGE_SEED, LARGE_BYTES);
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "ttl=30s");
    let daemon = setup.start();
    thread::scope(|scope| {
        for reader in 0..6 {
            let (daemon, tree) = (&daemon, &tree);
            scope.spawn(move || {
                let access = Access::ALL[reader % 2];
                let whole = read_whole(&daemon.path("large.bin"), access).unwrap();
                assert!(whole == synthetic_bytes(LARGE_SEED, 0..LARGE_BYTES));
                for at in 0..tree.files.len() {
                    let file = &tree.files[(at * 7 + reader * 10) % tree.files.len()];
                    let data = read_whole(&daemon.path(&file.path), access).unwrap();
                    assert!(data == file.bytes(), "{}", file.path);
                }
            });
        }
    });
}
