//! What the overlay of a read-write mount is told, and takes over.

use std::time::SystemTime;

use forebay::config::Consistency;
use forebay::namespace::{Ino, Installed, NoOrigin, Node};
use ufs::{Meta, Version};

use super::memory_store::MemoryStore;
use super::mount::{Mount, path};

fn meta(size_bytes: u64, version: &str) -> Meta {
    Meta { size_bytes, modified: SystemTime::UNIX_EPOCH, version: Version::new(version) }
}

#[tokio::test]
async fn what_is_installed_is_known_without_the_store() {
    let store = MemoryStore::new(10, &["old/x", "gone"]);
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    mount.refresh("", true).await;
    let calls = store.calls();
    mount.names.install(&path("new/deep/f"), Installed::File(&meta(7, "v1"))).await.expect("installed");
    mount.names.install(&path("gone"), Installed::Nothing).await.expect("installed");
    let object =
        mount.names.find(mount.ino("new/deep").await, "f").await.expect("known").expect("it is there");
    let object = object.object.expect("a file reads something");
    assert_eq!((object.size_bytes, object.version.as_str(), object.key.as_str()), (7, "v1", "new/deep/f"));
    assert_eq!(mount.walk("gone").await.expect("known"), None);
    assert_eq!(mount.list("").await, ["old/"], "a listing shows what it was, but for what is gone");
    assert_eq!(store.calls(), calls, "no question was asked");
}

#[tokio::test]
async fn an_installed_version_replaces_the_one_before_and_an_equal_one_does_not() {
    let mount = Mount::new(MemoryStore::new(10, &["f"]), Consistency::Immutable).await;
    let before = mount.ino("f").await;
    mount.names.install(&path("f"), Installed::File(&meta(9, "v2"))).await.expect("installed");
    let replaced = mount.ino("f").await;
    assert_ne!(replaced, before);
    mount.names.install(&path("f"), Installed::File(&meta(9, "v2"))).await.expect("installed");
    assert_eq!(mount.ino("f").await, replaced);
    mount.names.install(&path("d"), Installed::Directory).await.expect("installed");
    let directory = mount.ino("d").await;
    mount.names.install(&path("d/f"), Installed::File(&meta(1, "v3"))).await.expect("installed");
    assert_eq!(mount.ino("d").await, directory);
}

#[tokio::test]
async fn a_file_is_handed_over_with_its_references_and_a_directory_stays() {
    let mount = Mount::new(MemoryStore::new(10, &["d/f"]), Consistency::Immutable).await;
    let (directory, file) = (mount.ino("d").await, mount.ino("d/f").await);
    mount.ino("d/f").await;
    let names = |ino| {
        let nodes = mount.names.ancestry(ino).expect("referenced");
        nodes.iter().map(|node| node.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(file), ["d", "f"]);
    assert_eq!((mount.names.hand_over(file), mount.names.hand_over(directory)), (2, 0));
    assert!(!mount.names.contains(file) && mount.names.contains(directory));
    assert_eq!(mount.names.hand_over(file), 0);
    mount.names.forget(directory, 3);
    assert_eq!(mount.names.stats().known_inodes, 0, "the directory was kept for no child any more");
}

#[tokio::test]
async fn a_scan_gives_children_until_it_is_stopped() {
    let mount = Mount::new(MemoryStore::new(2, &["d/a", "d/b/x", "d/c"]), Consistency::Immutable).await;
    let mut seen = Vec::new();
    let each = &mut |child: forebay::namespace::Child| {
        assert_eq!(child.object.is_some(), matches!(child.node, Node::File(_)));
        seen.push(child.name.to_string());
        seen.len() < 2
    };
    mount.names.scan(&path("d"), each).await.expect("the store answers");
    assert_eq!(seen, ["a", "b"]);
    let nothing = &mut |child: forebay::namespace::Child| panic!("{child:?}");
    mount.names.scan(&path("nowhere"), nothing).await.expect("nothing is there");
    assert_eq!(mount.names.stats().known_inodes, 0);
}

#[tokio::test]
async fn every_path_has_at_most_one_origin() {
    let (one, two) = (MemoryStore::new(10, &[]), MemoryStore::new(10, &[]));
    let database = forebay::namespace::Database::in_memory(1 << 30).expect("memory");
    let branches: [(&str, std::sync::Arc<dyn ufs::Ufs>); 2] = [("a", one), ("a/b", two)];
    let clock = super::mount::TestClock::new();
    let mount = Mount::open(database, clock, &branches, Consistency::Immutable).await;
    let origin = |text: &str| {
        mount.names.origin(&path(text)).map(|origin| (origin.store.0, origin.key.as_str().to_owned()))
    };
    assert_eq!(origin("a/x/y"), Ok((0, "x/y".to_owned())));
    assert_eq!(origin("a/b/x"), Ok((1, "x".to_owned())));
    assert_eq!(origin("a/b"), Err(NoOrigin::Place));
    assert_eq!(origin("x"), Err(NoOrigin::NoStore));
    let long = vec!["n".repeat(200); 6].join("/");
    assert_eq!(origin(&format!("a/{long}")), Err(NoOrigin::TooLong));
    assert_eq!(mount.names.find(Ino::ROOT, "x").await.expect("no store is asked"), None);
}
