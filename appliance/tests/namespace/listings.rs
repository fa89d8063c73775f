//! Directories as `readdir` walks them, and imports.

use std::sync::atomic::Ordering;

use forebay::config::Consistency;
use forebay::namespace::{DirSnapshot, Ino, NamespaceError};

use super::memory_store::MemoryStore;
use super::mount::{Mount, collect, eventually, path};

async fn large(count: usize, page: usize) -> (std::sync::Arc<MemoryStore>, Mount, Vec<String>) {
    let keys: Vec<_> = (0..count).map(|i| format!("file-{i:05}")).collect();
    let store = MemoryStore::new(page, &keys.iter().map(String::as_str).collect::<Vec<_>>());
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    (store, mount, keys)
}

/// Walks from a cookie in steps of `at_once` names.
fn walk(snapshot: &DirSnapshot, mut cookie: u64, at_once: usize) -> Vec<(String, u64)> {
    let mut names = Vec::new();
    loop {
        let before = names.len();
        let walked = snapshot.next(cookie, &mut |entry| {
            let is_full = names.len() - before == at_once;
            if !is_full {
                names.push((entry.name.to_owned(), entry.cookie));
                cookie = entry.cookie;
            }
            is_full
        });
        walked.expect("a sound database");
        if names.len() == before {
            return names;
        }
    }
}

#[tokio::test]
async fn a_walk_in_steps_gives_every_name_once() {
    let (_, mount, keys) = large(2000, 300).await;
    let snapshot = mount.names.open_dir(Ino::ROOT).await.expect("the store answers");
    for at_once in [1, 7, 256, 5000] {
        let names = walk(&snapshot, 0, at_once);
        assert_eq!(names.iter().map(|(name, _)| name).collect::<Vec<_>>(), keys.iter().collect::<Vec<_>>());
        assert!(names.windows(2).all(|pair| 16 <= pair[0].1 && pair[0].1 < pair[1].1), "cookies rise");
    }
}

#[tokio::test]
async fn a_cookie_of_any_entry_goes_on_behind_it() {
    let (_, mount, keys) = large(1000, 1000).await;
    let snapshot = mount.names.open_dir(Ino::ROOT).await.expect("the store answers");
    let names = walk(&snapshot, 0, 100);
    for at in [0, 255, 256, 700, 999, 3] {
        let rest = walk(&snapshot, names[at].1, 300);
        assert_eq!(rest.first().map(|(name, _)| name), keys.get(at + 1), "behind {at}");
        assert_eq!(rest.len(), keys.len() - at - 1);
    }
    assert_eq!(walk(&snapshot, u64::MAX >> 1, 10), []);
}

#[tokio::test]
async fn a_snapshot_stays_while_the_directory_is_refreshed() {
    let (store, mount, keys) = large(600, 1000).await;
    let snapshot = mount.names.open_dir(Ino::ROOT).await.expect("the store answers");
    let first = walk(&snapshot, 0, 10)[..10].to_vec();
    for key in &keys[300..] {
        store.remove(key);
    }
    store.put("file-00000a", "v1");
    for _ in 0..3 {
        mount.refresh("", false).await;
    }
    let rest = walk(&snapshot, first[9].1, 50);
    assert_eq!(rest.len(), 590);
    assert_eq!(mount.list("").await.len(), 301);
}

#[tokio::test]
async fn references_from_readdirplus_are_references() {
    let (_, mount, _) = large(3, 10).await;
    let snapshot = mount.names.open_dir(Ino::ROOT).await.expect("the store answers");
    let mut taken = Vec::new();
    let walked = snapshot.next(0, &mut |entry| {
        let found = snapshot.reference(&entry).expect("the root is referenced");
        assert_eq!(found.node, entry.node);
        taken.push(found.node.ino());
        false
    });
    walked.expect("a sound database");
    assert_eq!(mount.names.stats().known_inodes, 3);
    assert_eq!(mount.names.object(taken[1]).expect("referenced").key.as_str(), "file-00001");
    assert_eq!(mount.ino("file-00001").await, taken[1]);
    mount.names.forget(taken[1], 2);
    assert_eq!(mount.names.stats().known_inodes, 2);
}

#[tokio::test]
async fn many_who_open_a_directory_share_one_listing() {
    let (store, mount, _) = large(50, 10).await;
    store.close_gate();
    let opens: Vec<_> = (0..10)
        .map(|_| {
            let names = mount.names.clone();
            tokio::spawn(async move { names.open_dir(Ino::ROOT).await.is_ok() })
        })
        .collect();
    eventually("the question", || store.begun.load(Ordering::SeqCst) == 1).await;
    store.open_gate();
    for open in opens {
        assert!(open.await.expect("no panic"));
    }
    assert_eq!(store.lists.load(Ordering::SeqCst), 5);
    assert_eq!(mount.names.stats().listings_imported, 1);
}

#[tokio::test]
async fn a_flat_listing_fills_all_directories() {
    let mut keys = Vec::new();
    for a in 0..20 {
        for b in 0..5 {
            keys.extend((0..7).map(|c| format!("a{a:02}/b{b}/c{c}")));
        }
    }
    let store = MemoryStore::new(50, &keys.iter().map(String::as_str).collect::<Vec<_>>());
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    assert_eq!(mount.files("").await, keys);
    let calls = store.calls();
    assert!(calls < 80, "{calls} calls for 121 directories");
    for directory in ["", "a07", "a19/b4"] {
        mount.list(directory).await;
    }
    assert_eq!(mount.files("a03").await, keys[3 * 35..4 * 35]);
    assert_eq!(store.calls(), calls, "all is known");
    assert_eq!(mount.names.stats().listings_imported, 121);
}

#[tokio::test]
async fn a_listing_out_of_order_is_refused() {
    let (store, mount, _) = large(10, 10).await;
    store.is_unordered.store(true, Ordering::SeqCst);
    let error = mount.names.open_dir(Ino::ROOT).await.err().expect("the order is wrong");
    assert!(matches!(&error, NamespaceError::Unordered { url, .. } if url == "memory://"), "{error}");
    store.is_unordered.store(false, Ordering::SeqCst);
    assert_eq!(mount.list("").await.len(), 10);
}

#[tokio::test]
async fn an_import_that_fails_halfway_leaves_the_old_listing() {
    let (store, mount, keys) = large(5000, 100).await;
    assert_eq!(mount.list("").await.len(), 5000);
    for key in &keys[..100] {
        store.remove(key);
    }
    store.close_gate();
    let names = mount.names.clone();
    let refresh = tokio::spawn(async move { names.refresh(&path(""), true).await });
    store.is_down.store(true, Ordering::SeqCst);
    store.open_gate();
    assert!(refresh.await.expect("no panic").is_err());
    assert_eq!(mount.list("").await.len(), 5000);
    store.is_down.store(false, Ordering::SeqCst);
    assert_eq!(mount.refresh("", true).await.removed, 100);
    assert_eq!(mount.list("").await.len(), 4900);
}

#[tokio::test]
async fn files_below_a_file_or_nothing() {
    let mount = Mount::new(MemoryStore::new(10, &["d/x"]), Consistency::Immutable).await;
    assert_eq!(mount.files("d/x").await, ["d/x"]);
    for missing in ["no", "d/no", "d/x/no"] {
        let error = collect(mount.names.files_below(&path(missing))).await.expect_err(missing);
        assert!(matches!(error, NamespaceError::NotFound { .. }), "{error}");
    }
}
