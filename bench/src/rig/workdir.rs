//! A directory of our own that is removed at the end, mounts or not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use super::machine::require_free_space;

/// Removed with all that is in it when dropped. Make it before the daemon, so that it is dropped after the unmount.
pub(crate) struct WorkDir(TempDir);

impl WorkDir {
    /// A new directory below `parent`, which has `wanted_bytes` free.
    pub(crate) fn new(parent: &Path, wanted_bytes: u64) -> anyhow::Result<Self> {
        // without symbolic links: mount points are looked up by their path in mountinfo
        let parent = parent.canonicalize().with_context(|| format!("look for {}", parent.display()))?;
        require_free_space(&parent, wanted_bytes)?;
        let made = tempfile::Builder::new().prefix("forebay-bench-").tempdir_in(&parent);
        Ok(Self(made.with_context(|| format!("make a directory in {}", parent.display()))?))
    }

    /// A subdirectory, made if need be.
    pub(crate) fn sub(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.path().join(name);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(path)
    }
}
