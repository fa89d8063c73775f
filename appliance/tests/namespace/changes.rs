//! `refresh`, and what the kernel is told.

use forebay::config::Consistency;
use forebay::namespace::{Cached, Ino, NamespaceError, RefreshReport};

use super::memory_store::MemoryStore;
use super::mount::{Mount, eventually, path};

#[tokio::test]
async fn a_refresh_counts_and_tells_what_changed() {
    let store = MemoryStore::new(2, &["changed", "d/gone", "d/same", "gone", "same", "sub/x"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    let first = mount.refresh("", true).await;
    assert_eq!(first, RefreshReport { objects: 6, directories: 3, added: 8, ..RefreshReport::default() });
    let (changed, same, d) = (mount.ino("changed").await, mount.ino("same").await, mount.ino("d").await);
    mount.told();
    store.put("changed", "v2");
    store.put("d/new", "v1");
    for key in ["gone", "d/gone", "sub/x"] {
        store.remove(key);
    }
    let second = mount.refresh("", true).await;
    let expected = RefreshReport { objects: 4, directories: 2, changed: 1, removed: 3, added: 1, hidden: 0 };
    assert_eq!(second, expected);
    let d_number = d.get();
    let mut told = vec!["1".into(), "1:changed".into(), "1:gone".into(), "1:sub".into()];
    told.extend([format!("{d_number}"), format!("{d_number}:gone"), format!("{d_number}:new")]);
    told.sort();
    assert_eq!(mount.told(), told);
    assert_ne!(mount.ino("changed").await, changed);
    assert_eq!((mount.ino("same").await, mount.ino("d").await), (same, d));
    assert_eq!(mount.list("d").await, ["new", "same"]);
    assert_eq!(mount.list("").await, ["changed", "d/", "same"]);
}

#[tokio::test]
async fn a_file_is_refreshed_alone() {
    let store = MemoryStore::new(1000, &["d/a", "d/b"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    let (d, a, b) = (mount.ino("d").await, mount.ino("d/a").await, mount.ino("d/b").await);
    store.put("d/a", "v2");
    store.put("d/b", "v2");
    mount.told();
    assert_eq!(
        mount.refresh("d/a", false).await,
        RefreshReport { objects: 1, changed: 1, ..Default::default() }
    );
    assert_eq!(mount.told(), [format!("{}", d.get()), format!("{}:a", d.get())]);
    assert_ne!(mount.ino("d/a").await, a);
    assert_eq!(mount.ino("d/b").await, b, "nobody asked about it");
    store.remove("d/a");
    assert_eq!(mount.refresh("d/a", false).await, RefreshReport { removed: 1, ..Default::default() });
    assert_eq!(mount.names.lookup_cached(d, "a"), Cached::Absent);
    assert_eq!(mount.list("d").await, ["b"]);
    let again = mount.names.refresh(&path("d/a"), false).await;
    assert!(matches!(again, Err(NamespaceError::NotFound { path }) if path == "d/a"));
}

#[tokio::test]
async fn a_refresh_finds_what_an_old_listing_does_not_have() {
    let store = MemoryStore::new(1000, &["a"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    mount.list("").await;
    store.put("new/deep/file", "v1");
    let report = mount.refresh("new/deep", true).await;
    assert_eq!((report.objects, report.directories), (1, 1));
    mount.ino("new/deep/file").await;
}

#[tokio::test]
async fn absent_names_that_appear_are_told() {
    let store = MemoryStore::new(1000, &["a"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    assert_eq!(mount.walk("late").await.expect("the store answers"), None);
    store.put("late", "v1");
    mount.refresh("", false).await;
    assert!(mount.told().contains(&"1:late".to_owned()));
    mount.ino("late").await;
}

#[tokio::test]
async fn a_stale_read_makes_the_next_lookup_ask() {
    let store = MemoryStore::new(1000, &["a"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    mount.list("").await;
    let old = mount.ino("a").await;
    store.put("a", "v2");
    mount.names.report_changed(old);
    eventually("the event", || mount.told() == ["1:a"]).await;
    assert_eq!(mount.names.lookup_cached(Ino::ROOT, "a"), Cached::Unknown);
    assert_ne!(mount.ino("a").await, old);
    assert!(mount.is_known(Ino::ROOT, "a"), "the new version is believed again");
}

#[tokio::test]
async fn more_changes_than_are_kept_by_name_are_all_told() {
    let keys: Vec<_> = (0..3000).map(|i| format!("f{i:04}")).collect();
    let store = MemoryStore::new(1000, &keys.iter().map(String::as_str).collect::<Vec<_>>());
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    mount.list("").await;
    for key in &keys[..2500] {
        store.put(key, "v2");
    }
    store.remove("f2999");
    let report = mount.refresh("", false).await;
    assert_eq!((report.changed, report.removed), (2500, 1));
    let told = mount.told();
    assert!(keys[..2500].iter().chain([&keys[2999]]).all(|key| told.contains(&format!("1:{key}"))));
}

#[tokio::test]
async fn a_file_that_turns_into_a_directory_and_back() {
    let store = MemoryStore::new(1000, &["a"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    mount.list("").await;
    let file = mount.ino("a").await;
    store.remove("a");
    store.put("a/x", "v1");
    let report = mount.refresh("", true).await;
    assert_eq!((report.added, report.removed), (2, 1));
    assert_eq!(mount.list("a").await, ["x"]);
    store.remove("a/x");
    store.put("a", "v1");
    mount.refresh("", true).await;
    assert_ne!(mount.ino("a").await, file, "numbers are not used twice");
}
