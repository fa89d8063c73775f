//! mount(2) and umount2(2).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags};

use super::{MountError, MountOptions};
use crate::sys::device;

pub(super) fn mount(path: &Path, options: &MountOptions) -> Result<OwnedFd, MountError> {
    let fd = device::open().map_err(|error| explain_open(path, error))?;
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    flags.set(MsFlags::MS_RDONLY, options.read_only);
    let data = options.kernel_data(fd.as_raw_fd());
    let kind = options.file_system_type();
    nix::mount::mount(Some(options.source.as_str()), path, Some(kind.as_str()), flags, Some(data.as_str()))
        .map_err(|errno| explain_mount(path, errno))?;
    Ok(fd)
}

fn explain_open(path: &Path, source: io::Error) -> MountError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => MountError::Denied {
            path: path.to_owned(),
            hint: "/dev/fuse can't be opened; mount as root".to_owned(),
        },
        _ => MountError::NoFuse { source },
    }
}

fn explain_mount(path: &Path, errno: Errno) -> MountError {
    let path = path.to_owned();
    match errno {
        Errno::EPERM | Errno::EACCES => MountError::Denied {
            path,
            hint: "mount(2) needs CAP_SYS_ADMIN; run as root, and in a container with --cap-add SYS_ADMIN"
                .to_owned(),
        },
        Errno::ENODEV => MountError::NoFuse { source: errno.into() },
        Errno::ENOENT => MountError::Missing { path },
        Errno::ENOTDIR => MountError::NotADirectory { path },
        Errno::ENOTCONN => MountError::DeadMount { path },
        _ => MountError::System { operation: "mount(2)", path, source: errno.into() },
    }
}

pub(super) fn unmount(path: &Path, lazy: bool) -> Result<(), MountError> {
    let how = if lazy { MntFlags::MNT_DETACH } else { MntFlags::empty() };
    nix::mount::umount2(path, how | MntFlags::UMOUNT_NOFOLLOW).map_err(|errno| explain_unmount(path, errno))
}

fn explain_unmount(path: &Path, errno: Errno) -> MountError {
    let path = path.to_owned();
    match errno {
        Errno::EBUSY => MountError::InUse { path },
        Errno::EINVAL => MountError::NotMounted { path },
        Errno::ENOENT | Errno::ENOTDIR => MountError::Missing { path },
        Errno::EPERM | Errno::EACCES => {
            MountError::Denied { path, hint: "umount2(2) needs CAP_SYS_ADMIN; run as root".to_owned() }
        }
        _ => MountError::System { operation: "umount2(2)", path, source: errno.into() },
    }
}

/// Aborts the connection of an attached mount: what umount2(2) with force does to FUSE before it finds files open.
pub(super) fn force(path: &Path) -> Result<(), MountError> {
    match nix::mount::umount2(path, MntFlags::MNT_FORCE | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(errno) => Err(explain_unmount(path, errno)),
    }
}
