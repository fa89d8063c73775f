//! Dependencies between our crates point one way: the daemon knows its parts, the parts do not know each other, and
//! only benchmarks and tests know the daemon. Read from `cargo metadata`, so that the manifests themselves are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Crate, and the crates of ours that it may name under `[dependencies]` or `[build-dependencies]`.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("forebay", &["backing-store", "ebpf", "fuse-fast", "slab-store", "staging", "ufs"]),
    ("backing-store", &["slab-store"]),
    ("fuse-fast", &[]),
    ("slab-store", &[]),
    ("staging", &[]),
    ("ufs", &[]),
    ("s3-server", &[]),
    ("forebay-tests", &["forebay", "fuse-fast", "s3-server", "slab-store", "staging", "ufs"]),
    ("forebay-bench", &["forebay", "fuse-fast", "s3-server", "slab-store", "staging", "ufs"]),
];

/// What any crate may name under `[dev-dependencies]`: the S3 server is test support, and a crate names itself to turn
/// on a feature for its own tests.
const TEST_SUPPORT: &str = "s3-server";

/// (crate, crate it names, whether only its tests do)
type Arrow = (String, String, bool);

#[test]
fn dependencies_point_one_way() {
    let (crates, arrows) = ours();
    let listed: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    let unlisted: Vec<_> = crates.iter().filter(|name| !listed.contains(name.as_str())).collect();
    assert!(unlisted.is_empty(), "say in ALLOWED what {unlisted:?} may depend on");
    let wrong: Vec<_> = arrows.iter().filter(|arrow| !is_allowed(arrow)).collect();
    assert!(wrong.is_empty(), "(crate, what it must not depend on, only in tests): {wrong:?}");
}

#[test]
fn a_wrong_arrow_is_found() {
    let arrow = |from: &str, to: &str, is_dev| (from.to_owned(), to.to_owned(), is_dev);
    assert!(is_allowed(&arrow("forebay", "ufs", false)));
    assert!(is_allowed(&arrow("ufs", "s3-server", true)));
    assert!(!is_allowed(&arrow("ufs", "s3-server", false)));
    assert!(!is_allowed(&arrow("ufs", "fuse-fast", false)));
    assert!(!is_allowed(&arrow("slab-store", "forebay", true)));
    let (_, arrows) = ours();
    assert!(arrows.contains(&arrow("forebay", "ufs", false)), "the reader sees the manifests: {arrows:?}");
}

fn is_allowed((from, to, is_dev): &Arrow) -> bool {
    if *is_dev && (to == TEST_SUPPORT || to == from) {
        return true;
    }
    ALLOWED.iter().any(|(name, may)| name == from && may.contains(&to.as_str()))
}

/// The names of our crates and the arrows between them.
fn ours() -> (BTreeSet<String>, BTreeSet<Arrow>) {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages in the metadata");
    let dependencies: BTreeMap<String, &Value> =
        packages.iter().map(|it| (text(&it["name"]), &it["dependencies"])).collect();
    let crates: BTreeSet<String> = dependencies.keys().cloned().collect();
    let mut arrows = BTreeSet::new();
    for (from, list) in dependencies {
        for dependency in list.as_array().expect("a list of dependencies") {
            let to = text(&dependency["name"]);
            if crates.contains(&to) {
                arrows.insert((from.clone(), to, dependency["kind"] == "dev"));
            }
        }
    }
    (crates, arrows)
}

fn text(value: &Value) -> String {
    value.as_str().expect("a name in the metadata is a text").to_owned()
}

fn metadata() -> Value {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(workspace);
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}
