//! Random operations against a model: what the store holds is always a part of what was inserted, with its bytes.

use std::collections::BTreeSet;

use proptest::prelude::*;
use slab_store::BlockIndex;
use slab_store::sim::SimDevice;

use crate::support::*;

#[derive(Clone, Debug)]
enum Action {
    Insert(u32),
    Read {
        object: u32,
        offset: u64,
        len: usize,
    },
    Remove(u32),
    Reopen,
    /// Objects that nobody reads, to press the others out.
    Press(u32),
}

fn action() -> impl Strategy<Value = Action> {
    let object = 0..40u32;
    prop_oneof![
        8 => object.clone().prop_map(Action::Insert),
        8 => (object.clone(), 0..700_000u64, 1..400_000usize)
            .prop_map(|(object, offset, len)| Action::Read { object, offset, len }),
        1 => object.prop_map(Action::Remove),
        1 => Just(Action::Reopen),
        1 => (1..30u32).prop_map(Action::Press),
    ]
}

fn run(sector_bytes: u32, actions: Vec<Action>) {
    let device = SimDevice::blank(CAPACITY).with_sector_bytes(sector_bytes);
    let all = objects(17, 40);
    // Every block ever inserted; blocks leave the store by eviction at any time.
    let mut model = BTreeSet::new();
    let (mut store, _) = open(&device);
    let mut reader = store.reader().unwrap();
    let mut pressed = 10_000;
    for action in actions {
        match action {
            Action::Insert(i) => {
                let object = all[i as usize];
                insert(&store, object).unwrap();
                model.extend((0..object.blocks()).map(|block| (i, block)));
                let last = object.blocks() - 1;
                assert!(store.contains(&object.key(), BlockIndex(last)));
            }
            Action::Read { object, offset, len } => {
                let object = all[object as usize];
                read(&mut reader, object, offset % object.size, len);
            }
            Action::Remove(i) => {
                let object = all[i as usize];
                store.remove_object(&object.key(), object.blocks());
                assert!((0..object.blocks()).all(|block| !store.contains(&object.key(), BlockIndex(block))));
            }
            Action::Reopen => {
                drop(reader);
                store.close();
                store = open(&device).0;
                reader = store.reader().unwrap();
            }
            Action::Press(count) => {
                for _ in 0..count {
                    pressed += 1;
                    insert(&store, Object { id: pressed, size: 100_000 }).unwrap();
                }
            }
        }
        check(&store, &all, &model);
    }
    read_all(&store, &mut reader, &all);
    let stats = store.stats();
    assert_eq!((stats.checksum_mismatches, stats.device_errors), (0, 0));
}

fn check(store: &slab_store::SlabStore, all: &[Object], model: &BTreeSet<(u32, u32)>) {
    for (i, object) in all.iter().enumerate() {
        for block in (0..object.blocks()).filter(|block| store.contains(&object.key(), BlockIndex(*block))) {
            assert!(model.contains(&(i as u32, block)), "{object:?} block {block} was never inserted");
        }
    }
    let stats = store.stats();
    assert!(stats.memory_bytes <= stats.memory_bytes_max && stats.used_bytes <= stats.capacity_bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_holds_a_part_of_what_was_inserted(
        large_sectors: bool,
        actions in prop::collection::vec(action(), 1..120),
    ) {
        run(if large_sectors { 4096 } else { 512 }, actions);
    }
}
