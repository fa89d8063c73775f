//! `put`, `copy`, `delete` and `rename`.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use ufs::{Attributes, CopySource, Error, Key, ListDepth, Meta, PutCondition, Version};

use crate::fixture::{Fixture, key, pattern};

pub(crate) async fn conditions_hold_or_nothing_is_written(fixture: &Fixture) {
    let put = async |data: &'static str, condition: PutCondition| {
        let data = Bytes::from_static(data.as_bytes());
        fixture.store.put(&key("dir/k"), data, &Attributes::default(), &condition).await
    };
    let first = put("first", PutCondition::IfAbsent).await.expect("absent");
    let error = put("again", PutCondition::IfAbsent).await.expect_err("present");
    assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
    let second = put("second", PutCondition::IfVersion(first.version.clone())).await.expect("same version");
    for stale in [first.version, Version::new("0123456789abcdef0123456789abcdef")] {
        let error = put("stale", PutCondition::IfVersion(stale)).await.expect_err("another version");
        assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
    }
    assert_eq!(fixture.read("dir/k", Some(&second.version), 0, 6).await.expect("second"), "second");
    assert_eq!(fixture.list_all("dir/", ListDepth::Children).await, ["dir/k"]);
}

pub(crate) async fn put_replaces_and_makes_parents(fixture: &Fixture) {
    fixture.put("p/q/r", pattern(1, 100_000)).await;
    let short = fixture.put("p/q/r", "short").await;
    assert_eq!(short.size_bytes, 5);
    assert_eq!(fixture.read("p/q/r", Some(&short.version), 0, 5).await.expect("short"), "short");
    assert_eq!(fixture.list_all("", ListDepth::Recursive).await, ["p/q/r"]);
}

pub(crate) async fn copy_gives_the_same_bytes(fixture: &Fixture) {
    let data = pattern(7, 300_000);
    fixture.put("from +%/ä", data.clone()).await;
    let from = source("from +%/ä", &fixture.store.stat(&key("from +%/ä")).await.expect("there"));
    let always = &PutCondition::Always;
    let copy = fixture.store.copy(&from, &key("to/b c"), None, always).await.expect("copied");
    assert_eq!(copy, fixture.store.stat(&key("to/b c")).await.expect("is there"));
    assert!(fixture.read("to/b c", Some(&copy.version), 0, 300_000).await.expect("copy") == data);
    let error =
        fixture.store.copy(&source("none", &copy), &key("x"), None, always).await.expect_err("absent");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

pub(crate) async fn delete_is_idempotent(fixture: &Fixture) {
    fixture.put("d/x", "x").await;
    for _ in 0..2 {
        fixture.store.delete(&key("d/x"), None).await.expect("gone after it");
    }
    fixture.store.delete(&key("never/was"), None).await.expect("nothing to do");
    let error = fixture.store.stat(&key("d/x")).await.expect_err("deleted");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

pub(crate) async fn rename_is_atomic_or_unsupported(fixture: &Fixture) {
    fixture.put("old", "content").await;
    fixture.put("new/name", "replaced").await;
    let renamed = fixture.store.rename(&key("old"), &key("new/name")).await;
    if !fixture.store.capabilities().atomic_rename {
        let error = renamed.expect_err("no rename here");
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        return;
    }
    renamed.expect("renamed");
    assert_eq!(fixture.read("new/name", None, 0, 7).await.expect("content"), "content");
    assert_eq!(fixture.list_all("", ListDepth::Recursive).await, ["new/name"]);
    let error = fixture.store.rename(&key("old"), &key("x")).await.expect_err("absent");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

fn source(name: &str, meta: &Meta) -> CopySource {
    CopySource { key: key(name), version: meta.version.clone() }
}

fn attributes(mode: u32) -> Attributes {
    let xattrs = [("user.note".into(), b"\0 \xff&=%"[..].into()), ("user.é".into(), b""[..].into())];
    Attributes {
        mode: Some(mode),
        uid: Some(1001),
        gid: Some(0),
        modified: Some(UNIX_EPOCH + Duration::new(1_234_567_890, 987_654_321)),
        is_symlink: false,
        xattrs: xattrs.into(),
        write_id: Some("host.7-1".into()),
    }
}

async fn described(fixture: &Fixture, name: &str) -> Attributes {
    fixture.store.describe(&key(name)).await.expect("described").1
}

pub(crate) async fn attributes_come_back(fixture: &Fixture) {
    let (store, whole, parts) = (&fixture.store, key("a/whole"), key("a/parts"));
    let wanted = attributes(0o640);
    let meta =
        store.put(&whole, Bytes::from_static(b"x"), &wanted, &PutCondition::Always).await.expect("put");
    assert_eq!(store.describe(&whole).await.expect("described"), (meta.clone(), wanted.clone()));
    let upload = store.multipart_create(&parts, &wanted).await.expect("begun");
    let part = store.multipart_put(&parts, &upload, ufs::PartNumber(1), Bytes::from_static(b"y")).await;
    let part = [part.expect("a part")];
    store.multipart_complete(&parts, &upload, &part, &PutCondition::Always).await.expect("completed");
    assert_eq!(described(fixture, "a/parts").await, wanted);
    // A copy has those of its source, or others; onto itself it changes nothing else.
    let from = source("a/whole", &meta);
    store.copy(&from, &key("a/copy"), None, &PutCondition::Always).await.expect("copied");
    assert_eq!(described(fixture, "a/copy").await, wanted);
    let other = attributes(0o600);
    let condition = PutCondition::IfVersion(meta.version);
    let changed = store.copy(&from, &whole, Some(&other), &condition).await.expect("changed");
    assert_eq!(store.describe(&whole).await.expect("described"), (changed, other));
    assert_eq!(fixture.read("a/whole", None, 0, 1).await.expect("x"), "x");
}

pub(crate) async fn too_many_attributes_are_refused_or_kept(fixture: &Fixture) {
    let mut long = attributes(0o644);
    long.xattrs.insert("user.long".into(), vec![b'x'; Attributes::LEN_BYTES_MAX].into());
    let put = fixture.store.put(&key("long"), Bytes::new(), &long, &PutCondition::Always).await;
    if fixture.is_s3() {
        let error = put.expect_err("over the limit").to_string();
        assert!(error.contains("2048"), "{error}");
    } else {
        put.expect("a file system has room");
        assert_eq!(described(fixture, "long").await, long);
    }
}

pub(crate) async fn symlinks_keep_their_target(fixture: &Fixture) {
    let link = Attributes { is_symlink: true, mode: None, ..attributes(0) };
    let target = Bytes::from_static(b"dir/target");
    let meta = fixture.store.put(&key("link"), target, &link, &PutCondition::IfAbsent).await.expect("put");
    assert_eq!(meta.size_bytes, 10);
    if fixture.is_s3() {
        assert!(described(fixture, "link").await.is_symlink);
        assert_eq!(fixture.read("link", None, 0, 10).await.expect("the target"), "dir/target");
    } else {
        fixture.put("dir/target", "behind").await;
        assert_eq!(fixture.read("link", None, 0, 6).await.expect("followed"), "behind");
    }
    fixture.store.delete(&key("link"), Some(&meta.version)).await.expect("deleted");
    assert!(!fixture.list_all("", ListDepth::Recursive).await.contains(&"link".to_owned()));
}

pub(crate) async fn copies_are_bound_to_versions(fixture: &Fixture) {
    let (old, there) = (fixture.put("from", "old").await, fixture.put("there", "x").await);
    let current = fixture.put("from", "current").await;
    let copy = async |from: &Meta, to: &Key, condition: PutCondition| {
        fixture.store.copy(&source("from", from), to, None, &condition).await
    };
    let error = copy(&old, &key("new"), PutCondition::Always).await.expect_err("replaced");
    assert!(matches!(error, Error::Changed { .. }), "{error:?}");
    for condition in [PutCondition::IfAbsent, PutCondition::IfVersion(current.version.clone())] {
        let error = copy(&current, &key("there"), condition).await.expect_err("another object is there");
        assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
    }
    assert_eq!(fixture.read("there", None, 0, 1).await.expect("untouched"), "x");
    copy(&current, &key("there"), PutCondition::IfVersion(there.version)).await.expect("copied");
    copy(&current, &key("new"), PutCondition::IfAbsent).await.expect("copied");
    assert_eq!(fixture.read("new", None, 0, 7).await.expect("current"), "current");
}

pub(crate) async fn a_delete_can_be_bound_to_a_version(fixture: &Fixture) {
    let (old, current) = (fixture.put("d", "old").await, fixture.put("d", "current").await);
    let error = fixture.store.delete(&key("d"), Some(&old.version)).await.expect_err("replaced");
    assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
    for _ in 0..2 {
        fixture.store.delete(&key("d"), Some(&current.version)).await.expect("gone after it");
    }
    assert!(fixture.list_all("", ListDepth::Recursive).await.is_empty());
}

pub(crate) async fn directories_are_made_and_removed(fixture: &Fixture) {
    let make = async || {
        let mode = Attributes { mode: Some(0o750), ..Attributes::default() };
        fixture.store.put(&key("a/empty/"), Bytes::new(), &mode, &PutCondition::Always).await
    };
    make().await.expect("made");
    make().await.expect("there already");
    assert_eq!(fixture.list_all("a/", ListDepth::Children).await, ["a/empty/"]);
    fixture.store.delete(&key("a/empty/"), None).await.expect("removed");
    fixture.store.delete(&key("a/empty/"), None).await.expect("nothing to do");
    assert!(fixture.list_all("a/", ListDepth::Children).await.is_empty());
}
