//! `list`.

use futures::TryStreamExt;
use ufs::{Entry, Error, ListDepth, ListRequest};

use crate::fixture::{Fixture, key, request};

pub(crate) async fn children_are_objects_and_directories(fixture: &Fixture) {
    let names = ["a", "a-b", "a/1", "a/2/x", "a0", "b/1", "c/d/e/f"];
    // On a file system "a" cannot be a file and a directory.
    let names = names.iter().filter(|name| fixture.is_s3() || **name != "a").map(ToString::to_string);
    fixture.put_all(names).await;
    let mut expected = vec!["a", "a-b", "a/", "a0", "b/", "c/"];
    if !fixture.is_s3() {
        expected.remove(0);
    }
    assert_eq!(fixture.list_all("", ListDepth::Children).await, expected);
    assert_eq!(fixture.list_all("a/", ListDepth::Children).await, ["a/1", "a/2/"]);
    assert_eq!(fixture.list_all("c/d/e/", ListDepth::Children).await, ["c/d/e/f"]);
    for entry in fixture.entries(request("", ListDepth::Children)).await {
        assert_eq!(matches!(entry, Entry::Directory { .. }), entry.key().is_directory(), "{entry:?}");
    }
}

pub(crate) async fn recursion_gives_every_object(fixture: &Fixture) {
    let names = ["a-b", "a/1", "a/2/x", "a/2/y", "a0", "b/c/d/e", "z"];
    fixture.put_all(names.map(str::to_owned)).await;
    assert_eq!(fixture.list_all("", ListDepth::Recursive).await, names);
    assert_eq!(fixture.list_all("a/", ListDepth::Recursive).await, ["a/1", "a/2/x", "a/2/y"]);
    assert_eq!(fixture.list_all("b/c/", ListDepth::Recursive).await, ["b/c/d/e"]);
}

pub(crate) async fn odd_keys_survive(fixture: &Fixture) {
    let mut names = vec![
        " leading",
        "a b+c%20d",
        "a&b<c>\"d'",
        "back\\slash",
        "dir x/ü+%/file",
        "line\nbreak",
        "trailing ",
        "~tilde",
        "été",
        "日本/写真.jpg",
        "%2Fnot-a-slash",
        "=?#;:@,$!*()[]{}|^`",
    ];
    if fixture.is_s3() {
        names.extend(["//twice", "a//b", "dir/../up", "./dot"]);
    }
    fixture.put_all(names.iter().map(ToString::to_string)).await;
    names.sort_unstable();
    assert_eq!(fixture.list_all("", ListDepth::Recursive).await, names);
    for name in names {
        let stat = fixture.store.stat(&key(name)).await.unwrap_or_else(|error| panic!("{name:?}: {error:?}"));
        let read = fixture.read(name, Some(&stat.version), 0, name.len() as u64).await;
        assert_eq!(read.unwrap_or_else(|error| panic!("{name:?}: {error:?}")), name);
    }
    let children = fixture.list_all("dir x/ü+%/", ListDepth::Children).await;
    assert_eq!(children, ["dir x/ü+%/file"]);
}

pub(crate) async fn many_keys_come_in_pages(fixture: &Fixture) {
    let names: Vec<String> = (0..2_300).map(|n| format!("many/{}/k{n:05} +%", n % 2)).collect();
    fixture.put_all(names.iter().cloned()).await;
    let mut sorted = names;
    sorted.sort_unstable();
    let first = fixture.page(&request("many/", ListDepth::Recursive)).await;
    assert!(first.next.is_some() && first.entries.len() <= 1000);
    assert_eq!(fixture.list_all("many/", ListDepth::Recursive).await, sorted);
    let half: Vec<_> = sorted.iter().filter(|name| name.starts_with("many/1/")).cloned().collect();
    assert_eq!(fixture.list_all("many/1/", ListDepth::Children).await, half);
}

pub(crate) async fn start_after_shares_a_directory(fixture: &Fixture) {
    let names = ["d/a", "d/b/1", "d/b/2", "d/b0", "d/c", "e"];
    fixture.put_all(names.map(str::to_owned)).await;
    let after = async |depth, after: &str| {
        let request = ListRequest { start_after: Some(key(after)), ..request("d/", depth) };
        let entries = fixture.entries(request).await;
        entries.iter().map(|entry| entry.key().as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(after(ListDepth::Recursive, "d/a").await, ["d/b/1", "d/b/2", "d/b0", "d/c"]);
    assert_eq!(after(ListDepth::Recursive, "d/b/1").await, ["d/b/2", "d/b0", "d/c"]);
    assert_eq!(after(ListDepth::Recursive, "d/b/2").await, ["d/b0", "d/c"]);
    assert_eq!(after(ListDepth::Recursive, "d/b").await, ["d/b/1", "d/b/2", "d/b0", "d/c"]);
    assert_eq!(after(ListDepth::Recursive, "c").await, ["d/a", "d/b/1", "d/b/2", "d/b0", "d/c"]);
    assert!(after(ListDepth::Recursive, "d/c").await.is_empty());
    assert!(after(ListDepth::Recursive, "e").await.is_empty());
    assert_eq!(after(ListDepth::Children, "d/a").await, ["d/b/", "d/b0", "d/c"]);
    assert_eq!(after(ListDepth::Children, "d/b/").await, ["d/b0", "d/c"]);
    assert_eq!(after(ListDepth::Children, "d/b/1").await, ["d/b0", "d/c"]);
}

pub(crate) async fn markers_are_empty_directories(fixture: &Fixture) {
    fixture.put("empty/", "").await;
    fixture.put("full/", "").await;
    fixture.put("full/x", "x").await;
    fixture.put("own", "x").await;
    let all = fixture.entries(request("", ListDepth::Recursive)).await;
    assert!(all.contains(&Entry::Directory { key: key("empty/") }), "{all:?}");
    let objects: Vec<_> =
        all.iter().filter(|entry| matches!(entry, Entry::Object { .. })).map(Entry::key).collect();
    assert_eq!(objects, [&key("full/x"), &key("own")]);
    assert_eq!(fixture.list_all("", ListDepth::Children).await, ["empty/", "full/", "own"]);
    assert!(fixture.list_all("empty/", ListDepth::Children).await.is_empty());
    assert_eq!(fixture.list_all("full/", ListDepth::Recursive).await, ["full/x"]);
}

pub(crate) async fn a_missing_directory_is_told_or_empty(fixture: &Fixture) {
    fixture.put("file", "x").await;
    for name in ["none/", "none/below/", "file/"] {
        let listed = fixture.store.list(&request(name, ListDepth::Children)).await;
        if fixture.store.capabilities().real_directories {
            let error = listed.expect_err(name);
            assert!(matches!(error, Error::NotFound { .. }), "{name}: {error:?}");
        } else {
            assert!(listed.expect(name).entries.is_empty(), "{name}");
        }
    }
}

pub(crate) async fn sizes_and_versions_equal_those_of_stat(fixture: &Fixture) {
    fixture.put_all(["x/1", "x/22", "x/y/333"].map(str::to_owned)).await;
    for depth in [ListDepth::Children, ListDepth::Recursive] {
        for entry in fixture.entries(request("x/", depth)).await {
            if let Entry::Object { key, meta } = entry {
                assert_eq!(fixture.store.stat(&key).await.expect("listed"), meta);
                assert_eq!(meta.size_bytes, key.as_str().len() as u64);
            }
        }
    }
}

pub(crate) async fn lanes_list_what_recursion_lists(fixture: &Fixture) {
    // Directories that are flat, nested, empty and longer than a page, beside objects of the root.
    let flat = (0..1_200).map(|n| format!("flat/{n:04}"));
    let nested = (0..1_200).map(|n| format!("nested/{}/{}/{n:04}", n % 3, n % 2));
    fixture.put_all(flat.chain(nested).chain(["root-1", "z/z/z"].map(str::to_owned))).await;
    fixture.put("empty/", "").await;
    let expected = fixture.list_all("", ListDepth::Recursive).await;
    assert_eq!(expected.len(), 2_403);
    for lanes in [1, 4] {
        let pages = ufs::list_all(fixture.store.clone(), key(""), lanes);
        let entries: Vec<Vec<Entry>> = pages.try_collect().await.expect("listed");
        assert!(entries.iter().all(|page| page.is_sorted_by_key(Entry::key)));
        let mut keys: Vec<_> = entries.iter().flatten().map(|entry| entry.key().as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, expected, "{lanes} lanes");
    }
}
