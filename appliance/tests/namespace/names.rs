//! Which keys are shown, and how.

use forebay::config::Consistency;
use forebay::namespace::{Ino, Node};

use super::memory_store::MemoryStore;
use super::mount::Mount;

async fn mount(keys: &[&str]) -> Mount {
    Mount::new(MemoryStore::new(1000, keys), Consistency::Immutable).await
}

#[tokio::test]
async fn common_prefixes_are_directories() {
    let mount = mount(&["a/b/c", "a/d", "e"]).await;
    assert_eq!(mount.list("").await, ["a/", "e"]);
    assert_eq!(mount.list("a").await, ["b/", "d"]);
    assert_eq!(mount.list("a/b").await, ["c"]);
}

#[tokio::test]
async fn a_marker_is_its_directory_and_no_file() {
    let mount = mount(&["dir/", "dir/file", "empty/"]).await;
    assert_eq!(mount.list("").await, ["dir/", "empty/"]);
    assert_eq!(mount.list("dir").await, ["file"]);
    assert_eq!(mount.list("empty").await, [""; 0]);
    assert_eq!(mount.names.stats().hidden_names, 0);
}

#[tokio::test]
async fn an_empty_directory_is_found_without_a_listing() {
    let mount = mount(&["empty/"]).await;
    let found = mount.walk("empty").await.expect("the store answers").expect("its marker is there");
    assert!(matches!(found.node, Node::Directory(_)));
}

#[tokio::test]
async fn what_cannot_be_a_name_is_hidden_and_counted() {
    let long = "x".repeat(256);
    let keys = ["a//b", "a//c", ".", "../x", "d/./e", "ok", "nul\0", &long, &format!("{long}/y")];
    for deep in [false, true] {
        let mount = mount(&keys).await;
        if deep {
            mount.refresh("", true).await;
        }
        assert_eq!(mount.list("").await, ["a/", "d/", "ok"], "deep: {deep}");
        assert_eq!(mount.list("a").await, [""; 0]);
        assert_eq!(mount.list("d").await, [""; 0]);
        // `.`, `../`, `nul\0`, the long file and the long directory; `a//`; `d/./`.
        assert_eq!(mount.names.stats().hidden_names, 7, "deep: {deep}");
        for name in ["", ".", "..", &long] {
            assert_eq!(
                mount.names.lookup(Ino::ROOT, name).await.expect("no store is asked"),
                None,
                "{name:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_directory_hides_the_object_of_its_name() {
    for deep in [false, true] {
        let mount = mount(&["a", "a-b", "a.txt", "a/x", "a0"]).await;
        if deep {
            mount.refresh("", true).await;
        }
        let found = mount.walk("a").await.expect("the store answers").expect("it is there");
        assert!(matches!(found.node, Node::Directory(_)));
        assert_eq!(mount.list("").await, ["a-b", "a.txt", "a/", "a0"], "deep: {deep}");
        assert_eq!(mount.names.stats().hidden_names, 1);
        assert_eq!(mount.files("").await, ["a-b", "a.txt", "a/x", "a0"]);
    }
}

#[tokio::test]
async fn a_collision_is_seen_over_the_border_of_ranges() {
    let mut keys = vec!["b".to_owned()];
    keys.extend((0..300).map(|i| format!("b-{i:03}")));
    keys.extend(["a/1", "b/2", "c/3"].map(str::to_owned));
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let mount = mount(&keys).await;
    let report = mount.refresh("", true).await;
    assert_eq!((report.objects, report.hidden, report.directories), (303, 1, 4));
    assert!(!mount.list("").await.contains(&"b".to_owned()));
}

#[tokio::test]
async fn a_directory_that_goes_shows_the_object_again() {
    let store = MemoryStore::new(1000, &["a", "a/x"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    assert_eq!(mount.list("").await, ["a/"]);
    store.remove("a/x");
    mount.refresh("", true).await;
    assert_eq!(mount.list("").await, ["a"]);
    assert_eq!(mount.names.stats().hidden_names, 0);
}
