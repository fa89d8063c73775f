//! Staging directories of mounts that are not configured any more: found and named, never touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::RealDisk;
use crate::error::OpenError;
use crate::open::{read_identity, replay_into};
use crate::options::Options;
use crate::space::Space;
use crate::tree::{Body, Tree};

/// Data that no mount of this daemon takes care of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOver {
    /// Whose it was.
    pub identity: String,
    /// Where it is.
    pub directory: PathBuf,
    /// Files, directories and symlinks that the store lacks something of.
    pub dirty_files: u64,
    /// Bytes that its journal knows of and the store lacks. Files that were being written count as when last synced.
    pub dirty_bytes: u64,
    /// Why it cannot be said, when the journal cannot be read.
    pub problem: Option<String>,
}

/// Looks at all staging directories in `parent`, except those of the `configured` identities. One without anything
/// that its store lacks is not reported.
pub fn left_over(parent: &Path, configured: &[String]) -> Result<Vec<LeftOver>, OpenError> {
    let failed = |source| OpenError::Io { action: "list", path: parent.to_owned(), source };
    let entries = match fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let directory = entry.map_err(failed)?.path();
        let identity =
            if directory.is_dir() { read_identity(&RealDisk::new(directory.clone())) } else { continue };
        match identity {
            Ok(Some(identity)) if !configured.contains(&identity) => {
                found.extend(survey(directory, identity))
            }
            Ok(_) => {}
            Err(source) => {
                return Err(OpenError::Io { action: "read the identity of", path: directory, source });
            }
        }
    }
    found.sort_by(|left, right| left.directory.cmp(&right.directory));
    Ok(found)
}

fn survey(directory: PathBuf, identity: String) -> Option<LeftOver> {
    let options = Options::new(directory.clone(), identity.clone());
    let space = Arc::new(Space::new(u64::MAX));
    let mut tree = Tree::new(options.tree_depth, options.delay.clone(), space.clone(), options.root);
    let problem = replay_into(&RealDisk::new(directory.clone()), &options, &mut tree)
        .err()
        .map(|error| error.to_string());
    let is_dirty = |body: &Body, is_remote: bool| {
        !is_remote || matches!(body, Body::File(file) if file.content.lock().is_dirty)
    };
    let dirty_files =
        tree.nodes.values().filter(|node| is_dirty(&node.body, node.meta.is_remote)).count() as u64;
    let dirty_bytes = space.dirty_bytes.get();
    let has_something = dirty_files > 0 || !tree.events.is_empty() || problem.is_some();
    has_something.then_some(LeftOver { identity, directory, dirty_files, dirty_bytes, problem })
}
