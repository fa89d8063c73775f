//! Data: extents, bases, holes, truncation, syncs.

use staging::sim::SimDisk;
use staging::{AllocateMode, Durability, NodeNumber, Segment, StageError};

use crate::support::{ROOT, Rig, attributes, base};

fn adopted(rig: &Rig, size_bytes: u64) -> NodeNumber {
    let number = NodeNumber(9);
    rig.staging
        .adopt_file(ROOT, "f", number, base("f", "v1", size_bytes), attributes())
        .expect("it is adopted");
    number
}

#[test]
fn an_append_to_a_base_needs_none_of_its_bytes() {
    let rig = Rig::new();
    let number = adopted(&rig, 6);
    rig.write(number, 6, b"new");
    assert_eq!(rig.read(number), b"bbbbbbnew");
    assert_eq!(rig.staging.stats().dirty_bytes, 3);
    let rig = rig.kill();
    assert_eq!(rig.read(number), b"bbbbbbnew");
}

#[test]
fn bytes_behind_a_truncation_never_come_back() {
    let rig = Rig::new();
    let number = adopted(&rig, 6);
    rig.staging.truncate(number, 2).expect("it is there");
    rig.staging.truncate(number, 5).expect("it is there");
    assert_eq!(rig.read(number), b"bb\0\0\0");
    let rig = rig.kill();
    assert_eq!(rig.read(number), b"bb\0\0\0");
    let new = rig.file(ROOT, "g", b"123456");
    rig.staging.truncate(new, 2).expect("it is there");
    rig.staging.truncate(new, 5).expect("it is there");
    assert_eq!(rig.read(new), b"12\0\0\0");
}

#[test]
fn fills_do_not_touch_what_was_written() {
    let rig = Rig::new();
    let number = adopted(&rig, 6);
    let file = rig.open(number);
    file.write_at(2, b"XX").expect("it is open");
    assert_eq!(file.gaps(), [0..2, 4..6]);
    file.fill(0, b"012345").expect("it is open");
    assert_eq!(file.gaps(), []);
    assert_eq!(file.segments(0..9), [Segment::Local(0..6)]);
    assert_eq!(rig.read(number), b"01XX45");
    let stats = rig.staging.stats();
    assert_eq!((stats.dirty_bytes, stats.kept_bytes), (2, 4));
}

#[test]
fn holes_are_found() {
    let rig = Rig::new();
    let number = rig.file(ROOT, "f", b"");
    let file = rig.open(number);
    file.write_at(100, b"x").expect("it is open");
    file.truncate(200).expect("it is open");
    assert_eq!((file.seek_data(0), file.seek_hole(100)), (Some(100), Some(101)));
    assert_eq!((file.seek_data(101), file.seek_hole(200)), (None, None));
    file.allocate(100, 1, AllocateMode::Punch).expect("it is open");
    file.allocate(300, 10, AllocateMode::Extend).expect("it is open");
    drop(file);
    assert_eq!(rig.read(number), vec![0; 310]);
}

#[test]
fn too_many_ranges_have_to_be_filled_first() {
    let rig = Rig::new();
    let size_bytes = 3 * staging::EXTENTS_MAX as u64;
    let number = adopted(&rig, size_bytes);
    let file = rig.open(number);
    for at in 0..staging::EXTENTS_MAX as u64 {
        file.write_at(at * 2, b"x").expect("there is room for the range");
    }
    assert!(matches!(file.write_at(size_bytes - 1, b"x"), Err(StageError::Fragmented { .. })));
    file.write_at(0, b"y").expect("the range is there already");
    for gap in file.gaps() {
        file.fill(gap.start, &vec![b'b'; (gap.end - gap.start) as usize]).expect("it is open");
    }
    file.mark_all_changed().expect("it is open");
    file.write_at(size_bytes - 1, b"x").expect("there is one range now");
}

#[test]
fn only_what_was_synced_survives_a_power_cut() {
    let rig = Rig::new();
    let synced = rig.file(ROOT, "synced", b"synced");
    assert_eq!(rig.staging.node(synced).map(|node| node.durability), Some(Durability::Accepted));
    rig.sync(synced);
    assert_eq!(rig.staging.node(synced).map(|node| node.durability), Some(Durability::Local));
    rig.write(synced, 6, b" and more");
    let other = rig.file(ROOT, "other", b"other");
    let killed = rig.disk.after_kill();
    let cut = rig.cut_power();
    assert!(cut.recovery.was_power_cut);
    assert_eq!(cut.read(synced), b"synced");
    assert_eq!(cut.staging.node(other), None);
    let killed = Rig::on(killed, b'a').expect("it opens");
    assert!(!killed.recovery.was_power_cut);
    assert_eq!(killed.read(synced), b"synced and more");
    assert_eq!(killed.read(other), b"other");
}

#[test]
fn a_full_disk_stops_one_writer_and_nothing_else() {
    let disk = SimDisk::new();
    let rig = Rig::on(disk.clone(), b'a').expect("it opens");
    let number = rig.file(ROOT, "f", b"kept");
    rig.sync(number);
    disk.set_room(Some(0));
    let file = rig.open(number);
    let full = file.write_at(4, &[1; 100]);
    assert!(
        matches!(&full, Err(StageError::Io { source, .. }) if source.raw_os_error() == Some(28)),
        "{full:?}"
    );
    file.sync().expect("the journal has its room");
    drop(file);
    rig.staging.unlink(ROOT, "f", None).expect("the journal has its room");
    assert_eq!(rig.staging.stats().poisoned, None);
}

#[test]
fn a_failed_flush_poisons() {
    let disk = SimDisk::new();
    let rig = Rig::on(disk.clone(), b'a').expect("it opens");
    let number = rig.file(ROOT, "f", b"1");
    disk.fail_sync_at(0);
    assert!(matches!(rig.open(number).sync(), Err(StageError::Io { .. })));
    assert!(matches!(rig.staging.open_file(number, true).err(), Some(StageError::Poisoned { .. })));
    assert!(matches!(rig.staging.unlink(ROOT, "f", None), Err(StageError::Poisoned { .. })));
    assert!(matches!(rig.staging.sync_names(), Ok(()) | Err(StageError::Poisoned { .. })));
    assert_eq!(rig.read(number), b"1", "reads go on");
    assert!(rig.staging.stats().poisoned.is_some_and(|cause| cause.contains("flush")));
}
