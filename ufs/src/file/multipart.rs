//! Multipart uploads: a directory `.forebay-uploads/ID` in the root with a file for each part.
//!
//! The file `key` in it names the object, so that an upload can't be completed under another key, and `attributes` has
//! those of the object. Uploads outlive the process; one that is neither completed nor aborted stays.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};

use super::path::{RESERVED, UPLOADS};
use super::root::{Root, size_bytes, version};
use super::write::{open_or_make, publish};
use crate::{
    Attributes, ByteRange, CopySource, Error, Key, Meta, PartNumber, PutCondition, Result, UploadId,
    UploadedPart,
};

const KEY_FILE: &str = "key";
/// Sorts before `key`.
const ATTRIBUTES_FILE: &str = "attributes";
const PART_NUMBER_MAX: u16 = 10_000;

pub(super) fn create(root: &Root, key: &Key, attributes: &Attributes) -> Result<UploadId> {
    let id = UploadId(format!("{:032x}", rand::random::<u128>()));
    let directory = open_or_make(root, &directory_path(&id)).map_err(|errno| root.error(key, errno))?;
    let lines: String =
        attributes.to_pairs().iter().map(|(name, value)| format!("{name} {value}\n")).collect();
    write_whole(&directory, ATTRIBUTES_FILE, |file| file.write_all(lines.as_bytes()))
        .and_then(|()| write_whole(&directory, KEY_FILE, |file| file.write_all(key.as_str().as_bytes())))
        .map_err(|error| root.io_error(key, error))?;
    Ok(id)
}

pub(super) fn put(
    root: &Root,
    key: &Key,
    upload: &UploadId,
    part: PartNumber,
    data: &[u8],
) -> Result<UploadedPart> {
    let directory = open(root, key, upload)?;
    fill_part(root, key, &directory, part, |file| file.write_all(data))
}

pub(super) fn copy(
    root: &Root,
    key: &Key,
    upload: &UploadId,
    part: PartNumber,
    source: &CopySource,
    range: ByteRange,
) -> Result<UploadedPart> {
    let directory = open(root, key, upload)?;
    let (file, before) = root.open_range(&source.key, Some(&source.version), range)?;
    let copied = fill_part(root, key, &directory, part, |part| {
        (&file).seek(SeekFrom::Start(range.start))?;
        // `io::copy` uses copy_file_range(2) here.
        io::copy(&mut (&file).take(range.len()), part).map(drop)
    })?;
    root.check_unchanged(&source.key, &file, &before)?;
    Ok(copied)
}

fn fill_part(
    root: &Root,
    key: &Key,
    directory: &OwnedFd,
    part: PartNumber,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<UploadedPart> {
    if part.0 == 0 || part.0 > PART_NUMBER_MAX {
        let reason = format!("part number {} is not from 1 to {PART_NUMBER_MAX}", part.0);
        return Err(Error::Config { url: root.url().to_owned(), reason });
    }
    write_whole(directory, &part_name(part), fill).map_err(|error| root.io_error(key, error))?;
    let (_, part) = open_part(directory, part).map_err(|errno| root.error(key, errno))?;
    Ok(part)
}

pub(super) fn list(root: &Root, key: &Key, upload: &UploadId) -> Result<Vec<UploadedPart>> {
    let directory = open(root, key, upload)?;
    let names = names(&directory).map_err(|errno| root.error(key, errno))?;
    let mut parts = Vec::new();
    for number in names.iter().filter_map(|name| name.parse().ok().map(PartNumber)) {
        let (_, part) = open_part(&directory, number).map_err(|errno| root.error(key, errno))?;
        parts.push(part);
    }
    parts.sort_by_key(|part| part.number);
    Ok(parts)
}

pub(super) fn complete(
    root: &Root,
    key: &Key,
    upload: &UploadId,
    parts: &[UploadedPart],
    condition: &PutCondition,
) -> Result<Meta> {
    let directory = open(root, key, upload)?;
    if !parts.is_sorted_by(|a, b| a.number < b.number) || parts.is_empty() {
        let reason = "parts must be in ascending order, and at least one".to_owned();
        return Err(Error::Config { url: root.url().to_owned(), reason });
    }
    let attributes = read_attributes(&directory).map_err(|error| root.io_error(key, error))?;
    let meta = publish(root, key, &attributes, condition, |file| {
        for wanted in parts {
            let (mut part, found) = open_part(&directory, wanted.number)?;
            if found != *wanted {
                return Err(io::Error::other(format!("part {} was sent again since", wanted.number.0)));
            }
            io::copy(&mut part, file)?;
        }
        Ok(())
    })?;
    remove(root, key, upload, &directory)?;
    Ok(meta)
}

pub(super) fn abort(root: &Root, key: &Key, upload: &UploadId) -> Result<()> {
    match open(root, key, upload) {
        Ok(directory) => remove(root, key, upload, &directory),
        Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// [`Error::NotFound`] when there is no such upload of this key.
fn open(root: &Root, key: &Key, upload: &UploadId) -> Result<OwnedFd> {
    let plain = upload.0.len() == 32 && upload.0.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !plain {
        return Err(root.not_found(key));
    }
    let directory = root.open_directory(&directory_path(upload)).map_err(|errno| root.error(key, errno))?;
    let opened = open_file(&directory, KEY_FILE).map_err(|errno| root.error(key, errno))?;
    let owner = io::read_to_string(opened).map_err(|error| root.io_error(key, error))?;
    if owner == key.as_str() { Ok(directory) } else { Err(root.not_found(key)) }
}

fn read_attributes(directory: &OwnedFd) -> io::Result<Attributes> {
    let text = io::read_to_string(open_file(directory, ATTRIBUTES_FILE)?)?;
    Ok(Attributes::from_pairs(text.lines().filter_map(|line| line.split_once(' '))))
}

fn directory_path(upload: &UploadId) -> String {
    format!("{UPLOADS}/{}", upload.0)
}

fn part_name(part: PartNumber) -> String {
    format!("{:05}", part.0)
}

fn open_file(directory: &OwnedFd, name: &str) -> Result<File, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(directory, name, flags, Mode::empty()).map(File::from)
}

fn open_part(directory: &OwnedFd, number: PartNumber) -> Result<(File, UploadedPart), Errno> {
    let file = open_file(directory, &part_name(number))?;
    let stat = fstat(&file)?;
    let etag = version(&stat).as_str().to_owned();
    Ok((file, UploadedPart { number, etag, size_bytes: size_bytes(&stat) }))
}

/// Under a name that no listing takes for a part, then renamed.
fn write_whole(
    directory: &OwnedFd,
    name: &str,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = format!("{RESERVED}{:016x}", rand::random::<u64>());
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(directory, temporary.as_str(), flags, Mode::from_bits_truncate(0o600))?);
    fill(&mut file)?;
    file.sync_all()?;
    nix::fcntl::renameat(directory, temporary.as_str(), directory, name)?;
    fsync(directory)?;
    Ok(())
}

fn names(directory: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut entries = Dir::openat(directory, ".", OFlag::O_RDONLY, Mode::empty())?;
    let mut names = Vec::new();
    for entry in entries.iter() {
        if let Ok(name) = entry?.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn remove(root: &Root, key: &Key, upload: &UploadId, directory: &OwnedFd) -> Result<()> {
    let removed = names(directory).and_then(|mut names| {
        // The file `key` comes last, so that a second try still finds the upload.
        names.sort();
        for name in &names {
            match unlinkat(directory, name.as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        let uploads = root.open_directory(UPLOADS)?;
        match unlinkat(uploads, upload.0.as_str(), UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    });
    removed.map_err(|errno| root.error(key, errno))
}
