//! A store that answers badly: refusals, resets, bodies that break or fall silent. The bytes stay right.

use std::time::Duration;

use forebay_tests::{Knobs, Operation, S3, Setup, Tree, missing_fuse, require};

/// Requests for the one file of the tree that is read in several.
const LARGE_FILE_GETS_MAX: u64 = 10;

fn check(name: &str, turn: impl Fn(&mut Knobs)) {
    for seed in [1, 2] {
        let s3 = S3::start();
        let tree = Tree::odd(seed);
        tree.each(|path, bytes| s3.put(path, bytes));
        let setup = Setup::new().s3(&s3).store("stall_timeout", "300ms").store("attempt_timeout", "2s");
        let setup =
            setup.store("backoff_min", "5ms").store("backoff_max", "50ms").mount(&s3.url(""), "ttl=30s");
        let setup = setup.lives_at_most(Duration::from_secs(180));
        let daemon = setup.start();
        s3.faults().reseed(seed);
        s3.faults().set(&turn);
        tree.assert_equals(daemon.mountpoint());
        let (stats, asked_once) = (s3.stats(), tree.files.len() as u64 + LARGE_FILE_GETS_MAX);
        // a body that its reader gave up for silent is no fault that the server sees the end of
        let drawn = stats.faults > 0 || stats.get > asked_once;
        assert!(drawn, "{name}, seed {seed}: no fault was drawn: {stats:?}");
        s3.faults().clear();
        tree.assert_equals(daemon.mountpoint());
    }
}

#[test]
fn refusals_and_resets_do_not_change_a_tree() {
    require!(missing_fuse());
    check("refusals", |knobs| {
        knobs.p_503 = 0.1;
        knobs.p_500 = 0.05;
        knobs.p_reset = 0.1;
    });
}

#[test]
fn bodies_that_break_do_not_change_a_tree() {
    require!(missing_fuse());
    check("cuts", |knobs| knobs.p_cut = 0.3);
}

#[test]
fn bodies_that_fall_silent_do_not_change_a_tree() {
    require!(missing_fuse());
    check("stalls", |knobs| {
        knobs.p_stall = 0.15;
        knobs.stall_ms = 20_000;
        knobs.only = Some(Operation::Get);
    });
}
