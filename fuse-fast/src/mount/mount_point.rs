//! Is this a place to mount at?

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::mount_info::MountedAt;
use super::{MountError, MountOptions};
use crate::types::Errno;

/// The mount point without symbolic links, or what is wrong with it.
pub(super) fn check(mount_point: &Path, options: &MountOptions) -> Result<PathBuf, MountError> {
    let path = fs::canonicalize(mount_point).map_err(|error| explain(mount_point, error))?;
    let metadata = fs::metadata(&path).map_err(|error| explain(mount_point, error))?;
    if !metadata.is_dir() {
        return Err(MountError::NotADirectory { path });
    }
    match MountedAt::find(&path) {
        Ok(Some(mounted)) if mounted.file_system_type == options.file_system_type() => {
            Err(MountError::Busy { path, source_name: mounted.source })
        }
        Ok(_) => Ok(path),
        Err(source) => {
            Err(MountError::System { operation: "reading /proc/thread-self/mountinfo", path, source })
        }
    }
}

fn explain(path: &Path, source: io::Error) -> MountError {
    let path = path.to_owned();
    match Errno::from(&source) {
        Errno::ENOENT => MountError::Missing { path },
        Errno::ENOTDIR => MountError::NotADirectory { path },
        Errno::ENOTCONN | Errno::ECONNABORTED => MountError::DeadMount { path },
        Errno::EACCES | Errno::EPERM => {
            MountError::Denied { path, hint: "this user can't reach the directory".to_owned() }
        }
        _ => MountError::System { operation: "stat", path, source },
    }
}
