//! The types on the wire that are not also the daemon's own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::namespace::RefreshReport;

/// Body of `POST /v1/sync` and `POST /v1/unmount`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRequest {
    /// An absolute path: inside a mount for `sync`, a mountpoint for `unmount`.
    pub path: PathBuf,
}

/// Answer of `POST /v1/sync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// Files that are there now.
    pub objects: u64,
    /// Directories that were listed.
    pub directories: u64,
    /// Names whose object has another version.
    pub changed: u64,
    /// Names that are gone.
    pub removed: u64,
    /// Names that were not known.
    pub added: u64,
    /// Names in the stores that cannot be shown.
    pub hidden: u64,
}

/// Answer of `POST /v1/unmount`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmountReport {
    /// It was the daemon's last mount: the daemon ends now.
    pub daemon_ends: bool,
}

impl From<RefreshReport> for SyncReport {
    fn from(report: RefreshReport) -> Self {
        let RefreshReport { objects, directories, changed, removed, added, hidden } = report;
        Self { objects, directories, changed, removed, added, hidden }
    }
}

/// A refusal: the cause, and what to set or do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{error}; {setting}")]
pub struct ApiError {
    /// The class, which decides the HTTP status.
    pub kind: ApiErrorKind,
    /// The cause.
    pub error: String,
    /// The setting to turn or the step to take.
    pub setting: String,
}

/// Classes of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiErrorKind {
    /// The request cannot be understood or is too large: 400.
    Invalid,
    /// No such path, mount or job: 404.
    NotFound,
    /// It is in use, or a limit of running work is met: 409.
    Busy,
    /// A store or the kernel failed: 500.
    Failed,
}

impl ApiError {
    /// The request itself is wrong.
    pub fn invalid(error: impl Into<String>, setting: impl Into<String>) -> Self {
        Self { kind: ApiErrorKind::Invalid, error: error.into(), setting: setting.into() }
    }

    /// What the request names is not there.
    pub fn not_found(error: impl Into<String>, setting: impl Into<String>) -> Self {
        Self { kind: ApiErrorKind::NotFound, error: error.into(), setting: setting.into() }
    }

    /// Not now.
    pub fn busy(error: impl Into<String>, setting: impl Into<String>) -> Self {
        Self { kind: ApiErrorKind::Busy, error: error.into(), setting: setting.into() }
    }

    /// It was tried and did not work.
    pub fn failed(error: impl Into<String>, setting: impl Into<String>) -> Self {
        Self { kind: ApiErrorKind::Failed, error: error.into(), setting: setting.into() }
    }
}
