//! [`AttachedMount`]: a mount of ours, known by its device number, and the ways to end it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{MountError, MountedAt, direct, unmount};

/// A mount that this process made. Dropping it unmounts lazily what is still there.
#[derive(Debug)]
pub(crate) struct AttachedMount {
    path: PathBuf,
    device: (u32, u32),
}

impl AttachedMount {
    /// Finds the mount that was just made at `path`.
    pub(super) fn new(path: PathBuf) -> Result<AttachedMount, MountError> {
        let not_readable = |source| MountError::System {
            operation: "reading /proc/self/mountinfo",
            path: path.clone(),
            source,
        };
        match MountedAt::find(&path).map_err(not_readable)? {
            Some(mounted) => Ok(AttachedMount { device: mounted.device, path }),
            None => Err(MountError::NotMounted { path }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this very mount, and not a later one, is on top at its path.
    fn is_attached(&self) -> bool {
        matches!(MountedAt::find(&self.path), Ok(Some(mounted)) if mounted.device == self.device)
    }

    /// Unmounts; nothing to do when somebody else did.
    pub(crate) fn unmount(&self, lazy: bool) -> Result<(), MountError> {
        if !self.is_attached() {
            return Ok(());
        }
        match unmount(&self.path, lazy) {
            Err(MountError::NotMounted { .. }) => Ok(()),
            result => result,
        }
    }

    /// Aborts the connection: every waiting and later call on the mount fails, and reads of the device end. Through
    /// fusectl, which the mount's owner may write, else by an unmount with force.
    pub(crate) fn abort(&self) -> Result<(), MountError> {
        let control = format!("/sys/fs/fuse/connections/{}/abort", self.device.1);
        match fs::write(&control, "1") {
            Ok(()) => Ok(()),
            Err(_) if self.is_attached() => direct::force(&self.path),
            // Neither listed nor mounted: the connection is gone already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(MountError::System {
                operation: "aborting through fusectl",
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// Raises the read-ahead in force, which INIT can only lower, through sysfs; needs root.
    pub(crate) fn set_readahead(&self, bytes: u32) -> io::Result<()> {
        let (major, minor) = self.device;
        fs::write(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"), (bytes / 1024).to_string())
    }
}

impl Drop for AttachedMount {
    fn drop(&mut self) {
        if let Err(error) = self.unmount(true) {
            tracing::warn!(%error, "a mount was left behind");
        }
    }
}
