//! What a lookup asks of a store.

use std::sync::atomic::Ordering;
use std::time::Duration;

use forebay::config::Consistency;
use forebay::namespace::{Cached, Ino, NamespaceError, Node, VALID_FOREVER};

use super::memory_store::MemoryStore;
use super::mount::{Mount, eventually};

#[tokio::test]
async fn equal_lookups_at_the_same_time_share_one_question() {
    let store = MemoryStore::new(1000, &["a"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    store.close_gate();
    let lookups = (0..20).map(|_| {
        let names = mount.names.clone();
        tokio::spawn(async move { names.lookup(Ino::ROOT, "a").await })
    });
    let lookups: Vec<_> = lookups.collect();
    eventually("the question", || store.begun.load(Ordering::SeqCst) == 2).await;
    store.open_gate();
    let mut numbers = Vec::new();
    for lookup in lookups {
        let found = lookup.await.expect("no panic").expect("the store answers").expect("it is there");
        assert_eq!(found.valid_for, VALID_FOREVER);
        numbers.push(found.node.ino());
    }
    numbers.dedup();
    assert_eq!(numbers.len(), 1);
    // One stat, and one page of `a/` in case that is a directory.
    assert_eq!((store.stats.load(Ordering::SeqCst), store.lists.load(Ordering::SeqCst)), (1, 1));
    mount.names.forget(numbers[0], 20);
    assert_eq!(mount.names.stats().known_inodes, 0);
}

#[tokio::test]
async fn a_directory_is_imported_after_a_few_lookups() {
    let keys: Vec<_> = (0..50).map(|i| format!("f{i:02}")).collect();
    let store = MemoryStore::new(10, &keys.iter().map(String::as_str).collect::<Vec<_>>());
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    for key in &keys[..4] {
        mount.ino(key).await;
    }
    eventually("the import", || mount.is_known(Ino::ROOT, "f49")).await;
    let calls = store.calls();
    for key in &keys {
        mount.ino(key).await;
    }
    assert_eq!(mount.names.lookup(Ino::ROOT, "absent").await.expect("known"), None);
    assert_eq!(store.calls(), calls, "all is known");
}

#[tokio::test]
async fn an_import_keeps_the_numbers_of_earlier_lookups() {
    let store = MemoryStore::new(2, &["d/x", "f"]);
    let mount = Mount::new(store, Consistency::Immutable).await;
    let before = (mount.ino("d").await, mount.ino("d/x").await, mount.ino("f").await);
    mount.refresh("", true).await;
    assert_eq!((mount.ino("d").await, mount.ino("d/x").await, mount.ino("f").await), before);
    assert_eq!(mount.told(), [""; 0]);
}

#[tokio::test]
async fn a_first_lookup_does_not_wait_for_a_large_listing() {
    let keys: Vec<_> = (0..500).map(|i| format!("f{i:03}")).collect();
    let store = MemoryStore::new(1, &keys.iter().map(String::as_str).collect::<Vec<_>>());
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    mount.ino("f499").await;
    assert!(store.calls() <= 2, "{} calls", store.calls());
}

#[tokio::test]
async fn errors_are_not_remembered() {
    let store = MemoryStore::new(1000, &["a", "d/x"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    store.is_down.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let error = mount.names.lookup(Ino::ROOT, "a").await.expect_err("the store is down");
        assert!(matches!(error, NamespaceError::Store(_)), "{error}");
        assert!(mount.names.open_dir(Ino::ROOT).await.is_err());
    }
    store.is_down.store(false, Ordering::SeqCst);
    mount.ino("a").await;
    assert_eq!(mount.list("").await, ["a", "d/"]);
    store.is_down.store(true, Ordering::SeqCst);
    assert_eq!(mount.list("").await, ["a", "d/"], "what is known needs no store");
}

#[tokio::test]
async fn absence_is_remembered_without_a_listing() {
    let store = MemoryStore::new(1000, &["a"]);
    let mount = Mount::new(store.clone(), Consistency::Ttl(Duration::from_secs(10))).await;
    assert_eq!(mount.names.lookup(Ino::ROOT, "no").await.expect("the store answers"), None);
    assert_eq!(mount.names.lookup_cached(Ino::ROOT, "no"), Cached::Absent);
    mount.clock.advance(Duration::from_secs(11));
    store.put("no", "v1");
    mount.ino("no").await;
}

#[tokio::test]
async fn a_small_directory_is_listed_by_the_lookup_that_finds_it() {
    let store = MemoryStore::new(1000, &["d/x", "d/y"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    let directory = mount.ino("d").await;
    let calls = store.calls();
    assert_eq!(mount.list("d").await, ["x", "y"]);
    assert!(mount.is_known(directory, "x"));
    assert_eq!(store.calls(), calls);
}

#[tokio::test]
async fn resolving_takes_no_reference() {
    let store = MemoryStore::new(1000, &["d/x"]);
    let mount = Mount::new(store, Consistency::Immutable).await;
    let node = mount.names.resolve(&super::mount::path("d/x")).await.expect("the store answers");
    assert!(matches!(node, Some(Node::File(file)) if file.size_bytes == 3));
    assert_eq!(mount.names.resolve(&super::mount::path("d/x/y")).await.expect("known"), None);
    assert_eq!(mount.names.stats().known_inodes, 0);
}

#[tokio::test]
async fn an_unknown_inode_is_an_error_and_no_panic() {
    let mount = Mount::new(MemoryStore::new(9, &["a"]), Consistency::Immutable).await;
    let foreign = Ino::new(12345).expect("not 0");
    assert!(matches!(
        mount.names.lookup(foreign, "a").await,
        Err(NamespaceError::UnknownInode { number: 12345 })
    ));
    assert!(matches!(mount.names.open_dir(foreign).await, Err(NamespaceError::UnknownInode { .. })));
    assert_eq!((mount.names.node(foreign), mount.names.object(foreign)), (None, None));
    let file = mount.ino("a").await;
    assert!(matches!(mount.names.open_dir(file).await, Err(NamespaceError::NotADirectory { .. })));
    mount.names.report_changed(foreign);
}
