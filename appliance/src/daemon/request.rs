//! [`RequestError`]: why a request of the operator was refused.

use std::path::PathBuf;

use fuse_fast::mount::MountError;
use fuse_fast::session::SessionError;

use crate::config::InvalidTreePath;
use crate::control::{ApiError, ApiErrorKind};
use crate::namespace::NamespaceError;

/// Why a request of the operator failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A path that no mount of this daemon holds.
    #[error("{path} is not inside a mount of this daemon", path = path.display())]
    NotInAMount {
        /// The path.
        path: PathBuf,
    },
    /// A path that cannot exist in a mount.
    #[error("{path}: {source}", path = path.display())]
    InvalidPath {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: InvalidTreePath,
    },
    /// The namespace could not answer.
    #[error(transparent)]
    Names(#[from] NamespaceError),
    /// The mount could not be taken away.
    #[error(transparent)]
    Unmount(#[from] MountError),
    /// The session did not end as it should.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A background task of ours panicked.
    #[error("a task of the daemon panicked")]
    Panicked,
    /// Nothing is written on the mount.
    #[error("{path:?} is in a read-only mount")]
    ReadOnly {
        /// The path.
        path: PathBuf,
    },
    /// The staged tree refused.
    #[error(transparent)]
    Staged(#[from] staging::StageError),
    /// There is nothing to warm into.
    #[error("the daemon has no cache to warm")]
    NoCache,
    /// The cache device was taken out.
    #[error("the cache device has failed and was taken out")]
    CacheFailed,
    /// A pattern that cannot be understood.
    #[error("{pattern:?} is no pattern: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Too many warm-ups at once.
    #[error("{limit} warm-ups are running already")]
    TooManyJobs {
        /// The limit.
        limit: usize,
    },
}

impl RequestError {
    /// What the operator can do about it.
    fn advice(&self) -> &'static str {
        match self {
            Self::NotInAMount { .. } => "see `forebay status` for its mounts",
            Self::InvalidPath { .. } | Self::Pattern { .. } => "check the path",
            Self::Names(NamespaceError::NotFound { .. } | NamespaceError::NotADirectory { .. }) => {
                "check the path"
            }
            Self::Names(_) => "see `forebay status` and the daemon's log",
            Self::Unmount(_) => "see who uses it with `fuser -vm`, or use --lazy",
            Self::ReadOnly { .. } => "everything on it is in its store",
            Self::Staged(_) => "see `forebay status` and the daemon's log",
            Self::Session(_) | Self::Panicked => "see the daemon's log",
            Self::NoCache => "set --cache-dir or [cache]",
            Self::CacheFailed => "replace the device and start the daemon again",
            Self::TooManyJobs { .. } => "wait for one of them to finish",
        }
    }

    fn kind(&self) -> ApiErrorKind {
        match self {
            Self::InvalidPath { .. } | Self::Pattern { .. } | Self::NoCache | Self::ReadOnly { .. } => {
                ApiErrorKind::Invalid
            }
            Self::NotInAMount { .. }
            | Self::Names(NamespaceError::NotFound { .. } | NamespaceError::NotADirectory { .. }) => {
                ApiErrorKind::NotFound
            }
            Self::Unmount(MountError::InUse { .. }) | Self::TooManyJobs { .. } => ApiErrorKind::Busy,
            Self::Names(_)
            | Self::Unmount(_)
            | Self::Session(_)
            | Self::Panicked
            | Self::Staged(_)
            | Self::CacheFailed => ApiErrorKind::Failed,
        }
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        Self { kind: error.kind(), error: error.to_string(), setting: error.advice().to_owned() }
    }
}
