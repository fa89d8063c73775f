//! Everything below a directory, as text that can be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::operation::{TOUCHED_SECONDS_MAX, describe, fingerprint, note};

/// A line for each path. Times of directories and of symbolic links are left out: they are the time of the test.
pub(crate) fn snapshot(root: &Path, with_times: bool) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    add(root, root, with_times, &mut lines);
    lines
}

fn add(root: &Path, directory: &Path, with_times: bool, lines: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = match meta.file_type() {
            kind if kind.is_symlink() => format!("to {:?}", fs::read_link(&path).unwrap()),
            kind if kind.is_dir() => "directory".to_owned(),
            _ => format!(
                "{:x}{}",
                fingerprint(&fs::read(&path).unwrap()),
                if with_times { set_time(&meta) } else { String::new() }
            ),
        };
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        lines.insert(name, format!("{} {content} {:?}", describe(&meta), note(&path)));
        if meta.is_dir() {
            add(root, &path, with_times, lines);
        }
    }
}

/// A time that an operation has set.
fn set_time(meta: &fs::Metadata) -> String {
    if meta.mtime() < TOUCHED_SECONDS_MAX as i64 { format!(" at {}", meta.mtime()) } else { String::new() }
}
