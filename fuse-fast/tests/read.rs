//! Reading through a real mount.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use fuse_fast::NodeId;
use support::memory_fs::Content;
use support::{LONG, cannot_mount, memory, mounted, pattern};

#[test]
fn bytes_and_attributes_arrive() {
    if cannot_mount() {
        return;
    }
    let fs = memory(LONG);
    let data = pattern(3_000_001);
    let directory = fs.add_directory(NodeId::ROOT, "images");
    fs.add_file(directory, "one.jpg", data.clone());
    fs.add_file(directory, "empty", Vec::new());
    fs.add(NodeId::ROOT, "link", Content::Symlink("images/one.jpg".into()));
    let mounted = mounted(fs);

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
}
