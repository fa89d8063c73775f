//! [`Window`]: the next names of one directory in ascending order, in bounded memory.

use std::collections::BinaryHeap;
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;

use super::path;
use super::root::{Kind, Root, kind};

/// Names that one pass over a directory keeps: a directory of a million files takes 16 passes of `getdents64`, and a
/// window at most some 4 MiB.
pub(super) const NAMES_MAX: usize = 1 << 16;

/// A name with a trailing slash when it is a directory's, so that the order of names is the order of keys.
pub(super) type SortName = Box<str>;

/// A part of a directory.
pub(super) struct Window {
    /// Ascending.
    pub(super) names: Vec<SortName>,
    /// Whether the directory has no names behind these.
    pub(super) complete: bool,
}

/// Reads a directory and keeps the first names behind `after`. `prefix` is the directory's path, empty or ending in
/// `/`.
pub(super) fn read(root: &Root, directory: &OwnedFd, prefix: &str, after: &str) -> Result<Window, Errno> {
    // A descriptor of its own, because reading moves the offset that duplicates share.
    let mut entries =
        Dir::openat(directory, ".", nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty())?;
    let mut first: BinaryHeap<SortName> = BinaryHeap::new();
    let mut complete = true;
    for entry in entries.iter() {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            tracing::debug!(name = ?entry.file_name(), prefix, "a name that is not UTF-8 is not listed");
            continue;
        };
        if !path::is_name(name) {
            continue;
        }
        let known = entry.file_type();
        let Some(name) = sort_name(root, directory, prefix, name, known)? else { continue };
        if &*name <= after {
            continue;
        }
        first.push(name);
        if first.len() > NAMES_MAX {
            first.pop();
            complete = false;
        }
    }
    Ok(Window { names: first.into_sorted_vec(), complete })
}

/// `None` for what is not listed: other kinds of files, and links that lead out of the root or nowhere.
fn sort_name(
    root: &Root,
    directory: &OwnedFd,
    prefix: &str,
    name: &str,
    known: Option<Type>,
) -> Result<Option<SortName>, Errno> {
    let found = match known {
        Some(Type::File) => Some(Kind::Object),
        Some(Type::Directory) => Some(Kind::Directory),
        Some(Type::Symlink) => behind_link(root, prefix, name)?,
        Some(_) => None,
        // Some file systems leave the type out of their directories.
        None => match fstatat(directory.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) if stat.st_mode & nix::libc::S_IFMT == nix::libc::S_IFLNK => {
                behind_link(root, prefix, name)?
            }
            Ok(stat) => kind(&stat),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(errno),
        },
    };
    Ok(found.map(|found| match found {
        Kind::Object => name.into(),
        Kind::Directory => format!("{name}/").into(),
    }))
}

fn behind_link(root: &Root, prefix: &str, name: &str) -> Result<Option<Kind>, Errno> {
    match root.stat_at(&format!("{prefix}{name}")) {
        Ok(stat) => Ok(kind(&stat)),
        Err(Errno::ENOENT | Errno::EXDEV | Errno::ELOOP | Errno::ENOTDIR | Errno::EACCES) => Ok(None),
        Err(errno) => Err(errno),
    }
}
