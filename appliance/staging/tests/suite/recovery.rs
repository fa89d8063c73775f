//! Opening: other people's directories, damage, left-overs.

use std::path::Path;

use staging::sim::SimDisk;
use staging::{OpenError, Options, Staging, left_over};

use crate::support::{ROOT, Rig};

#[test]
fn a_tree_survives_kills_power_cuts_and_compactions() {
    let mut rig = Rig::new();
    let run = rig.directory("run");
    for round in 0..6_u8 {
        let name = format!("f{round}");
        let number = rig.file(run, &name, &[round; 100]);
        rig.sync(number);
        if round % 2 == 0 {
            rig.staging.compact().expect("it is not poisoned");
        }
        rig = if round < 3 { rig.kill() } else { rig.cut_power() };
        assert_eq!(rig.recovery.removed_files, 0);
        for earlier in 0..=round {
            assert_eq!(rig.read_name(run, &format!("f{earlier}")), [earlier; 100]);
        }
    }
}

#[test]
fn a_torn_tail_is_cut_and_damage_is_refused() {
    let rig = Rig::new();
    let number = rig.file(ROOT, "f", b"1");
    rig.sync(number);
    let used = rig.staging.stats().journal_bytes as usize;
    let disk = rig.disk.after_kill();
    disk.damage(Path::new("journal"), used - 30);
    let torn = Rig::on(disk, b'a').expect("the last frame only says what was flushed");
    assert!(torn.recovery.torn_bytes > 0);
    assert_eq!(torn.read(number), b"1");

    for offset in [4096 + 30, used - 80] {
        let disk = rig.disk.after_kill();
        disk.damage(Path::new("journal"), offset);
        let refused = Rig::on(disk.clone(), b'a').err();
        assert!(
            matches!(&refused, Some(OpenError::Damaged { path, .. }) if path.ends_with("journal")),
            "{refused:?}"
        );
        assert!(
            disk.contents(Path::new(&format!("data/{:016x}", number.0))).is_some(),
            "nothing was touched"
        );
    }
    let disk = rig.disk.after_kill();
    disk.damage(Path::new("journal"), 50);
    assert!(matches!(Rig::on(disk, b'a').err(), Some(OpenError::Damaged { offset: 0, .. })));
}

#[test]
fn a_missing_backing_file_is_reported() {
    let rig = Rig::new();
    let number = rig.file(ROOT, "f", b"12345");
    rig.sync(number);
    let disk = rig.disk.after_kill();
    staging::Disk::remove(&disk, Path::new(&format!("data/{:016x}", number.0))).expect("it is there");
    let rig = Rig::on(disk, b'a').expect("the rest is fine");
    assert_eq!(rig.recovery.missing.len(), 1);
    assert_eq!((rig.recovery.missing[0].path.as_str(), rig.recovery.missing[0].dirty_bytes), ("f", 5));
    assert!(rig.staging.open_file(number, false).is_err());
}

#[test]
fn a_foreign_directory_is_refused() {
    let rig = Rig::new();
    let refused = Rig::with(rig.disk.after_kill(), b'a', |options| options.identity = "another".to_owned());
    assert!(matches!(refused.err(), Some(OpenError::Foreign { .. })));
    let disk = SimDisk::new();
    drop(Rig::on(disk.clone(), b'a').expect("it is empty"));
    assert!(Rig::on(disk, b'a').is_ok());
}

#[test]
fn a_real_directory_is_for_one_daemon_and_is_found_when_left_over() {
    let parent = tempfile::tempdir().expect("a place for tests");
    let open = |name: &str| Staging::open(Options::new(parent.path().join(name), format!("mount {name}")));
    let (staging, _) = open("one").expect("it is new");
    assert!(matches!(open("one").err(), Some(OpenError::InUse { .. })));
    let new = staging::NewNode { kind: staging::NewKind::File, attributes: crate::support::attributes() };
    let number = staging.create(ROOT, "f", new, None).expect("the name is free").number;
    let file = staging.open_file(number, true).expect("it is there");
    file.write_at(0, b"dirty").expect("it is open");
    file.sync().expect("it is open");
    drop((file, staging));
    drop(open("two").expect("it is new"));
    let configured = ["mount two".to_owned()];
    let found = left_over(parent.path(), &configured).expect("it can be listed");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].identity.as_str(), found[0].dirty_files, found[0].dirty_bytes), ("mount one", 1, 5));
    let (staging, recovery) = open("one").expect("nobody has it");
    assert_eq!((recovery.nodes, recovery.dirty_bytes), (1, 5));
    assert_eq!(staging.open_file(number, false).expect("it is there").size(), 5);
    assert!(left_over(&parent.path().join("absent"), &[]).expect("nothing is there").is_empty());
}
