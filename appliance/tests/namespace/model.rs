//! Any set of keys against a model of the POSIX tree that they must become.

use std::collections::{BTreeMap, BTreeSet};

use forebay::config::Consistency;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::memory_store::MemoryStore;
use super::mount::Mount;

/// Directories with their names, those of directories ending in `/`; and the files.
#[derive(Debug, Default, PartialEq, Eq)]
struct Model {
    directories: BTreeMap<String, BTreeSet<String>>,
    files: BTreeSet<String>,
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && name.len() <= 255 && !name.contains('\0')
}

/// Written from the rules of SEMANTICS, without order or streams.
fn model(keys: &BTreeSet<String>) -> Model {
    let mut model = Model::default();
    model.directories.insert(String::new(), BTreeSet::new());
    for key in keys {
        let mut parts: Vec<&str> = key.split('/').collect();
        let file = parts.pop().expect("split gives one part at least");
        let mut at = String::new();
        let mut is_shown = true;
        for part in parts {
            if !is_name(part) {
                is_shown = false;
                break;
            }
            model.directories.entry(at.clone()).or_default().insert(format!("{part}/"));
            at = format!("{at}{part}/");
            model.directories.entry(at.clone()).or_default();
        }
        if is_shown && is_name(file) {
            model.directories.entry(at.clone()).or_default().insert(file.to_owned());
        }
    }
    for (directory, names) in &mut model.directories {
        let with_slash: BTreeSet<_> = names.iter().filter(|name| name.ends_with('/')).cloned().collect();
        names.retain(|name| name.ends_with('/') || !with_slash.contains(&format!("{name}/")));
        model.files.extend(
            names.iter().filter(|name| !name.ends_with('/')).map(|name| format!("{directory}{name}")),
        );
    }
    model
}

/// The tree as the mount shows it, by listing directory after directory.
async fn shown(mount: &Mount) -> Model {
    let mut model = Model::default();
    let mut open = vec![String::new()];
    while let Some(directory) = open.pop() {
        let names: BTreeSet<_> = mount.list(directory.trim_end_matches('/')).await.into_iter().collect();
        open.extend(names.iter().filter(|name| name.ends_with('/')).map(|name| format!("{directory}{name}")));
        model.files.extend(
            names.iter().filter(|name| !name.ends_with('/')).map(|name| format!("{directory}{name}")),
        );
        model.directories.insert(directory, names);
    }
    model
}

async fn check(
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
    page: usize,
    deep: bool,
) -> Result<(), TestCaseError> {
    let store = MemoryStore::new(page, &before.iter().map(String::as_str).collect::<Vec<_>>());
    let mount = Mount::new(store.clone(), Consistency::Immutable).await;
    if deep {
        mount.refresh("", true).await;
    }
    prop_assert_eq!(shown(&mount).await, model(before));
    before.difference(after).for_each(|key| store.remove(key));
    after.difference(before).for_each(|key| store.put(key, "v1"));
    mount.refresh("", true).await;
    let expected = model(after);
    prop_assert_eq!(&shown(&mount).await, &expected);
    let files: BTreeSet<_> = mount.files("").await.into_iter().collect();
    prop_assert_eq!(&files, &expected.files);
    for file in &expected.files {
        prop_assert!(mount.walk(file).await.expect("the store answers").is_some());
    }
    Ok(())
}

fn keys() -> impl Strategy<Value = BTreeSet<String>> {
    // Few characters, those next to `/` among them, so that names collide and are prefixes of each other.
    prop::collection::btree_set("[ab.0/-]{1,6}", 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_keys_become_the_tree_of_the_model(
        before in keys(), after in keys(), page in 1..9usize, deep: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(check(&before, &after, page, deep))?;
    }
}
