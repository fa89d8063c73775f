//! [`Attributes`] as the mode, owner, times and extended attributes of a file.
//!
//! A root directory may be on a file system that has no owners or no extended attributes (or an NFS server that keeps
//! root out): what it refuses is left out, logged once, and everything else is kept.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, Mode, UtimensatFlags, fchmod, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat};
use rustix::buffer::spare_capacity;
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};

use super::root::{Root, meta, modified};
use crate::attributes::seconds_and_nanoseconds;
use crate::{Attributes, Key, Meta, Result, Xattrs};

/// Of the attributes that may be set without being root, those that the kernel gives to users.
const USER: &str = "user.";
/// Holds [`Attributes::write_id`].
const WRITE_ID: &str = "user.forebay.write";
/// Linux: "XATTR_LIST_MAX" and "XATTR_SIZE_MAX" of `linux/limits.h`.
const XATTR_BYTES_MAX: usize = 64 << 10;

pub(super) fn describe(root: &Root, key: &Key) -> Result<(Meta, Attributes)> {
    let (file, stat) = root.open_object(key)?;
    let attributes = of_file(&file, &stat).map_err(|errno| root.error(key, errno))?;
    Ok((meta(&stat), attributes))
}

/// The attributes of an open file.
pub(super) fn of_file(file: &File, stat: &FileStat) -> Result<Attributes, Errno> {
    let mut xattrs = xattrs(file.as_fd())?;
    let write_id = xattrs.remove(WRITE_ID).and_then(|id| String::from_utf8(id.into()).ok());
    Ok(Attributes {
        mode: Some(stat.st_mode & 0o7777),
        uid: Some(stat.st_uid),
        gid: Some(stat.st_gid),
        modified: Some(modified(stat)),
        is_symlink: false,
        xattrs,
        write_id: write_id.map(Into::into),
    })
}

fn xattrs(file: BorrowedFd<'_>) -> Result<Xattrs, Errno> {
    let mut names: Vec<u8> = Vec::with_capacity(XATTR_BYTES_MAX);
    match flistxattr(file, spare_capacity(&mut names)) {
        Ok(_) => {}
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(Xattrs::new()),
        Err(errno) => return Err(Errno::from_raw(errno.raw_os_error())),
    }
    let mut found = Xattrs::new();
    for name in names.split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok()) {
        if name.starts_with(USER)
            && let Some(value) = xattr(file, name)?
        {
            found.insert(name.into(), value.into());
        }
    }
    Ok(found)
}

fn xattr(file: BorrowedFd<'_>, name: &str) -> Result<Option<Vec<u8>>, Errno> {
    let mut value: Vec<u8> = Vec::with_capacity(XATTR_BYTES_MAX);
    match fgetxattr(file, name, spare_capacity(&mut value)) {
        Ok(_) => Ok(Some(value)),
        Err(rustix::io::Errno::NODATA) => Ok(None),
        Err(errno) => Err(Errno::from_raw(errno.raw_os_error())),
    }
}

/// Gives a file that nobody else has opened its attributes. The time of the last change comes last.
pub(super) fn apply(file: &File, attributes: &Attributes) -> io::Result<()> {
    let (uid, gid) = (attributes.uid.map(Uid::from_raw), attributes.gid.map(Gid::from_raw));
    if uid.is_some() || gid.is_some() {
        unless_impossible(fchown(file, uid, gid), "owner")?;
    }
    // After the owner: chown(2) takes the set-user-ID bit away.
    if let Some(mode) = attributes.mode {
        unless_impossible(fchmod(file, Mode::from_bits_truncate(mode)), "mode")?;
    }
    let write_id = attributes.write_id.as_ref().map(|id| (WRITE_ID, id.as_bytes()));
    let xattrs = attributes.xattrs.iter().map(|(name, value)| (&**name, &**value)).chain(write_id);
    for (name, value) in xattrs {
        let set = fsetxattr(file, name, value, XattrFlags::empty());
        unless_impossible(set.map_err(|errno| Errno::from_raw(errno.raw_os_error())), "extended attributes")?;
    }
    if let Some(time) = attributes.modified {
        futimens(file, &TimeSpec::UTIME_OMIT, &time_spec(time))?;
    }
    Ok(())
}

/// A link has an owner and times; mode and extended attributes are its target's.
pub(super) fn apply_to_symlink(directory: &OwnedFd, name: &str, attributes: &Attributes) -> io::Result<()> {
    let (uid, gid) = (attributes.uid.map(Uid::from_raw), attributes.gid.map(Gid::from_raw));
    if uid.is_some() || gid.is_some() {
        unless_impossible(fchownat(directory, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW), "owner")?;
    }
    if let Some(time) = attributes.modified {
        let flags = UtimensatFlags::NoFollowSymlink;
        utimensat(directory, name, &TimeSpec::UTIME_OMIT, &time_spec(time), flags)?;
    }
    Ok(())
}

fn time_spec(time: std::time::SystemTime) -> TimeSpec {
    let (seconds, nanoseconds) = seconds_and_nanoseconds(time);
    TimeSpec::new(seconds, nanoseconds.into())
}

fn unless_impossible(result: Result<(), Errno>, what: &'static str) -> io::Result<()> {
    static LOGGED: AtomicBool = AtomicBool::new(false);
    match result {
        Err(errno @ (Errno::EPERM | Errno::EOPNOTSUPP | Errno::EINVAL | Errno::E2BIG | Errno::ENOSPC)) => {
            if !LOGGED.swap(true, Ordering::Relaxed) {
                tracing::warn!(%errno, what, "the directory of a file:// store does not keep some attributes");
            }
            Ok(())
        }
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::fstat;

    use super::*;

    #[test]
    fn what_is_applied_is_read_back() {
        let file = tempfile::tempfile().expect("a temporary file");
        let attributes = Attributes {
            mode: Some(0o4711),
            uid: Some(12),
            gid: Some(34),
            modified: Some(std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789)),
            is_symlink: false,
            xattrs: [("user.note".into(), b"\0\xff"[..].into())].into(),
            write_id: Some("w".into()),
        };
        if !nix::unistd::geteuid().is_root() {
            println!("SKIP: only root may give files away");
            return;
        }
        apply(&file, &attributes).expect("applied");
        let stat = fstat(&file).expect("open");
        assert_eq!(of_file(&file, &stat).expect("read"), attributes);
    }
}
