//! Notifications: does the kernel really forget, and know?

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;

use fuse_fast::notify::NotifyError;
use fuse_fast::session::Transport;
use fuse_fast::{NodeId, OpenedFlags};
use support::memory_fs::MemoryFs;
use support::{LONG, Mounted, mounted, on_every_transport};

/// One file "file" whose pages the kernel keeps over opens.
fn one_file(transport: Transport, data: &[u8]) -> (Mounted<MemoryFs>, NodeId) {
    let fs = MemoryFs::new(LONG, OpenedFlags::KEEP_CACHE);
    let node = fs.add_file(NodeId::ROOT, "file", data);
    (mounted(transport, fs), node)
}

#[test]
fn invalid_data_and_attributes_are_read_again() {
    on_every_transport(|transport| {
        let (mounted, node) = one_file(transport, b"old data");
        let path = mounted.path("file");
        assert_eq!(fs::read(&path).expect("readable"), b"old data");
        mounted.fs.replace(node, b"new data, longer");
        // Cached: the kernel does not ask.
        assert_eq!(fs::read(&path).expect("readable"), b"old data");
        assert_eq!(fs::metadata(&path).expect("there").mtime(), 1_700_000_000);
        mounted.session.notifier().inval_inode(node, 0, 0).expect("sent");
        assert_eq!(fs::metadata(&path).expect("there").mtime(), 1_700_000_001);
        assert_eq!(fs::read(&path).expect("readable"), b"new data, longer");
    });
}

#[test]
fn attributes_can_be_invalid_alone() {
    on_every_transport(|transport| {
        let (mounted, node) = one_file(transport, b"old data");
        let path = mounted.path("file");
        assert_eq!(fs::read(&path).expect("readable"), b"old data");
        mounted.fs.replace(node, b"new data");
        mounted.session.notifier().inval_attributes(node).expect("sent");
        assert_eq!(fs::metadata(&path).expect("there").mtime(), 1_700_000_001);
        // Explicit invalidation was agreed on: a new mtime does not drop the pages.
        assert_eq!(fs::read(&path).expect("readable"), b"old data");
    });
}

#[test]
fn names_are_looked_up_again() {
    on_every_transport(|transport| {
        let (mounted, _) = one_file(transport, b"data");
        let notifier = mounted.session.notifier();
        let (file, fresh) = (mounted.path("file"), mounted.path("fresh"));
        assert!(file.exists() && !fresh.exists());
        mounted.fs.add_file(NodeId::ROOT, "fresh", &b"x"[..]);
        mounted.fs.remove(NodeId::ROOT, "file");
        assert!(file.exists() && !fresh.exists(), "the kernel still knows the old names");
        notifier.inval_entry(NodeId::ROOT, OsStr::new("file")).expect("sent");
        notifier.expire_entry(NodeId::ROOT, OsStr::new("fresh")).expect("sent");
        assert!(!file.exists() && fresh.exists());
    });
}

#[test]
fn a_deleted_name_is_gone() {
    on_every_transport(|transport| {
        let (mounted, node) = one_file(transport, b"data");
        assert!(mounted.path("file").exists());
        mounted.fs.remove(NodeId::ROOT, "file");
        mounted.session.notifier().delete(NodeId::ROOT, node, OsStr::new("file")).expect("sent");
        assert!(!mounted.path("file").exists());
    });
}

#[test]
fn stored_data_is_read_without_asking() {
    on_every_transport(|transport| {
        let (mounted, node) = one_file(transport, &[b'a'; 4096]);
        // The kernel takes data for nodes that it knows.
        assert_eq!(fs::metadata(mounted.path("file")).expect("there").len(), 4096);
        mounted.session.notifier().store(node, 0, &[b'b'; 4096]).expect("sent");
        assert_eq!(fs::read(mounted.path("file")).expect("readable"), [b'b'; 4096]);
        assert_eq!(mounted.session.stats().requests_of("Read"), 0);
    });
}

#[test]
fn what_the_kernel_does_not_know_is_no_error() {
    on_every_transport(|transport| {
        let (mounted, _) = one_file(transport, b"data");
        let notifier = mounted.session.notifier();
        notifier.inval_inode(NodeId(9999), 0, 0).expect("nothing to forget");
        notifier.inval_entry(NodeId(9999), OsStr::new("none")).expect("nothing to forget");
        notifier.inval_entry(NodeId::ROOT, OsStr::new("none")).expect("nothing to forget");
        notifier.delete(NodeId::ROOT, NodeId(9999), OsStr::new("none")).expect("nothing to forget");
        notifier.store(NodeId(9999), 0, b"data").expect("nowhere to put it");
    });
}

#[test]
fn a_name_that_is_too_long_is_refused() {
    on_every_transport(|transport| {
        let (mounted, _) = one_file(transport, b"data");
        let long = "n".repeat(5000);
        let result = mounted.session.notifier().inval_entry(NodeId::ROOT, OsStr::new(&long));
        assert!(matches!(result, Err(NotifyError::Refused(_))), "{result:?}");
    });
}

#[test]
fn notifications_after_the_end_are_told() {
    on_every_transport(|transport| {
        let (mounted, node) = one_file(transport, b"data");
        let notifier = mounted.session.notifier();
        drop(mounted);
        assert!(matches!(notifier.inval_inode(node, 0, 0), Err(NotifyError::Ended)));
    });
}
