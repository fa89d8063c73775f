//! Writes that are whole or not there: a temporary file beside the target, fsync, rename, fsync of the directory.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, linkat, symlinkat, unlinkat};

use super::attributes;
use super::path;
use super::root::{Root, meta, version};
use crate::{Attributes, CopySource, Error, Key, Meta, PutCondition, Result, Version};

/// A place for an object: an open directory and a name in it.
pub(super) struct Place<'k> {
    pub(super) directory: OwnedFd,
    pub(super) name: &'k str,
}

pub(super) fn put(
    root: &Root,
    key: &Key,
    data: &[u8],
    attributes: &Attributes,
    condition: &PutCondition,
) -> Result<Meta> {
    if key.is_directory() && data.is_empty() {
        return make_directory(root, key, attributes);
    }
    if attributes.is_symlink {
        return put_symlink(root, key, data, attributes, condition);
    }
    publish(root, key, attributes, condition, |file| file.write_all(data))
}

pub(super) fn copy(
    root: &Root,
    source: &CopySource,
    to: &Key,
    attributes: Option<&Attributes>,
    condition: &PutCondition,
) -> Result<Meta> {
    let (mut file, before) = root.open_object(&source.key)?;
    if version(&before) != source.version {
        return Err(root.changed(&source.key, &source.version));
    }
    let own = match attributes {
        Some(_) => Attributes::default(),
        None => attributes::of_file(&file, &before).map_err(|errno| root.error(&source.key, errno))?,
    };
    let copied = publish(root, to, attributes.unwrap_or(&own), condition, |target| {
        // `io::copy` uses copy_file_range(2): a reflink, or a copy on the server's side, where there is one.
        io::copy(&mut file, target)?;
        Ok(())
    })?;
    // A copy onto itself has taken the name away from the source, which changes its ctime.
    if source.key != *to {
        root.check_unchanged(&source.key, &file, &before)?;
    }
    Ok(copied)
}

/// Fills a temporary file and gives it the key's name.
pub(super) fn publish(
    root: &Root,
    key: &Key,
    attributes: &Attributes,
    condition: &PutCondition,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<Meta> {
    let place = place(root, key)?;
    let mut temporary = Temporary::create(&place.directory).map_err(|errno| root.write_error(key, errno))?;
    fill(&mut temporary.file)
        .and_then(|()| attributes::apply(&temporary.file, attributes))
        .and_then(|()| temporary.file.sync_all())
        .map_err(|error| root.io_error(key, error))?;
    let file = temporary.file.try_clone().map_err(|error| root.io_error(key, error))?;
    name_it(root, key, &place, &mut temporary.name, condition)?;
    let stat = fstat(&file).map_err(|errno| root.write_error(key, errno))?;
    Ok(meta(&stat))
}

/// Gives what is complete under a temporary name the key's name.
fn name_it(
    root: &Root,
    key: &Key,
    place: &Place<'_>,
    temporary: &mut TemporaryName<'_>,
    condition: &PutCondition,
) -> Result<()> {
    check_version(root, key, place, condition)?;
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
    fsync(&place.directory).map_err(|errno| root.write_error(key, errno))
}

fn put_symlink(
    root: &Root,
    key: &Key,
    target: &[u8],
    attributes: &Attributes,
    condition: &PutCondition,
) -> Result<Meta> {
    let place = place(root, key)?;
    let mut temporary = TemporaryName::new(&place.directory);
    symlinkat(OsStr::from_bytes(target), &place.directory, temporary.name.as_str())
        .map_err(|errno| root.write_error(key, errno))?;
    attributes::apply_to_symlink(&place.directory, &temporary.name, attributes)
        .map_err(|error| root.io_error(key, error))?;
    name_it(root, key, &place, &mut temporary, condition)?;
    let stat = fstatat(&place.directory, place.name, AtFlags::AT_SYMLINK_NOFOLLOW);
    Ok(meta(&stat.map_err(|errno| root.write_error(key, errno))?))
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
    name: TemporaryName<'d>,
    file: File,
}

impl<'d> Temporary<'d> {
    fn create(directory: &'d OwnedFd) -> Result<Self, Errno> {
        let mut name = TemporaryName::new(directory);
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(directory, name.name.as_str(), flags, Mode::from_bits_truncate(0o644));
        let file = opened.inspect_err(|_| name.keep())?;
        Ok(Self { name, file: File::from(file) })
    }
}

/// A name that is removed unless it was taken away.
struct TemporaryName<'d> {
    directory: &'d OwnedFd,
    name: String,
    gone: bool,
}

impl<'d> TemporaryName<'d> {
    fn new(directory: &'d OwnedFd) -> Self {
        let name = format!("{}put-{:016x}", path::RESERVED, rand::random::<u64>());
        Self { directory, name, gone: false }
    }

    fn keep(&mut self) {
        self.gone = true;
    }

    fn remove(&mut self) -> Result<(), Errno> {
        self.gone = true;
        unlinkat(self.directory, self.name.as_str(), UnlinkatFlags::NoRemoveDir)
    }
}

impl Drop for TemporaryName<'_> {
    fn drop(&mut self) {
        if !self.gone
            && let Err(errno) = unlinkat(self.directory, self.name.as_str(), UnlinkatFlags::NoRemoveDir)
            && errno != Errno::ENOENT
        {
            tracing::warn!(%errno, name = self.name, "a temporary file stays");
        }
    }
}

fn make_directory(root: &Root, key: &Key, attributes: &Attributes) -> Result<Meta> {
    let place = place(root, key)?;
    match mkdirat(&place.directory, place.name, Mode::from_bits_truncate(0o755)) {
        Ok(()) => fsync(&place.directory).map_err(|errno| root.write_error(key, errno))?,
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(root.write_error(key, errno)),
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = match openat(&place.directory, place.name, flags, Mode::empty()) {
        Err(Errno::ENOTDIR | Errno::ELOOP) => return Err(precondition_failed(root, key)),
        opened => File::from(opened.map_err(|errno| root.write_error(key, errno))?),
    };
    attributes::apply(&opened, attributes).map_err(|error| root.io_error(key, error))?;
    let stat = fstat(&opened).map_err(|errno| root.write_error(key, errno))?;
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

pub(super) fn delete(root: &Root, key: &Key, wanted: Option<&Version>) -> Result<()> {
    let place = match existing_place(root, key) {
        Ok(place) => place,
        Err(Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Some(wanted) = wanted {
        match fstatat(&place.directory, place.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return Ok(()),
            Ok(stat) if version(&stat) != *wanted => return Err(precondition_failed(root, key)),
            stat => drop(stat.map_err(|errno| root.error(key, errno))?),
        }
    }
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
