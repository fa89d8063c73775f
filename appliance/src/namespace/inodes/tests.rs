use std::time::SystemTime;

use proptest::prelude::*;
use ufs::Meta;

use super::*;
use crate::namespace::entry::Timestamp;

const ROOT: Number = Number(1);

fn file(name: &str, number: u64) -> Entry {
    let version = Version::new(format!("{number:032x}"));
    Entry::file(name, Number(number), &Meta { size_bytes: number, modified: SystemTime::UNIX_EPOCH, version })
}

fn directory(name: &str, number: u64) -> Entry {
    Entry::directory(name, Number(number), Timestamp(5))
}

#[test]
fn a_node_lives_as_long_as_it_is_referenced() {
    let inodes = Inodes::new(ROOT);
    for _ in 0..3 {
        inodes.take(ROOT, &file("f", 2), None).expect("the root is always there");
    }
    inodes.forget(Number(2), 2);
    assert_eq!(inodes.version(Number(2)), Some(Version::new(format!("{:032x}", 2))));
    assert_eq!(inodes.attributes(Number(2)).map(|node| node.size_bytes), Some(2));
    inodes.forget(Number(2), 1);
    assert_eq!((inodes.contains(Number(2)), inodes.count()), (false, 0));
    assert_eq!(inodes.memory_bytes(), index_bytes(&inodes));
}

fn index_bytes(inodes: &Inodes) -> usize {
    inodes.shards.iter().map(|shard| shard.lock().index.num_buckets() * 5).sum()
}

#[test]
fn directories_stay_for_their_children() {
    let inodes = Inodes::new(ROOT);
    inodes.take(ROOT, &directory("a", 2), Some(PlaceIndex(7))).expect("the root is there");
    inodes.take(Number(2), &directory("b", 3), None).expect("a is there");
    inodes.take(Number(3), &file("c", 4), None).expect("b is there");
    inodes.forget(Number(2), 1);
    inodes.forget(Number(3), 1);
    let names = inodes.names(Number(4)).expect("c is there");
    assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(inodes.directory_place(Number(2)), Some(Some(PlaceIndex(7))));
    assert_eq!(inodes.directory_place(Number(3)), Some(None));
    assert_eq!(inodes.directory_place(Number(4)), None);
    inodes.forget(Number(4), 1);
    assert_eq!(inodes.count(), 0);
}

#[test]
fn a_child_of_nothing_is_refused() {
    let inodes = Inodes::new(ROOT);
    assert_eq!(inodes.take(Number(9), &file("f", 2), None), Err(ParentUnknown));
    assert_eq!(inodes.count(), 0);
}

#[test]
fn many_threads_leave_nothing_behind() {
    let inodes = Inodes::new(ROOT);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..2000u64 {
                    let (parent, child) = (2 + round % 3, 100 + round % 7);
                    inodes.take(ROOT, &directory("d", parent), None).expect("the root is there");
                    // The child's parent is the one that it was put in with; any of them is held by this thread.
                    let taken = inodes.take(Number(parent), &file("f", child * 10 + parent), None);
                    taken.expect("the parent is held");
                    inodes.forget(Number(parent), 1);
                    inodes.forget(Number(child * 10 + parent), 1);
                }
            });
        }
    });
    assert_eq!(inodes.count(), 0);
}

#[test]
fn a_known_file_takes_at_most_150_bytes() {
    let inodes = Inodes::new(ROOT);
    let count = 100_000;
    for number in 0..count {
        let entry = file(&format!("ILSVRC2012_val_{number:08}.JPEG"), number + 2);
        inodes.take(ROOT, &entry, None).expect("the root is there");
    }
    let each = inodes.memory_bytes() as f64 / count as f64;
    assert!(each <= 150.0, "{each} bytes");
}

proptest! {
    #[test]
    fn counts_follow_a_model(steps in prop::collection::vec((0..2u8, 2..12u64), 1..200)) {
        let inodes = Inodes::new(ROOT);
        let mut model = std::collections::BTreeMap::<u64, u64>::new();
        for (step, number) in steps {
            if step == 0 {
                inodes.take(ROOT, &file("f", number), None).expect("the root is there");
                *model.entry(number).or_default() += 1;
            } else if let Some(count) = model.remove(&number) {
                inodes.forget(Number(number), count);
            }
        }
        prop_assert_eq!(inodes.count(), model.len());
        for number in 2..12 {
            prop_assert_eq!(inodes.contains(Number(number)), model.contains_key(&number));
        }
    }
}
