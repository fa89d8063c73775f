//! The program under test: the `forebay` that cargo built beside this test.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use crate::run;

/// Time to build the daemon from nothing on two cores.
const BUILD_TIME_MAX: Duration = Duration::from_secs(1200);
/// What the daemon is made of, relative to the workspace.
const SOURCES: [&str; 5] = ["appliance", "fuse-fast", "ufs", "Cargo.toml", "Cargo.lock"];

/// Path of the `forebay` program: `$FOREBAY_BINARY`, else the one in the target directory of this test. That one is
/// built when it is missing or older than its sources, since cargo does not build programs of other packages for a test.
pub fn forebay() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os("FOREBAY_BINARY").map_or_else(built, PathBuf::from))
}

fn built() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    let profile_dir = test.parent().and_then(Path::parent).expect("tests lie in target/PROFILE/deps");
    let binary = profile_dir.join("forebay");
    let built_at = fs::metadata(&binary).and_then(|meta| meta.modified()).ok();
    if built_at.is_none_or(|built_at| built_at < newest_source()) {
        build(profile_dir);
    }
    assert!(binary.is_file(), "no {binary:?} after cargo build");
    binary
}

fn build(profile_dir: &Path) {
    let release = profile_dir.file_name().is_some_and(|name| name == "release");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "forebay"]).args(release.then_some("--release"));
    command.arg("--target-dir").arg(profile_dir.parent().expect("target/PROFILE")).current_dir(workspace());
    run(&mut command, BUILD_TIME_MAX).succeeded();
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

fn newest_source() -> SystemTime {
    let times = SOURCES.iter().map(|source| newest_below(&workspace().join(source)));
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn newest_below(path: &Path) -> SystemTime {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("list a source folder");
        let times = entries.map(|entry| newest_below(&entry.expect("list a source folder").path()));
        return times.max().unwrap_or(SystemTime::UNIX_EPOCH);
    }
    // an editor's temporary file may be gone again
    fs::metadata(path).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
