//! [`ConfigError`]: one line that names the place, the cause and what is allowed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::consistency::InvalidConsistency;
use super::credentials_file::CredentialsError;
use super::passthrough::InvalidPassthroughMode;
use super::transport::InvalidTransport;
use super::tree_path::InvalidTreePath;
use super::units::{InvalidDuration, InvalidRate, InvalidSize, SizeText};

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a configuration file.
    File {
        /// The file as the operator named it.
        file: Arc<Path>,
        /// Line, counted from 1.
        line: usize,
        /// The key with its section, such as `cache.size`.
        key: String,
    },
    /// On the command line; the flag's name, such as `--cache-size`.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, key } => write!(f, "{}:{line}: {key}", file.display()),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Why one value cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// Not of the key's TOML type.
    #[error("is {found}; it must be {expected}")]
    Type {
        /// What the key takes.
        expected: &'static str,
        /// What the file has.
        found: &'static str,
    },
    /// A number outside of its range.
    #[error("{value} is out of range; allowed: {min} to {max}")]
    Range {
        /// The number as written.
        value: String,
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
    },
    /// A size below its least value.
    #[error("{} is too small; at least {}", SizeText(*value_bytes), SizeText(*min_bytes))]
    TooSmall {
        /// The size given.
        value_bytes: u64,
        /// The least size.
        min_bytes: u64,
    },
    /// A path that is not absolute.
    #[error("{path:?} is not absolute; it must begin with /")]
    RelativePath {
        /// The path.
        path: PathBuf,
    },
    /// No time, where one above zero is needed.
    #[error("must be longer than 0s")]
    ZeroTime,
    /// No octal mode.
    #[error("{text:?} is no file mode; write the permission bits in octal, \"0000\" to \"0777\"")]
    Mode {
        /// The text.
        text: String,
    },
    /// No endpoint.
    #[error("{text:?} is no endpoint; write http://HOST[:PORT] or https://HOST[:PORT], without credentials")]
    Endpoint {
        /// The text, empty when it held credentials.
        text: String,
    },
    /// No pattern of paths.
    #[error("{text:?} is no pattern: {reason}; write paths inside the mount with *, ?, [..], {{..}} and **")]
    Pattern {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not what a close can wait for.
    #[error("{text:?} is nothing that a close can wait for; allowed: no, local, remote")]
    SyncOnClose {
        /// The text.
        text: String,
    },
    /// No bandwidth.
    #[error(transparent)]
    Rate(#[from] InvalidRate),
    /// An empty text.
    #[error("is empty; leave the key out to use its default")]
    Empty,
    /// No size.
    #[error(transparent)]
    Size(#[from] InvalidSize),
    /// No time.
    #[error(transparent)]
    Duration(#[from] InvalidDuration),
    /// A size above its greatest value.
    #[error("{} is too large; at most {}", SizeText(*value_bytes), SizeText(*max_bytes))]
    TooLarge {
        /// The size given.
        value_bytes: u64,
        /// The greatest size.
        max_bytes: u64,
    },
    /// Neither auto nor off.
    #[error(transparent)]
    Passthrough(#[from] InvalidPassthroughMode),
    /// No consistency.
    #[error(transparent)]
    Consistency(#[from] InvalidConsistency),
    /// No transport.
    #[error(transparent)]
    Transport(#[from] InvalidTransport),
    /// No path inside a mount.
    #[error(transparent)]
    TreePath(#[from] InvalidTreePath),
    /// No URL of a store.
    #[error(transparent)]
    Location(#[from] ufs::Error),
    /// The credentials file cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The block device's length cannot be found.
    #[error("cannot find the size of {device:?} ({source}); check the device or set the cache size")]
    DeviceSize {
        /// The device.
        device: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file:?}: {source}; check --config")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than [`super::FILE_BYTES_MAX`].
    #[error("{file:?} is larger than {limit}; check --config", limit = SizeText(super::FILE_BYTES_MAX))]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// The file is no TOML.
    #[error("{}:{line}: {message}; the file must be TOML", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The parser's words, in one line.
        message: String,
    },
    /// A key that its section does not have.
    #[error("{}:{line}: unknown key {key:?} in {section};{suggestion} allowed: {allowed}", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The key as written.
        key: String,
        /// The section, such as `[cache]`.
        section: &'static str,
        /// The nearest key that exists.
        suggestion: Suggestion,
        /// All keys of the section.
        allowed: String,
    },
    /// A value that its key does not take.
    #[error("{place}: {source}")]
    Value {
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        #[source]
        source: ValueError,
    },
    /// A section without a key that it needs.
    #[error("{place}: {key} is missing; {fix}")]
    Missing {
        /// The section.
        place: Place,
        /// The key.
        key: &'static str,
        /// What to write.
        fix: &'static str,
    },
    /// Two settings that exclude each other.
    #[error("{second}: cannot stand beside {first}; {fix}")]
    Conflict {
        /// One of them.
        first: Place,
        /// The other.
        second: Place,
        /// What to do.
        fix: &'static str,
    },
    /// Two mounts at one place.
    #[error("{place}: {mountpoint:?} is already used by another mount; give each mount a path of its own")]
    DuplicateMount {
        /// The second.
        place: Place,
        /// The mountpoint.
        mountpoint: PathBuf,
    },
    /// A mount inside of another one of the same daemon.
    #[error("{place}: {inner:?} is inside the mount {outer:?}; use a tree of that mount instead")]
    NestedMount {
        /// The inner mount.
        place: Place,
        /// The inner mountpoint.
        inner: PathBuf,
        /// The outer mountpoint.
        outer: PathBuf,
    },
    /// Two trees at one place of a mount.
    #[error(
        "{place}: {at:?} is already used by another tree of this mount; give each tree a place of its own"
    )]
    DuplicateTree {
        /// The second.
        place: Place,
        /// The place inside the mount.
        at: String,
    },
    /// No mount at all.
    #[error("{file:?} has no mount; add a [[mount]] section")]
    NoMount {
        /// The file.
        file: PathBuf,
    },
}

/// The nearest known key, if one is near; shown as ` did you mean "x"?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestion(pub Option<&'static str>);

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(key) => write!(f, " did you mean {key:?}?"),
            None => Ok(()),
        }
    }
}
