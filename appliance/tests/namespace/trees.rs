//! Several stores in one mount.

use std::sync::Arc;

use forebay::config::Consistency;
use forebay::namespace::{Database, Ino};
use forebay::store::StoreIndex;
use ufs::Ufs;

use super::memory_store::MemoryStore;
use super::mount::{Mount, TestClock};

async fn mount(branches: &[(&str, &[&str])]) -> Mount {
    let stores: Vec<(&str, Arc<dyn Ufs>)> =
        branches.iter().map(|(at, keys)| (*at, MemoryStore::new(2, keys) as Arc<dyn Ufs>)).collect();
    let database = Database::in_memory(1 << 30).expect("memory");
    Mount::open(database, TestClock::new(), &stores, Consistency::Immutable).await
}

#[tokio::test]
async fn a_branch_hides_what_the_store_above_has_there() {
    for deep in [false, true] {
        let mount = mount(&[("", &["a/b/hidden", "a/b/hidden2", "a/c", "d"]), ("a/b", &["shown"])]).await;
        if deep {
            mount.refresh("", true).await;
        }
        assert_eq!(mount.list("").await, ["a/", "d"]);
        assert_eq!(mount.list("a").await, ["b/", "c"]);
        assert_eq!(mount.list("a/b").await, ["shown"]);
        assert_eq!(mount.files("").await, ["a/b/shown", "a/c", "d"]);
        assert_eq!(mount.names.stats().hidden_names, 1, "the directory a/b of the upper store");
        let object = mount.names.object(mount.ino("a/b/shown").await).expect("referenced");
        assert_eq!((object.store, object.key.as_str()), (StoreIndex(1), "shown"));
        let object = mount.names.object(mount.ino("a/c").await).expect("referenced");
        assert_eq!((object.store, object.key.as_str()), (StoreIndex(0), "a/c"));
    }
}

#[tokio::test]
async fn directories_above_all_stores_are_made() {
    let mount = mount(&[("train/images", &["1"]), ("train/labels", &["2"])]).await;
    assert_eq!(mount.list("").await, ["train/"]);
    assert_eq!(mount.list("train").await, ["images/", "labels/"]);
    assert_eq!(mount.names.lookup(Ino::ROOT, "other").await.expect("no store is asked"), None);
    assert_eq!(mount.files("train").await, ["train/images/1", "train/labels/2"]);
    assert_eq!(mount.refresh("", true).await.objects, 2);
}

#[tokio::test]
async fn an_object_is_hidden_by_a_branch_of_its_name() {
    let mount = mount(&[("", &["x", "y"]), ("x/deep", &["1"])]).await;
    assert_eq!(mount.list("").await, ["x/", "y"]);
    assert_eq!(mount.list("x").await, ["deep/"]);
    assert_eq!(mount.names.stats().hidden_names, 1);
}

#[tokio::test]
async fn another_table_forgets_what_the_old_one_had() {
    let database = Database::in_memory(1 << 30).expect("memory");
    let (one, two) = (MemoryStore::new(9, &["a", "b//c"]), MemoryStore::new(9, &["c"]));
    let clock = TestClock::new();
    let first =
        Mount::open(database.clone(), clock.clone(), &[("", one.clone())], Consistency::Immutable).await;
    assert_eq!(first.list("").await, ["a", "b/"]);
    drop(first);
    let second = Mount::open(database, clock, &[("", one), ("b", two)], Consistency::Immutable).await;
    assert_eq!(second.list("").await, ["b/", "a"]);
    assert_eq!(second.list("b").await, ["c"]);
}
