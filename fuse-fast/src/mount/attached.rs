//! [`AttachedMount`]: a mount of ours, known by its device number, and the ways to end it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{MountError, MountedAt, direct, unmount};

/// Where fusectl is mounted, if it is: one directory for each connection.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";

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
            operation: "reading /proc/thread-self/mountinfo",
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
    /// fusectl, which the mount's owner may write, else by an unmount with force while it is still attached.
    pub(crate) fn abort(&self) -> Result<(), MountError> {
        let control = format!("{CONNECTIONS}/{}/abort", self.device.1);
        match fs::write(&control, "1") {
            Ok(()) => Ok(()),
            Err(_) if self.is_attached() => direct::force(&self.path),
            // fusectl lists every connection: this one is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound && has_fusectl() => Ok(()),
            Err(_) => Err(MountError::NoAbort { path: self.path.clone() }),
        }
    }

    /// Raises the read-ahead in force, which INIT can only lower, through sysfs; needs root.
    pub(crate) fn set_readahead(&self, bytes: u32) -> io::Result<()> {
        let (major, minor) = self.device;
        fs::write(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"), (bytes / 1024).to_string())
    }
}

fn has_fusectl() -> bool {
    matches!(MountedAt::find(Path::new(CONNECTIONS)), Ok(Some(_)))
}

impl Drop for AttachedMount {
    fn drop(&mut self) {
        if let Err(error) = self.unmount(true) {
            tracing::warn!(%error, "a mount was left behind");
        }
    }
}
