//! Budgets: kept copies, nodes, dirty bytes.

use staging::{Admission, Durability, Lookup, NewKind, NewNode, NodeNumber, RenameMode, Segment, StageError};

use crate::support::{QUIET, ROOT, Rig, attributes, base};

#[test]
fn kept_copies_give_way_oldest_first_and_dirty_data_never() {
    let rig = Rig::new();
    let old = rig.file(ROOT, "old", &[1; 100]);
    rig.wait(QUIET);
    rig.publish();
    let new = rig.file(ROOT, "new", &[2; 100]);
    rig.wait(QUIET);
    rig.publish();
    let dirty = rig.file(ROOT, "dirty", &[3; 100]);
    rig.sync(dirty);
    let held = rig.staging.open_file(new, false).expect("it is there");
    assert_eq!(rig.staging.evict_kept(1).expect("it is not poisoned"), 100);
    assert_eq!(rig.staging.evict_kept(1000).expect("it is not poisoned"), 0, "one is open, one is dirty");
    drop(held);
    assert_eq!(
        rig.staging.open_file(old, false).expect("it is there").segments(0..100),
        [Segment::Base(0..100)]
    );
    let rig = rig.cut_power();
    assert_eq!(rig.recovery.missing, []);
    assert_eq!(rig.staging.node(old).map(|node| node.durability), Some(Durability::Remote));
    assert_eq!(rig.read(dirty), [3; 100]);
    rig.write(old, 100, &[4]);
    let expected: Vec<u8> = [vec![b'b'; 100], vec![4]].concat();
    assert_eq!(rig.read(old), expected, "it grows again, over its base");
}

#[test]
fn clean_nodes_are_handed_back() {
    let rig = Rig::new();
    let run = rig.directory("run");
    let file = rig.file(run, "f", b"1");
    assert_eq!(releasable(&rig), []);
    rig.wait(QUIET);
    rig.publish();
    assert_eq!(releasable(&rig), [file], "the directory has a name in it");
    rig.staging.reference(file, 1);
    assert!(!rig.staging.release(file).expect("it is not poisoned"));
    rig.staging.forget(file, 1);
    assert!(rig.staging.release(file).expect("it is not poisoned"));
    assert!(rig.staging.release(run).expect("it is not poisoned"));
    let rig = rig.kill();
    assert_eq!(rig.staging.lookup(ROOT, "run"), Lookup::Unknown);
    assert_eq!((rig.recovery.nodes, rig.recovery.removed_files), (0, 1), "its copy is no use any more");
}

#[test]
fn what_only_this_host_knows_is_not_handed_back() {
    let rig = Rig::new();
    let link = NewNode { kind: NewKind::Symlink { target: "f".into() }, attributes: attributes() };
    let link = rig.staging.create(ROOT, "link", link, None).expect("a free name").number;
    let marked = rig.file(ROOT, "marked", b"1");
    rig.staging.set_xattr(marked, "user.a", b"b", staging::XattrMode::Set).expect("it is there");
    let plain = rig.file(ROOT, "plain", b"1");
    rig.wait(QUIET);
    rig.publish();
    assert_eq!(releasable(&rig), [plain]);
    assert_eq!(rig.staging.releasable(10, |_, _| false), []);
    for number in [link, marked] {
        assert!(!rig.staging.release(number).expect("it is not poisoned"));
    }
}

fn releasable(rig: &Rig) -> Vec<NodeNumber> {
    rig.staging.releasable(10, |_, _| true)
}

#[test]
fn limits_are_named_by_their_errors() {
    let rig = Rig::with(staging::sim::SimDisk::new(), b'a', |options| {
        (options.files_max, options.rename_max, options.dirty_limit_bytes) = (8, 3, 1000);
    })
    .expect("an empty disk opens");
    let run = rig.directory("run");
    for name in ["a", "b", "c"] {
        rig.file(run, name, b"1");
    }
    let renamed = rig.staging.rename((ROOT, "run"), (ROOT, "other"), RenameMode::Replace, None);
    assert!(matches!(renamed, Err(StageError::RenameMax { files: 4, limit: 3 })), "{renamed:?}");
    assert_eq!(rig.read_name(run, "a"), b"1", "nothing has changed");
    for name in ["d", "e", "f"] {
        rig.file(run, name, b"1");
    }
    let new = NewNode { kind: NewKind::File, attributes: attributes() };
    let full = rig.staging.create(run, "g", new, None);
    assert!(matches!(full, Err(StageError::FilesMax { limit: 8 })), "{full:?}");
    let adopted = rig.staging.adopt_file(run, "h", NodeNumber(9), base("run/h", "v", 1), attributes());
    assert!(matches!(adopted, Err(StageError::FilesMax { .. })));
    assert_eq!((rig.staging.admit(900), rig.staging.admit(995)), (Admission::Now, Admission::NoSpace));
}

/// `write, rename over, power cut`: the new content or the old one, not an empty file.
#[test]
fn a_file_that_replaces_another_is_synced_with_the_next_flush() {
    let rig = Rig::new();
    let old = rig.file(ROOT, "f", b"old");
    rig.sync(old);
    rig.file(ROOT, "f.tmp", b"new, never synced");
    rig.staging.rename((ROOT, "f.tmp"), (ROOT, "f"), RenameMode::Replace, None).expect("it is there");
    let before = Rig::on(rig.disk.after_power_cut(|| false), b'b').expect("it opens");
    assert_eq!(before.read_name(ROOT, "f"), b"old");
    rig.staging.sync_names().expect("it is not poisoned");
    let rig = rig.cut_power();
    assert_eq!(rig.read_name(ROOT, "f"), b"new, never synced");
}
