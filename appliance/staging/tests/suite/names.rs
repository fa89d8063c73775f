//! Names: what POSIX says of create, unlink, rename and their kin.

use staging::{
    AttributeChange, Kind, Lookup, NewKind, NewNode, NodeNumber, RenameMode, StageError, XattrMode,
};

use crate::support::{ROOT, Rig, attributes, base};

#[test]
fn a_name_is_taken_once() {
    let rig = Rig::new();
    rig.file(ROOT, "a", b"1");
    let new = NewNode { kind: NewKind::File, attributes: attributes() };
    assert!(matches!(rig.staging.create(ROOT, "a", new.clone(), None), Err(StageError::Exists)));
    for bad in ["", ".", "..", "a/b", "nul\0"] {
        assert!(
            matches!(rig.staging.create(ROOT, bad, new.clone(), None), Err(StageError::Invalid(_))),
            "{bad:?}"
        );
    }
    let long = "n".repeat(256);
    assert!(matches!(
        rig.staging.create(ROOT, &long, new.clone(), None),
        Err(StageError::NameTooLong { .. })
    ));
    assert!(matches!(
        rig.staging.create(rig.number(ROOT, "a"), "x", new, None),
        Err(StageError::NotADirectory)
    ));
}

#[test]
fn names_of_an_opaque_directory_are_absent_and_others_unknown() {
    let rig = Rig::new();
    let made = rig.directory("made");
    let shadow = NodeNumber(77);
    rig.staging
        .adopt_directory(ROOT, "shadow", shadow, base("shadow/", "", 0), attributes())
        .expect("it is adopted");
    assert_eq!(rig.staging.lookup(made, "x"), Lookup::Absent);
    assert_eq!(rig.staging.lookup(shadow, "x"), Lookup::Unknown);
    assert_eq!(rig.staging.lookup(ROOT, "x"), Lookup::Unknown);
}

#[test]
fn what_the_store_has_leaves_a_whiteout() {
    let rig = Rig::new();
    rig.staging
        .adopt_file(ROOT, "old", NodeNumber(9), base("old", "v1", 3), attributes())
        .expect("it is adopted");
    rig.staging.unlink(ROOT, "old", None).expect("it is there");
    rig.staging
        .unlink(ROOT, "never adopted", Some(base("never adopted", "v1", 3)))
        .expect("the store has it");
    rig.file(ROOT, "new", b"1");
    rig.staging.unlink(ROOT, "new", None).expect("it is there");
    assert_eq!(rig.staging.lookup(ROOT, "old"), Lookup::Whiteout);
    assert_eq!(rig.staging.lookup(ROOT, "never adopted"), Lookup::Whiteout);
    assert_eq!(rig.staging.lookup(ROOT, "new"), Lookup::Unknown);
    let rig = rig.kill();
    assert_eq!(rig.staging.lookup(ROOT, "old"), Lookup::Whiteout);
    assert!(matches!(rig.staging.unlink(ROOT, "old", None), Err(StageError::NotFound)));
}

#[test]
fn an_unlinked_file_lives_until_its_last_handle_and_reference() {
    let rig = Rig::new();
    let number = rig.file(ROOT, "f", b"alive");
    rig.staging.reference(number, 2);
    let file = rig.open(number);
    rig.staging.unlink(ROOT, "f", None).expect("it is there");
    assert_eq!(rig.read(number), b"alive");
    file.write_at(5, b"!").expect("it is open");
    file.sync().expect("it is open");
    rig.staging.forget(number, 2);
    assert_eq!(rig.read(number), b"alive!");
    drop(file);
    assert_eq!(rig.staging.node(number), None);
    rig.staging.sync_names().expect("it flushes");
    assert_eq!(rig.disk.contents(&backing(number)), None, "the backing file went with the flush");
}

fn backing(number: NodeNumber) -> std::path::PathBuf {
    format!("data/{:016x}", number.0).into()
}

#[test]
fn rename_replaces_files_and_empty_directories_alone() {
    let rig = Rig::new();
    let (one, two) = (rig.directory("one"), rig.directory("two"));
    let a = rig.file(one, "a", b"a");
    rig.file(ROOT, "b", b"b");
    let rename = |from, to| rig.staging.rename(from, to, RenameMode::Replace, None);
    rename((one, "a"), (ROOT, "b")).expect("a file replaces a file");
    assert_eq!(rig.number(ROOT, "b"), a);
    assert!(matches!(rename((ROOT, "b"), (ROOT, "one")), Err(StageError::IsADirectory)));
    assert!(matches!(rename((ROOT, "one"), (ROOT, "b")), Err(StageError::NotADirectory)));
    assert!(matches!(rename((ROOT, "one"), (one, "in itself")), Err(StageError::Loop)));
    rig.file(two, "x", b"x");
    assert!(matches!(rename((ROOT, "one"), (ROOT, "two")), Err(StageError::NotEmpty)));
    rename((ROOT, "two"), (ROOT, "one")).expect("a directory replaces an empty one");
    assert_eq!(rig.number(ROOT, "one"), two);
    assert_eq!(rig.read_name(two, "x"), b"x");
    assert_eq!(rig.staging.path(rig.number(two, "x")).as_deref(), Some("one/x"));
}

#[test]
fn rename_modes() {
    let rig = Rig::new();
    let (a, b) = (rig.file(ROOT, "a", b"a"), rig.file(ROOT, "b", b"b"));
    let rename = |from, to, mode| rig.staging.rename((ROOT, from), (ROOT, to), mode, None);
    assert!(matches!(rename("a", "b", RenameMode::NoReplace), Err(StageError::Exists)));
    assert!(matches!(rename("a", "c", RenameMode::Exchange), Err(StageError::NotFound)));
    rename("a", "b", RenameMode::Exchange).expect("both are there");
    assert_eq!((rig.number(ROOT, "a"), rig.number(ROOT, "b")), (b, a));
    rename("a", "c", RenameMode::NoReplace).expect("the name is free");
    let rig = rig.kill();
    assert_eq!((rig.number(ROOT, "c"), rig.number(ROOT, "b")), (b, a));
    assert_eq!(rig.staging.lookup(ROOT, "a"), Lookup::Unknown);
}

#[test]
fn a_directory_takes_its_adopted_files_along() {
    let rig = Rig::new();
    let directory = NodeNumber(50);
    rig.staging
        .adopt_directory(ROOT, "run", directory, base("run/", "", 0), attributes())
        .expect("it is adopted");
    rig.staging
        .adopt_file(directory, "f", NodeNumber(51), base("run/f", "v1", 4), attributes())
        .expect("it is adopted");
    rig.staging.unlink(directory, "gone", Some(base("run/gone", "v1", 4))).expect("the store has it");
    rig.staging.rename((ROOT, "run"), (ROOT, "final"), RenameMode::Replace, None).expect("it is there");
    let rig = rig.kill();
    assert_eq!(rig.staging.lookup(ROOT, "run"), Lookup::Whiteout);
    assert_eq!(
        rig.staging.lookup(directory, "gone"),
        Lookup::Absent,
        "the store has nothing at the new path"
    );
    assert_eq!(rig.read_name(directory, "f"), b"bbbb");
    let kind = rig.staging.node(directory).map(|node| node.kind);
    assert_eq!(kind, Some(Kind::Directory { opaque: true }));
}

#[test]
fn attributes_and_xattrs_survive() {
    let rig = Rig::new();
    let number = rig.file(ROOT, "f", b"1");
    let change = AttributeChange { mode: Some(0o600), uid: Some(1), ..AttributeChange::default() };
    rig.staging.set_attributes(number, change).expect("it is there");
    rig.staging.set_xattr(number, "user.a", b"1", XattrMode::Create).expect("it is new");
    rig.staging.set_xattr(number, "user.b", b"2", XattrMode::Set).expect("it is new");
    rig.staging.remove_xattr(number, "user.b").expect("it is there");
    assert!(matches!(
        rig.staging.set_xattr(number, "user.a", b"", XattrMode::Create),
        Err(StageError::XattrExists)
    ));
    assert!(matches!(
        rig.staging.set_xattr(number, "user.c", b"", XattrMode::Replace),
        Err(StageError::NoXattr)
    ));
    let large = vec![0; 64 * 1024];
    assert!(matches!(
        rig.staging.set_xattr(number, "user.d", &large, XattrMode::Set),
        Err(StageError::XattrTooLarge { .. })
    ));
    let rig = rig.kill();
    let node = rig.staging.node(number).expect("it survived");
    assert_eq!((node.attributes.mode, node.attributes.uid, node.attributes.gid), (0o600, 1, 8));
    assert_eq!(
        rig.staging.xattrs(number).expect("it survived").into_keys().collect::<Vec<_>>(),
        ["user.a".into()]
    );
}
