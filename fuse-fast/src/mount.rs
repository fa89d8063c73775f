//! Attaching a FUSE connection to a mount point, and detaching it.
//!
//! Parts: `options` is what to mount with; `mount_point` checks the place; `direct` is mount(2) for root,
//! `fusermount` the setuid helper for everyone else; `mount_info` reads /proc/thread-self/mountinfo; `error` says what is
//! wrong and what to do.
//!
//! Flow: check the place, open /dev/fuse, mount, and hand out a [`FuseDevice`], which unmounts when it is dropped
//! before a session owns it: a failed start leaves nothing mounted.

mod attached;
mod direct;
mod error;
mod fusermount;
mod mount_info;
mod mount_point;
mod options;

use std::os::fd::OwnedFd;
use std::path::Path;

pub(crate) use attached::AttachedMount;
pub use error::MountError;
pub(crate) use mount_info::MountedAt;
pub use options::{MountMethod, MountOptions};

/// A connection that is mounted but not served yet. Dropping it unmounts.
#[derive(Debug)]
pub struct FuseDevice {
    pub(crate) fd: OwnedFd,
    /// `None` for a connection that this process did not mount.
    pub(crate) mount: Option<AttachedMount>,
    /// Limit of a `read` that was given to the kernel at mount.
    pub(crate) read_bytes_max: Option<u32>,
}

impl FuseDevice {
    /// The path that was mounted, without symbolic links.
    pub fn mount_point(&self) -> Option<&Path> {
        self.mount.as_ref().map(AttachedMount::path)
    }

    /// A connection whose other end is a test.
    #[cfg(test)]
    pub(crate) fn of_test(fd: OwnedFd) -> FuseDevice {
        FuseDevice { fd, mount: None, read_bytes_max: None }
    }
}

/// Mounts. Requests wait in the kernel until a [`Session`](crate::session::Session) serves the device.
///
/// As root with mount(2), otherwise with `fusermount3`, unless the options say which. A directory that is not empty can
/// be mounted over; one where a file system of the same subtype is mounted already can not.
pub fn mount(mount_point: &Path, options: &MountOptions) -> Result<FuseDevice, MountError> {
    options.check()?;
    let path = mount_point::check(mount_point, options)?;
    let fd = match options.method.choose() {
        MountMethod::Fusermount => fusermount::mount(&path, options)?,
        MountMethod::Auto | MountMethod::Direct => direct::mount(&path, options)?,
    };
    let mount = match AttachedMount::new(path.clone()) {
        Ok(mount) => mount,
        Err(error) => {
            unmount(&path, true)?;
            return Err(error);
        }
    };
    Ok(FuseDevice { fd, mount: Some(mount), read_bytes_max: options.max_read_bytes })
}

/// Unmounts what is mounted last at `mount_point`. `lazy` detaches it from the tree at once, and the connection ends
/// when the last open file is closed.
pub fn unmount(mount_point: &Path, lazy: bool) -> Result<(), MountError> {
    match MountMethod::Auto.choose() {
        MountMethod::Fusermount => fusermount::unmount(mount_point, lazy),
        MountMethod::Auto | MountMethod::Direct => direct::unmount(mount_point, lazy),
    }
}
