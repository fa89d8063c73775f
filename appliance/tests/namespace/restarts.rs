//! What is kept over restarts.

use std::sync::Arc;
use std::time::Duration;

use forebay::config::Consistency;
use forebay::namespace::{Cached, Database, Ino};
use tempfile::TempDir;

use super::memory_store::MemoryStore;
use super::mount::{Mount, TestClock};

fn database(directory: &TempDir) -> Arc<Database> {
    Database::open(directory.path(), 1 << 20).expect("the directory can be written")
}

#[tokio::test]
async fn listings_and_numbers_are_kept() {
    let directory = TempDir::new().expect("a temporary directory");
    let store = MemoryStore::new(10, &["a", "d/x", "d/y//z"]);
    let clock = TestClock::new();
    let open = async |database| {
        Mount::open(database, clock.clone(), &[("", store.clone())], Consistency::Immutable).await
    };
    let mount = open(database(&directory)).await;
    mount.refresh("", true).await;
    let numbers = (mount.ino("a").await, mount.ino("d").await, mount.ino("d/x").await);
    let hidden = mount.names.stats().hidden_names;
    drop(mount);
    let calls = store.calls();
    let mount = open(database(&directory)).await;
    assert_eq!((mount.ino("a").await, mount.ino("d").await, mount.ino("d/x").await), numbers);
    assert_eq!(mount.list("d").await, ["x", "y/"]);
    assert_eq!(mount.files("").await, ["a", "d/x"]);
    assert_eq!((hidden, mount.names.stats().hidden_names), (1, 1));
    assert_eq!(store.calls(), calls, "nothing is asked again");
}

#[tokio::test]
async fn answers_about_single_names_are_kept() {
    let directory = TempDir::new().expect("a temporary directory");
    let store = MemoryStore::new(10, &["a"]);
    let clock = TestClock::new();
    let mount =
        Mount::open(database(&directory), clock.clone(), &[("", store.clone())], Consistency::Immutable)
            .await;
    let number = mount.ino("a").await;
    drop(mount);
    let mount = Mount::open(database(&directory), clock, &[("", store)], Consistency::Immutable).await;
    let Cached::Known(found) = mount.names.lookup_cached(Ino::ROOT, "a") else { panic!("it was kept") };
    assert_eq!(found.node.ino(), number);
}

#[tokio::test]
async fn age_goes_on_while_nothing_runs() {
    let directory = TempDir::new().expect("a temporary directory");
    let store = MemoryStore::new(10, &["a"]);
    let (clock, ttl) = (TestClock::new(), Consistency::Ttl(Duration::from_secs(60)));
    let mount = Mount::open(database(&directory), clock.clone(), &[("", store.clone())], ttl).await;
    mount.list("").await;
    drop(mount);
    clock.advance(Duration::from_secs(30));
    let mount = Mount::open(database(&directory), clock.clone(), &[("", store.clone())], ttl).await;
    assert!(mount.is_known(Ino::ROOT, "a"));
    drop(mount);
    clock.advance(Duration::from_secs(30));
    let mount = Mount::open(database(&directory), clock, &[("", store)], ttl).await;
    assert_eq!(mount.names.lookup_cached(Ino::ROOT, "a"), Cached::Unknown);
}

#[tokio::test]
async fn two_mounts_share_a_database_and_no_name() {
    let database = Database::in_memory(1 << 30).expect("memory");
    let (one, two) = (MemoryStore::new(10, &["a"]), MemoryStore::new(10, &["a", "b"]));
    let first = Mount::open(database.clone(), TestClock::new(), &[("", one)], Consistency::Immutable).await;
    assert_eq!(first.list("").await, ["a"]);
    let second = Mount::open(database, TestClock::new(), &[("x", two)], Consistency::Immutable).await;
    assert_eq!(second.list("x").await, ["a", "b"]);
    assert_eq!(second.list("").await, ["x/"]);
}
