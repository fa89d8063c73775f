//! The rules of an inode: what the kernel takes and refuses, and that [`InodeModes`](fuse_fast::passthrough::InodeModes)
//! never breaks them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::mirror::Answer;
use super::{Map, rig};

/// Opens of one inode, the second while the first is open, and whether the kernel (6.9 to 6.18) takes the second, as
/// `fs/fuse/iomode.c` has it.
const PAIRS: &[(Answer, Answer, bool)] = &[
    (Answer::Cached, Answer::Cached, true),
    (Answer::Cached, Answer::Direct, true),
    (Answer::Cached, Answer::Passthrough, false),
    (Answer::Cached, Answer::DirectPassthrough, false),
    (Answer::Direct, Answer::Cached, true),
    (Answer::Direct, Answer::Passthrough, true),
    (Answer::Passthrough, Answer::Cached, false),
    (Answer::Passthrough, Answer::Direct, false),
    (Answer::Passthrough, Answer::Passthrough, true),
    (Answer::Passthrough, Answer::PassthroughAnew, false),
    (Answer::Passthrough, Answer::DirectPassthrough, true),
    (Answer::DirectPassthrough, Answer::Passthrough, true),
    (Answer::DirectPassthrough, Answer::Cached, false),
];

#[test]
fn the_kernel_takes_what_its_rules_say() {
    let Some(rig) = rig(Answer::Cached) else { return };
    let fs = &rig.mounted.fs;
    let mut released = 0;
    for (number, &(first, second, taken)) in PAIRS.iter().enumerate() {
        let name = format!("file{number}");
        rig.file(&name, b"data");
        *fs.answer.lock() = first;
        let held = File::open(rig.mounted.path(&name)).expect("the first open decides");
        *fs.answer.lock() = second;
        let result = File::open(rig.mounted.path(&name));
        match &result {
            Ok(_) => assert!(taken, "{first:?} then {second:?} is taken"),
            Err(error) => {
                assert!(!taken, "{first:?} then {second:?} is refused");
                assert_eq!(error.raw_os_error(), Some(libc::EIO), "{first:?} then {second:?}");
            }
        }
        drop((held, result));
        released += 2;
        fs.wait_released(released);
        // With the last release the inode has no mode any more: the second open is taken now.
        *fs.answer.lock() = second;
        assert_eq!(fs::read(rig.mounted.path(&name)).expect("a fresh start"), b"data");
        released += 1;
        fs.wait_released(released);
    }
}

/// A mapping of an open for direct I/O is cached I/O to the kernel: why direct opens keep passthrough away.
#[test]
fn a_mapped_direct_open_does_not_go_with_passthrough() {
    let Some(rig) = rig(Answer::Direct) else { return };
    rig.file("file", b"data");
    let direct = File::open(rig.mounted.path("file")).expect("opens");
    let map = Map::new(&direct, 4, libc::PROT_READ);
    *rig.mounted.fs.answer.lock() = Answer::Passthrough;
    let refused = File::open(rig.mounted.path("file")).expect_err("ETXTBSY inside");
    assert_eq!(refused.raw_os_error(), Some(libc::EIO));
    drop((map, direct));
}

/// With direct I/O beside passthrough reads come to the file system, mappings go to the backing file.
#[test]
fn direct_passthrough_splits_reads_from_mappings() {
    let Some(rig) = rig(Answer::DirectPassthrough) else { return };
    rig.file("file", b"data");
    let file = File::open(rig.mounted.path("file")).expect("opens");
    assert_eq!(Map::new(&file, 4, libc::PROT_READ).bytes(), b"data");
    assert_eq!(rig.count(|counts| &counts.reads), 0);
    let mut read = [0; 4];
    file.read_exact_at(&mut read, 0).expect("reads");
    assert_eq!((&read, rig.count(|counts| &counts.reads)), (b"data", 1));
}

/// Opened through the page cache before there was a file to back it, an inode stays there until its last close.
#[test]
fn a_cached_inode_turns_to_passthrough_at_its_last_close() {
    let Some(rig) = rig(Answer::ByTheRulesUnbacked) else { return };
    let fs = &rig.mounted.fs;
    rig.file("file", b"data");
    let path = rig.mounted.path("file");
    let cached = File::open(&path).expect("opens");
    *fs.answer.lock() = Answer::ByTheRules;
    drop(fs::read(&path).expect("joins the cached one"));
    assert_eq!(rig.count(|counts| &counts.reads), 1);
    drop(cached);
    fs.wait_released(2);
    let passed = File::open(&path).expect("opens");
    assert_eq!(fs::read(&path).expect("reads"), b"data");
    assert_eq!(rig.count(|counts| &counts.reads), 1, "served by the backing file");
    // And back: while it is open the file that backs it stays, whatever the file system has meanwhile.
    *fs.answer.lock() = Answer::ByTheRulesUnbacked;
    assert_eq!(fs::read(&path).expect("reads"), b"data");
    assert_eq!(rig.count(|counts| &counts.reads), 1);
    drop(passed);
    fs.wait_released(5);
    assert_eq!(fs::read(&path).expect("reads"), b"data");
    assert_eq!(rig.count(|counts| &counts.reads), 2, "no file backs it any more");
}

/// Random opens and closes of a few inodes, answered by the rules, are all taken.
#[test]
fn opens_by_the_rules_are_never_refused() {
    let Some(rig) = rig(Answer::ByTheRules) else { return };
    let fs = &rig.mounted.fs;
    let answers = [Answer::ByTheRules, Answer::ByTheRulesUnbacked, Answer::ByTheRulesDirect];
    (0..3).for_each(|number| rig.file(&format!("file{number}"), b"data"));
    let mut open: Vec<File> = Vec::new();
    let choices = super::support::pattern(3000);
    for (step, choice) in choices.chunks_exact(3).enumerate() {
        if open.len() > 8 || (!open.is_empty() && choice[0] % 2 == 0) {
            drop(open.swap_remove(usize::from(choice[1]) % open.len()));
            continue;
        }
        *fs.answer.lock() = answers[usize::from(choice[1]) % answers.len()];
        let path = rig.mounted.path(&format!("file{}", choice[2] % 3));
        let file = File::open(path).unwrap_or_else(|error| panic!("step {step}: {error}"));
        let mut read = [0; 4];
        file.read_exact_at(&mut read, 0).expect("reads");
        assert_eq!(&read, b"data");
        open.push(file);
    }
}
