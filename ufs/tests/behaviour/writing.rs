//! `put`, `copy`, `delete` and `rename`.

use bytes::Bytes;
use ufs::{Error, ListDepth, PutCondition, Version};

use crate::fixture::{Fixture, key, pattern};

pub(crate) async fn conditions_hold_or_nothing_is_written(fixture: &Fixture) {
    let put = async |data: &'static str, condition: PutCondition| {
        fixture.store.put(&key("dir/k"), Bytes::from_static(data.as_bytes()), &condition).await
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
    let copy = fixture.store.copy(&key("from +%/ä"), &key("to/b c")).await.expect("copied");
    assert_eq!(copy, fixture.store.stat(&key("to/b c")).await.expect("is there"));
    assert!(fixture.read("to/b c", Some(&copy.version), 0, 300_000).await.expect("copy") == data);
    let error = fixture.store.copy(&key("none"), &key("x")).await.expect_err("absent");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

pub(crate) async fn delete_is_idempotent(fixture: &Fixture) {
    fixture.put("d/x", "x").await;
    for _ in 0..2 {
        fixture.store.delete(&key("d/x")).await.expect("gone after it");
    }
    fixture.store.delete(&key("never/was")).await.expect("nothing to do");
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
