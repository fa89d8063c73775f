//! Reading through a real mount.

mod support;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use fuse_fast::negotiate::Capability;
use fuse_fast::{NodeId, OpenedFlags};
use support::memory_fs::MemoryFs;
use support::{LONG, memory, mounted, on_every_transport, pattern};

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
