//! [`Root`]: opening below the root directory, and what errno means.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use super::path;
use crate::{ByteRange, Error, Key, Meta, Result, Version};

/// `openat2(2)`: resolution fails with EAGAIN when a rename elsewhere might have led it out of the root.
const RENAME_RACES_MAX: u32 = 100;

/// The root directory, held open.
pub(super) struct Root {
    directory: OwnedFd,
    url: String,
}

/// What a directory entry is to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Directory,
}

impl Root {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let url = format!("file://{}", root.display());
        match open(root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(directory) => Ok(Self { directory, url }),
            Err(Errno::ENOENT) => Err(Error::NoSuchStore { url }),
            Err(Errno::ENOTDIR) => Err(Error::Config { url, reason: "the root is not a directory".into() }),
            Err(errno) => Err(error_at(&url, "", errno)),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Opens a path that cannot lead out of the root.
    pub(super) fn open_at(&self, path: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let mut result = Err(Errno::EAGAIN);
        for _ in 0..RENAME_RACES_MAX {
            result = openat2(&self.directory, path, how);
            if !matches!(result, Err(Errno::EAGAIN | Errno::EINTR)) {
                break;
            }
        }
        result
    }

    pub(super) fn open_directory(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.open_at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
    }

    /// Opens an object for reading.
    pub(super) fn open_object(&self, key: &Key) -> Result<(File, FileStat)> {
        let path = self.object_path(key)?;
        // O_NONBLOCK: opening a pipe must not wait for its writer.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = self.open_at(path, flags).map_err(|errno| self.error(key, errno))?;
        let stat = fstat(&file).map_err(|errno| self.error(key, errno))?;
        if kind(&stat) != Some(Kind::Object) {
            return Err(self.not_found(key));
        }
        Ok((File::from(file), stat))
    }

    /// Opens an object for reading a range of one version.
    pub(super) fn open_range(
        &self,
        key: &Key,
        wanted: Option<&Version>,
        range: ByteRange,
    ) -> Result<(File, FileStat)> {
        let (file, stat) = self.open_object(key)?;
        if let Some(wanted) = wanted
            && *wanted != version(&stat)
        {
            return Err(self.changed(key, wanted));
        }
        if range.is_empty() || range.end > size_bytes(&stat) {
            let (url, key) = (self.url.clone(), key.as_str().to_owned());
            return Err(Error::InvalidRange { url, key, start: range.start, end: range.end });
        }
        Ok((file, stat))
    }

    /// Whether an open file still is the version that it was.
    pub(super) fn check_unchanged(&self, key: &Key, file: &File, before: &FileStat) -> Result<()> {
        let after = fstat(file).map_err(|errno| self.error(key, errno))?;
        if version(before) == version(&after) { Ok(()) } else { Err(self.changed(key, &version(before))) }
    }

    pub(super) fn stat(&self, key: &Key) -> Result<Meta> {
        let path = self.object_path(key)?;
        let stat = self.stat_at(path).map_err(|errno| self.error(key, errno))?;
        if kind(&stat) == Some(Kind::Object) { Ok(meta(&stat)) } else { Err(self.not_found(key)) }
    }

    /// Follows links below the root.
    pub(super) fn stat_at(&self, path: &str) -> Result<FileStat, Errno> {
        fstat(self.open_at(path, OFlag::O_PATH)?)
    }

    fn object_path<'k>(&self, key: &'k Key) -> Result<&'k str> {
        if key.is_directory() {
            return Err(self.not_found(key));
        }
        path::of_key(key).ok_or_else(|| self.not_found(key))
    }

    pub(super) fn not_found(&self, key: &Key) -> Error {
        Error::NotFound { url: self.url.clone(), key: key.as_str().to_owned() }
    }

    pub(super) fn changed(&self, key: &Key, wanted: &Version) -> Error {
        Error::Changed { url: self.url.clone(), key: key.as_str().to_owned(), wanted: wanted.clone() }
    }

    pub(super) fn error(&self, key: &Key, errno: Errno) -> Error {
        error_at(&self.url, key.as_str(), errno)
    }

    /// For writes: a path that no object can have is not "not found" there.
    pub(super) fn write_error(&self, key: &Key, errno: Errno) -> Error {
        match errno {
            Errno::ENOTDIR | Errno::EISDIR | Errno::EXDEV | Errno::ELOOP | Errno::ENAMETOOLONG => {
                Error::Io { url: self.url.clone(), key: key.as_str().to_owned(), source: errno.into() }
            }
            errno => self.error(key, errno),
        }
    }

    pub(super) fn io_error(&self, key: &Key, error: io::Error) -> Error {
        match error.raw_os_error() {
            Some(errno) => self.error(key, Errno::from_raw(errno)),
            None => Error::Io { url: self.url.clone(), key: key.as_str().to_owned(), source: error },
        }
    }
}

/// The one place where errno gets its meaning.
fn error_at(url: &str, key: &str, errno: Errno) -> Error {
    let (url, key) = (url.to_owned(), key.to_owned());
    match errno {
        // EXDEV: the path leads out of the root. EISDIR, ENOTDIR, ELOOP, ENAMETOOLONG: no object can have it.
        Errno::ENOENT
        | Errno::ENOTDIR
        | Errno::EXDEV
        | Errno::EISDIR
        | Errno::ELOOP
        | Errno::ENAMETOOLONG => Error::NotFound { url, key },
        Errno::EACCES | Errno::EPERM => Error::Denied {
            url,
            reason: format!("{key:?}: {}", errno.desc()),
            setting: "check owner and mode of the file and its directories",
        },
        Errno::EROFS => Error::Denied {
            url,
            reason: errno.desc().to_owned(),
            setting: "remount the underlying file system read-write",
        },
        Errno::ENOSPC | Errno::EDQUOT => Error::NoSpace { url },
        // What NFS gives while its server is away or after it has changed.
        Errno::ESTALE | Errno::ETIMEDOUT | Errno::EHOSTDOWN | Errno::EHOSTUNREACH | Errno::ENOTCONN => {
            Error::Unavailable { url, reason: errno.desc().to_owned(), source: Some(errno.into()) }
        }
        errno => Error::Io { url, key, source: errno.into() },
    }
}

/// `None` for what is neither a file nor a directory.
pub(super) fn kind(stat: &FileStat) -> Option<Kind> {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Some(Kind::Object),
        SFlag::S_IFDIR => Some(Kind::Directory),
        _ => None,
    }
}

pub(super) fn meta(stat: &FileStat) -> Meta {
    Meta { size_bytes: size_bytes(stat), modified: modified(stat), version: version(stat) }
}

pub(super) fn size_bytes(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

pub(super) fn version(stat: &FileStat) -> Version {
    Version::new(format!(
        "{:x}-{:x}-{:x}.{:x}-{:x}.{:x}",
        stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec
    ))
}

pub(super) fn modified(stat: &FileStat) -> SystemTime {
    let nanoseconds = Duration::from_nanos(u64::try_from(stat.st_mtime_nsec).unwrap_or(0));
    let seconds = Duration::from_secs(stat.st_mtime.unsigned_abs());
    let whole = if stat.st_mtime < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    whole.unwrap_or(SystemTime::UNIX_EPOCH) + nanoseconds
}
