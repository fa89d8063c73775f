//! Writes that are whole or not there: a temporary file beside the target, fsync, rename, fsync of the directory.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, linkat, unlinkat};

use super::path;
use super::root::{Kind, Root, kind, meta, version};
use crate::{Error, Key, Meta, PutCondition, Result};

/// A place for an object: an open directory and a name in it.
pub(super) struct Place<'k> {
    pub(super) directory: OwnedFd,
    pub(super) name: &'k str,
}

pub(super) fn put(root: &Root, key: &Key, data: &[u8], condition: &PutCondition) -> Result<Meta> {
    if key.is_directory() && data.is_empty() {
        return make_directory(root, key);
    }
    publish(root, key, condition, |file| file.write_all(data))
}

pub(super) fn copy(root: &Root, from: &Key, to: &Key) -> Result<Meta> {
    let (mut source, before) = root.open_object(from)?;
    // `io::copy` uses copy_file_range(2): a reflink, or a copy on the server's side, where there is one.
    let copied = publish(root, to, &PutCondition::Always, |file| io::copy(&mut source, file).map(drop))?;
    let after = fstat(&source).map_err(|errno| root.error(from, errno))?;
    if version(&before) != version(&after) {
        return Err(root.changed(from, &version(&before)));
    }
    Ok(copied)
}

/// Fills a temporary file and gives it the key's name.
pub(super) fn publish(
    root: &Root,
    key: &Key,
    condition: &PutCondition,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<Meta> {
    let place = place(root, key)?;
    let mut temporary = Temporary::create(&place.directory).map_err(|errno| root.write_error(key, errno))?;
    fill(&mut temporary.file)
        .and_then(|()| temporary.file.sync_all())
        .map_err(|error| root.io_error(key, error))?;
    check_version(root, key, &place, condition)?;
    let named = if *condition == PutCondition::IfAbsent {
        // rename(2) would replace; link(2) refuses, on NFS too.
        let flags = AtFlags::empty();
        linkat(&place.directory, temporary.name.as_str(), &place.directory, place.name, flags)
            .and_then(|()| temporary.remove())
    } else {
        renameat(&place.directory, temporary.name.as_str(), &place.directory, place.name)
            .map(|()| temporary.keep())
    };
    named.map_err(|errno| match errno {
        Errno::EEXIST => precondition_failed(root, key),
        errno => root.write_error(key, errno),
    })?;
    fsync(&place.directory).map_err(|errno| root.write_error(key, errno))?;
    let stat = fstat(&temporary.file).map_err(|errno| root.write_error(key, errno))?;
    Ok(meta(&stat))
}

fn check_version(root: &Root, key: &Key, place: &Place<'_>, condition: &PutCondition) -> Result<()> {
    let PutCondition::IfVersion(wanted) = condition else { return Ok(()) };
    match fstatat(&place.directory, place.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if version(&stat) == *wanted => Ok(()),
        Ok(_) | Err(Errno::ENOENT) => Err(precondition_failed(root, key)),
        Err(errno) => Err(root.write_error(key, errno)),
    }
}

fn precondition_failed(root: &Root, key: &Key) -> Error {
    Error::PreconditionFailed { url: root.url().to_owned(), key: key.as_str().to_owned() }
}

/// A file that is removed when it is not named in the end.
struct Temporary<'d> {
    directory: &'d OwnedFd,
    name: String,
    file: File,
    named: bool,
}

impl<'d> Temporary<'d> {
    fn create(directory: &'d OwnedFd) -> Result<Self, Errno> {
        let name = format!("{}put-{:016x}", path::RESERVED, rand::random::<u64>());
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(directory, name.as_str(), flags, Mode::from_bits_truncate(0o644))?;
        Ok(Self { directory, name, file: File::from(file), named: false })
    }

    fn keep(&mut self) {
        self.named = true;
    }

    fn remove(&mut self) -> Result<(), Errno> {
        self.named = true;
        unlinkat(self.directory, self.name.as_str(), UnlinkatFlags::NoRemoveDir)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.named
            && let Err(errno) = unlinkat(self.directory, self.name.as_str(), UnlinkatFlags::NoRemoveDir)
        {
            tracing::warn!(%errno, name = self.name, "a temporary file stays");
        }
    }
}

fn make_directory(root: &Root, key: &Key) -> Result<Meta> {
    let place = place(root, key)?;
    match mkdirat(&place.directory, place.name, Mode::from_bits_truncate(0o755)) {
        Ok(()) => fsync(&place.directory).map_err(|errno| root.write_error(key, errno))?,
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(root.write_error(key, errno)),
    }
    let stat = fstatat(&place.directory, place.name, AtFlags::AT_SYMLINK_NOFOLLOW);
    let stat = stat.map_err(|errno| root.write_error(key, errno))?;
    if kind(&stat) != Some(Kind::Directory) {
        return Err(precondition_failed(root, key));
    }
    Ok(Meta { size_bytes: 0, ..meta(&stat) })
}

/// Opens the directory of a key and makes it, and those above it, when it is missing.
fn place<'k>(root: &Root, key: &'k Key) -> Result<Place<'k>> {
    let (parent, name) = path::split(writable_path(root, key)?);
    let directory = open_or_make(root, parent).map_err(|errno| root.write_error(key, errno))?;
    Ok(Place { directory, name })
}

/// The place of a key in a directory that exists.
fn existing_place<'k>(root: &Root, key: &'k Key) -> Result<Place<'k>> {
    let path = path::of_key(key).filter(|path| *path != ".").ok_or_else(|| root.not_found(key))?;
    let (parent, name) = path::split(path);
    let directory = root.open_directory(parent).map_err(|errno| root.error(key, errno))?;
    Ok(Place { directory, name })
}

fn writable_path<'k>(root: &Root, key: &'k Key) -> Result<&'k str> {
    let path = path::of_key(key).filter(|path| *path != ".");
    path.ok_or_else(|| Error::Unsupported {
        url: root.url().to_owned(),
        operation: "writing a key that is no path (empty, '.', '..' or '.forebay-' components)",
    })
}

pub(super) fn open_or_make(root: &Root, path: &str) -> Result<OwnedFd, Errno> {
    match root.open_directory(path) {
        Err(Errno::ENOENT) if path != "." => {}
        result => return result,
    }
    let (parent, name) = path::split(path);
    let parent = open_or_make(root, parent)?;
    match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) => fsync(&parent)?,
        // Somebody else was faster.
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    root.open_directory(path)
}

pub(super) fn delete(root: &Root, key: &Key) -> Result<()> {
    let place = match existing_place(root, key) {
        Ok(place) => place,
        Err(Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let flag = if key.is_directory() { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
    match unlinkat(&place.directory, place.name, flag) {
        Ok(()) => fsync(&place.directory).map_err(|errno| root.error(key, errno)),
        // EISDIR, ENOTDIR: there is something, but not what the key names.
        Err(Errno::ENOENT | Errno::EISDIR | Errno::ENOTDIR) => Ok(()),
        Err(errno) => Err(root.error(key, errno)),
    }
}

pub(super) fn rename(root: &Root, from: &Key, to: &Key) -> Result<()> {
    let source = existing_place(root, from)?;
    let target = place(root, to)?;
    renameat(&source.directory, source.name, &target.directory, target.name)
        .and_then(|()| fsync(&target.directory))
        .and_then(|()| fsync(&source.directory))
        .map_err(|errno| root.write_error(from, errno))
}
