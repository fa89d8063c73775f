//! Power cuts: after each write and each flush of a workload, with unflushed sectors lost, kept or torn.

use slab_store::Planted;
use slab_store::sim::{Cut, SimDevice};

use crate::support::*;

/// What a round of cuts showed.
#[derive(Debug, Default)]
struct Findings {
    cuts: usize,
    /// Blocks that were in the index after a restart, and whose bytes were not theirs.
    unverified: u64,
    blocks_recovered: usize,
}

/// Fills the cache twice over, reading some, and gives back the device and what was inserted.
fn workload(planted: Option<Planted>) -> (SimDevice, Vec<Object>) {
    let device = SimDevice::blank(CAPACITY);
    let all = objects(7, 110);
    let (store, _) = open_with(&device, planted);
    let mut reader = store.reader().unwrap();
    for (i, object) in all.iter().enumerate() {
        insert(&store, *object).unwrap();
        read(&mut reader, all[i / 4 * 2], 0, 100_000);
    }
    store.close();
    (device, all)
}

fn cut_everywhere(planted: Option<Planted>) -> Findings {
    let (device, all) = workload(planted);
    let mut findings = Findings::default();
    for events in 0..=device.events() {
        for cut in [Cut::LoseAll, Cut::KeepAll, Cut::Tear(events as u64)] {
            restart(SimDevice::from_image(device.image_after_cut(events, cut)), &all, &mut findings);
        }
    }
    findings
}

/// Opens what a cut left, and reads all that it says it has.
fn restart(device: SimDevice, all: &[Object], findings: &mut Findings) {
    let (store, recovery) = open(&device);
    let mut reader = store.reader().unwrap();
    let hits = read_all(&store, &mut reader, all);
    findings.cuts += 1;
    findings.blocks_recovered += hits;
    findings.unverified += store.stats().checksum_mismatches;
    // What verifies is there, unless the store evicts on its own right after it opened.
    let gone = store.stats().checksum_mismatches + store.stats().evicted_blocks;
    assert!(hits as u64 + gone >= recovery.blocks, "{recovery:?}, {hits} hits, {:?}", store.stats());
}

#[test]
fn every_cut_leaves_a_cache_that_serves_all_it_claims() {
    let findings = cut_everywhere(None);
    println!("{findings:?}");
    assert_eq!(findings.unverified, 0, "{findings:?}");
    assert!(findings.cuts > 150 && findings.blocks_recovered > 5_000, "{findings:?}");
}

#[test]
fn a_slab_used_again_under_its_old_footer_is_found() {
    assert!(cut_everywhere(Some(Planted::SkipInvalidation)).unverified > 0);
}

#[test]
fn a_footer_before_its_data_is_found() {
    assert!(cut_everywhere(Some(Planted::SkipDataFlush)).unverified > 0);
}

/// A cut loses the open slabs and no sealed one.
#[test]
fn sealed_blocks_survive() {
    let device = SimDevice::blank(CAPACITY);
    let (store, _) = open(&device);
    let all: Vec<Object> = (0..40).map(|id| Object { id, size: 100_000 }).collect();
    all.iter().for_each(|object| insert(&store, *object).unwrap());
    // Sealing runs on its own; what it has done is on the device, whatever the number.
    let sealed = store.stats().sealed_slabs as usize;
    let image = device.image_after_cut(device.events(), Cut::LoseAll);
    let (store, recovery) = open(&SimDevice::from_image(image));
    assert!(recovery.slabs as usize >= sealed, "{recovery:?}");
    let mut reader = store.reader().unwrap();
    let hits = read_all(&store, &mut reader, &all);
    assert!(hits >= sealed * 9, "{hits} blocks of {sealed} slabs");
}

/// A restart may itself be cut: the second one finds the same.
#[test]
fn restarts_can_be_repeated() {
    let (device, all) = workload(None);
    let image = device.image_after_cut(device.events() / 2, Cut::Tear(5));
    let again = SimDevice::from_image(image);
    let (store, first) = open(&again);
    let before = read_all(&store, &mut store.reader().unwrap(), &all);
    let image = again.image_after_cut(again.events(), Cut::Tear(6));
    let (store, second) = open(&SimDevice::from_image(image));
    assert_eq!(read_all(&store, &mut store.reader().unwrap(), &all), before);
    assert_eq!((first.blocks, first.bytes), (second.blocks, second.bytes));
}
