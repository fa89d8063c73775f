//! [`MountError`]: why a mount or unmount failed, and what to do.

use std::io;
use std::path::PathBuf;

/// A mount or unmount failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// No such directory.
    #[error("mount point {path} does not exist: create the directory first")]
    Missing {
        /// The mount point.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("mount point {path} is not a directory")]
    NotADirectory {
        /// The mount point.
        path: PathBuf,
    },
    /// A file system of the same subtype is mounted there.
    #[error(
        "mount point {path} is in use: {source_name} is mounted there already; unmount it or choose another one"
    )]
    Busy {
        /// The mount point.
        path: PathBuf,
        /// What is mounted.
        source_name: String,
    },
    /// The process behind an earlier mount is gone ("transport endpoint is not connected").
    #[error(
        "mount point {path} holds a dead mount (transport endpoint is not connected): its process is gone; \
             run `umount -l {path}` or `fusermount3 -uz {path}` first"
    )]
    DeadMount {
        /// The mount point.
        path: PathBuf,
    },
    /// The kernel has no FUSE, or the device node is missing.
    #[error(
        "no /dev/fuse ({source}): load the module with `modprobe fuse`, and in a container pass --device /dev/fuse"
    )]
    NoFuse {
        /// Error of the open.
        source: io::Error,
    },
    /// Missing permission.
    #[error("not allowed to mount at {path}: {hint}")]
    Denied {
        /// The mount point.
        path: PathBuf,
        /// What is missing.
        hint: String,
    },
    /// `fusermount3` is not installed.
    #[error("fusermount3 was not found: install the package fuse3, or mount as root")]
    NoFusermount,
    /// `fusermount3` failed for a reason that it gives.
    #[error("fusermount3 failed at {path}: {message}")]
    Fusermount {
        /// The mount point.
        path: PathBuf,
        /// What it printed.
        message: String,
    },
    /// An option that can't be passed on.
    #[error("mount option {option} can't be {value:?}: it is empty or has characters that are not allowed")]
    BadOption {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: String,
    },
    /// Nothing is mounted there.
    #[error("{path} is not a mount point")]
    NotMounted {
        /// The path.
        path: PathBuf,
    },
    /// Files below it are open.
    #[error(
        "{path} is in use: close files and leave directories below it (`fuser -vm {path}` lists who has them), or \
             unmount lazily"
    )]
    InUse {
        /// The mount point.
        path: PathBuf,
    },
    /// The connection can't be aborted.
    #[error(
        "the FUSE connection of {path} can't be aborted once it is detached: close the files that are open, or \
             run `mount -t fusectl none /sys/fs/fuse/connections` first"
    )]
    NoAbort {
        /// The mount point.
        path: PathBuf,
    },
    /// A system call failed in another way.
    #[error("{operation} at {path}: {source}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// The mount point.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}
