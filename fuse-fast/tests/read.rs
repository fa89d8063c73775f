//! Reading through a real mount.

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fuse_fast::negotiate::Capability;
use fuse_fast::{NodeId, OpenedFlags};
use support::memory_fs::{Content, MemoryFs};
use support::{LONG, memory, mounted, on_every_transport, pattern};

#[test]
fn bytes_and_attributes_arrive() {
    on_every_transport(|transport| {
        let fs = memory(LONG);
        let data = pattern(3_000_001);
        let directory = fs.add_directory(NodeId::ROOT, "images");
        fs.add_file(directory, "one.jpg", data.clone());
        fs.add_file(directory, "empty", Vec::new());
        fs.add(NodeId::ROOT, "link", Content::Symlink("images/one.jpg".into()));
        let mounted = mounted(transport, fs);

        assert!(fs::read(mounted.path("images/one.jpg")).expect("readable") == data);
        assert!(fs::read(mounted.path("link")).expect("the link leads there") == data);
        assert!(fs::read(mounted.path("images/empty")).expect("readable").is_empty());
        assert_eq!(fs::read_link(mounted.path("link")).expect("a link").to_str(), Some("images/one.jpg"));
        let metadata = fs::metadata(mounted.path("images/one.jpg")).expect("there");
        assert_eq!((metadata.len(), metadata.uid(), metadata.gid()), (3_000_001, 1234, 4321));
        assert_eq!((metadata.mode(), metadata.nlink(), metadata.blocks()), (0o100_644, 1, 5860));
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_700_000_000, 123_456_789));
        let missing = fs::metadata(mounted.path("missing")).expect_err("no such name");
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
        mounted.session.shutdown(Duration::from_secs(10)).expect("a clean end");
    });
}

#[test]
fn a_tree_lists_like_any_other() {
    on_every_transport(|transport| {
        let fs = memory(LONG);
        for index in 0..20 {
            let directory = fs.add_directory(NodeId::ROOT, &format!("class-{index:02}"));
            for file in 0..10 {
                fs.add_file(directory, &format!("{file}.bin"), pattern(file * 100));
            }
        }
        let mounted = mounted(transport, fs);
        let output = Command::new("ls").arg("-lRn").arg(mounted.directory.path()).output().expect("ls runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("ASCII names");
        assert_eq!(text.lines().filter(|line| line.starts_with("-rw-r--r--")).count(), 200);
        assert_eq!(text.lines().filter(|line| line.starts_with("drwxr-xr-x")).count(), 20);
        assert_eq!(text.lines().filter(|line| line.contains(" 900 ") && line.ends_with("9.bin")).count(), 20);
        let find = Command::new("find").arg(mounted.directory.path()).output().expect("find runs");
        assert_eq!(find.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1 + 20 + 200);
    });
}

#[test]
fn many_readers_see_the_same_bytes() {
    on_every_transport(|transport| {
        let fs = memory(LONG);
        let data = pattern(5_000_000);
        fs.add_file(NodeId::ROOT, "data", data.clone());
        let mounted = mounted(transport, fs);
        std::thread::scope(|scope| {
            for reader in 0..8_usize {
                let (mounted, data) = (&mounted, &data);
                scope.spawn(move || {
                    let file = File::open(mounted.path("data")).expect("opens");
                    for step in 0..50_usize {
                        let start = (reader * 611_953 + step * 98_317) % data.len();
                        let mut buffer = vec![0; 70_001];
                        let count = file.read_at(&mut buffer, start as u64).expect("readable");
                        assert!(buffer[..count] == data[start..start + count]);
                        assert_eq!(count, (data.len() - start).min(70_001));
                    }
                });
            }
        });
    });
}

/// One direct read of 1 MiB is one request: the large requests were agreed on.
#[test]
fn a_large_read_is_one_request() {
    on_every_transport(|transport| {
        let fs = MemoryFs::new(LONG, OpenedFlags::DIRECT_IO);
        let data = pattern(4 * 1024 * 1024);
        fs.add_file(NodeId::ROOT, "data", data.clone());
        let mounted = mounted(transport, fs);
        if mounted.session.info().read_bytes_max < 1024 * 1024 {
            println!("SKIP: fs.fuse.max_pages_limit is below 256");
            return;
        }
        let file = File::open(mounted.path("data")).expect("opens");
        // Aligned: a buffer that spans one page more than it has bytes for takes two requests.
        let mut memory = vec![0; 1024 * 1024 + 65_536];
        let start = memory.as_ptr().align_offset(65_536);
        let buffer = &mut memory[start..start + 1024 * 1024];
        assert_eq!(file.read_at(buffer, 4096).expect("readable"), buffer.len());
        assert!(*buffer == data[4096..4096 + buffer.len()]);
        assert_eq!(mounted.fs.reads.load(Ordering::Relaxed), 1);
        assert_eq!(mounted.session.stats().requests_of("Read"), 1);
    });
}

#[test]
fn sizes_and_extended_attributes_arrive() {
    on_every_transport(|transport| {
        let fs = memory(LONG);
        fs.add_file(NodeId::ROOT, "file", &b"x"[..]);
        let mounted = mounted(transport, fs);
        let sizes = nix::sys::statvfs::statvfs(mounted.directory.path()).expect("statvfs");
        assert_eq!((sizes.blocks(), sizes.blocks_free(), sizes.blocks_available()), (1000, 400, 300));
        assert_eq!((sizes.files(), sizes.files_free(), sizes.name_max()), (77, 7, 255));
        let output = Command::new("python3")
            .arg("-c")
            .arg("import os,sys\np=sys.argv[1]\nprint(os.listxattr(p), os.getxattr(p,'user.node'))")
            .arg(mounted.path("file"))
            .output();
        match output {
            Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "['user.node'] b'2'\n"),
            Err(_) => println!("SKIP: no python3 to read extended attributes with"),
        }
    });
}

#[test]
fn the_agreement_with_the_kernel_is_told() {
    on_every_transport(|transport| {
        let mounted = mounted(transport, memory(LONG));
        let info = mounted.session.info();
        assert!(info.protocol.major == 7 && info.protocol.minor >= 31, "{}", info.protocol);
        assert!(info.has(Capability::DoReaddirplus) && info.has(Capability::MaxPages));
        assert!(!info.has(Capability::WritebackCache));
        assert_eq!(info.capabilities.len(), Capability::ALL.len());
        assert!(info.capabilities.iter().all(|row| !row.reason().is_empty()));
        assert_eq!(mounted.fs.connected.load(Ordering::Relaxed), 1);
        assert_eq!(mounted.fs.workers.load(Ordering::Relaxed), 3);
    });
}
