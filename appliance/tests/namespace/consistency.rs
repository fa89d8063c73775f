//! How long names are believed.

use std::time::Duration;

use forebay::config::Consistency;
use forebay::namespace::{Cached, Ino, VALID_FOREVER};

use super::memory_store::MemoryStore;
use super::mount::Mount;

const TTL: Consistency = Consistency::Ttl(Duration::from_secs(30));

#[tokio::test]
async fn immutable_asks_once() {
    let store = MemoryStore::new(1000, &["a"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    assert_eq!(mount.list("").await, ["a"]);
    let ino = mount.ino("a").await;
    store.put("a", "v2");
    store.put("b", "v1");
    mount.clock.advance(Duration::from_secs(1_000_000));
    let calls = store.calls();
    assert_eq!(mount.ino("a").await, ino);
    assert_eq!(mount.names.lookup_cached(Ino::ROOT, "b"), Cached::Absent);
    assert_eq!(mount.list("").await, ["a"]);
    assert_eq!(store.calls(), calls);
    assert_eq!(mount.names.negative_valid_for(), VALID_FOREVER);
}

#[tokio::test]
async fn a_ttl_bounds_the_age_of_names_and_of_what_the_kernel_keeps() {
    let store = MemoryStore::new(1000, &["a"]);
    let mount = Mount::new(store.clone(), TTL).await;
    assert_eq!(mount.list("").await, ["a"]);
    let Cached::Known(found) = mount.names.lookup_cached(Ino::ROOT, "a") else { panic!("it was listed") };
    assert!(found.valid_for <= Duration::from_secs(30) && found.valid_for >= Duration::from_secs(27));
    mount.clock.advance(Duration::from_secs(20));
    let Cached::Known(later) = mount.names.lookup_cached(Ino::ROOT, "a") else { panic!("it is fresh") };
    assert_eq!(later.valid_for, found.valid_for - Duration::from_secs(20));
    store.put("a", "v2");
    store.put("b", "v1");
    mount.clock.advance(Duration::from_secs(10));
    assert_eq!(mount.names.lookup_cached(Ino::ROOT, "a"), Cached::Unknown);
    assert_ne!(mount.ino("a").await, found.node.ino(), "a replaced object is another inode");
    assert_eq!(mount.list("").await, ["a", "b"]);
}

#[tokio::test]
async fn an_unchanged_object_keeps_its_inode_when_asked_again() {
    let store = MemoryStore::new(1000, &["a", "d/x"]);
    for consistency in [TTL, Consistency::Strict] {
        let mount = Mount::new(store.clone(), consistency).await;
        let before = (mount.ino("a").await, mount.ino("d").await, mount.ino("d/x").await);
        mount.clock.advance(Duration::from_secs(31));
        assert_eq!((mount.ino("a").await, mount.ino("d").await, mount.ino("d/x").await), before);
        mount.list("").await;
        assert_eq!((mount.ino("a").await, mount.ino("d").await, mount.ino("d/x").await), before);
    }
}

#[tokio::test]
async fn strict_sees_every_change_at_once() {
    let store = MemoryStore::new(1000, &["a"]);
    let mount = Mount::new(store.clone(), Consistency::Strict).await;
    assert_eq!(mount.list("").await, ["a"]);
    let found = mount.walk("a").await.expect("the store answers").expect("it is there");
    assert_eq!(found.valid_for, Duration::ZERO);
    assert_eq!(mount.names.lookup_cached(Ino::ROOT, "a"), Cached::Unknown);
    store.put("a", "v2");
    assert_ne!(mount.ino("a").await, found.node.ino());
    store.remove("a");
    assert_eq!(mount.walk("a").await.expect("the store answers"), None);
    store.put("b", "v1");
    mount.ino("b").await;
    assert_eq!(mount.list("").await, ["b"]);
}

#[tokio::test]
async fn an_open_file_keeps_its_version() {
    let store = MemoryStore::new(1000, &["a"]);
    let mount = Mount::new(store.clone(), Consistency::Strict).await;
    let old = mount.ino("a").await;
    store.put("a", "v2");
    let new = mount.ino("a").await;
    let version = |ino| mount.names.object(ino).expect("referenced").version.as_str().to_owned();
    assert_eq!((version(old), version(new)), ("v1".into(), "v2".into()));
    mount.names.forget(old, 1);
    assert_eq!(mount.names.object(old), None);
    assert_eq!(version(new), "v2");
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_the_store_be_asked() {
    let store = MemoryStore::new(1000, &["a"]);
    let database = forebay::namespace::Database::in_memory(1 << 30).expect("memory");
    let clock = super::mount::TestClock::new();
    clock.advance(Duration::from_secs(100));
    let mount = Mount::open(database.clone(), clock, &[("", store.clone())], TTL).await;
    mount.list("").await;
    drop(mount);
    let mount = Mount::open(database, super::mount::TestClock::new(), &[("", store)], TTL).await;
    assert_eq!(mount.names.lookup_cached(Ino::ROOT, "a"), Cached::Unknown);
}
