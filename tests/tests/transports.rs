//! The same promises on every transport of the kernel's requests.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use forebay_tests::{
    Access, DirectBuffer, MIB, S3, Setup, Tree, missing_fuse, open, read_range, read_whole, require,
    synthetic_bytes,
};

const SWITCH: &str = "/sys/module/fuse/parameters/enable_uring";
const LARGE_SEED: u64 = 29;
const LARGE_BYTES: u64 = 20 * MIB + 4711;

/// The transports of this kernel. FUSE over io_uring is switched on for mounts to come.
fn transports() -> Vec<&'static str> {
    if !Path::new(SWITCH).exists() {
        println!("SKIP: no FUSE over io_uring in this kernel (Linux 6.14)");
        return vec!["dev"];
    }
    fs::write(SWITCH, "Y").expect("root can switch it on");
    vec!["dev", "uring"]
}

fn on_every_transport(check: impl Fn(Setup, &str)) {
    for transport in transports() {
        println!("transport: {transport}");
        check(Setup::new().transport(transport), transport);
    }
}

/// Bytes from the store, from memory, and after a restart from the slabs: whole files and pieces of odd places.
#[test]
fn bytes_are_the_same_from_store_memory_and_slabs() {
    require!(missing_fuse());
    on_every_transport(|setup, transport| {
        let s3 = S3::start();
        let tree = Tree::odd(31);
        tree.each(|path, bytes| s3.put(path, bytes));
        s3.put_synthetic("more/big", LARGE_SEED, LARGE_BYTES);
        // in passthrough the kernel would read the large file without asking, and refuse odd pieces of direct I/O
        let setup = setup.cache_setting("passthrough", "off").s3(&s3).mount(&s3.url(""), "immutable");
        let daemon = setup.start();
        daemon.cli(&["warm", "--wait", daemon.mountpoint().to_str().unwrap()]).succeeded();
        for file in &tree.files {
            let found = read_whole(&daemon.path(&file.path), Access::Buffered).unwrap();
            assert!(found == file.bytes(), "from the store or memory: {}", file.path);
        }
        assert!(daemon.terminate().success());

        let daemon = setup.start();
        s3.reset_stats();
        for access in Access::ALL {
            for file in &tree.files {
                let found = read_whole(&daemon.path(&file.path), access).unwrap();
                assert!(found == file.bytes(), "{access:?} {}", file.path);
            }
            check_pieces(&open(&daemon.path("more/big"), access).unwrap());
        }
        assert_eq!(s3.stats().get, 0, "all of it comes from the slabs");
        assert!(daemon.figure("/mounts/0/reads/cache_hits") > 500);
        assert_eq!(daemon.figure("/cache/checksum_mismatches"), 0);
        assert_eq!(daemon.status()["mounts"][0]["transport"]["used"], transport);
    });
}

fn check_pieces(file: &File) {
    let mut buffer = DirectBuffer::new(1 << 20);
    for step in 0..60_u64 {
        let (start, length) =
            (step * 7_919 * 4_099 % LARGE_BYTES, [1, 100, 4096, 70_001, 1 << 20][step as usize % 5]);
        let end = (start + length).min(LARGE_BYTES);
        let found = read_range(file, start, &mut buffer.bytes_mut()[..length as usize]).unwrap();
        assert!(found == synthetic_bytes(LARGE_SEED, start..end), "{length} bytes at {start}");
    }
}

/// The daemon is killed while readers wait for it: they get an error, and the place can be mounted again at once.
#[test]
fn a_kill_under_load_is_a_clean_error_and_the_place_can_be_mounted_again() {
    require!(missing_fuse());
    on_every_transport(|setup, _| {
        let s3 = S3::start();
        s3.put_synthetic("big", LARGE_SEED, LARGE_BYTES);
        let setup = setup.s3(&s3).mount(&s3.url(""), "immutable");
        let daemon = setup.start();
        let path = daemon.path("big");
        let started = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| read_until_it_fails(&path, &started))).collect();
            while !started.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            daemon.kill();
            for reader in readers {
                let errno = reader.join().unwrap().raw_os_error();
                // ECANCELED: the request was on its way to a ring whose thread was just killed.
                let clean = [libc::ENOTCONN, libc::ECONNABORTED, libc::EIO, libc::ENODEV, libc::ECANCELED];
                assert!(errno.is_some_and(|errno| clean.contains(&errno)), "{errno:?}");
            }
        });
        let daemon = setup.start();
        assert!(
            read_whole(&daemon.path("big"), Access::Direct).unwrap()
                == synthetic_bytes(LARGE_SEED, 0..LARGE_BYTES)
        );
    });
}

fn read_until_it_fails(path: &Path, started: &AtomicBool) -> std::io::Error {
    loop {
        match read_whole(path, Access::Direct) {
            Ok(_) => started.store(true, Ordering::Release),
            Err(error) => return error,
        }
    }
}

#[test]
fn auto_takes_what_the_kernel_offers_and_tells() {
    require!(missing_fuse());
    let best = *transports().last().unwrap();
    let s3 = S3::start();
    s3.put("file", synthetic_bytes(1, 0..10));
    let setup = Setup::new().transport("auto").s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    let transport = &daemon.status()["mounts"][0]["transport"];
    assert_eq!((&transport["used"], &transport["wanted"]), (&best.into(), &"auto".into()), "{transport}");
    let text = daemon.cli(&["status"]).succeeded().stdout;
    assert!(text.contains(&format!("transport {best}")), "{text}");
}
