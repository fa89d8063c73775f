//! The one error type of all stores.

use std::time::Duration;

use crate::types::Version;

/// A result of a store call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a store call failed. Texts name the store's URL and, where one helps, the setting to turn.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such object.
    #[error("{url}: no object {key:?}")]
    NotFound {
        /// The store.
        url: String,
        /// The key asked for.
        key: String,
    },
    /// No such bucket, or the root directory of a `file://` store is missing.
    #[error("{url}: the bucket or root directory does not exist; check the mount's URL")]
    NoSuchStore {
        /// The store.
        url: String,
    },
    /// The object has another version now.
    #[error("{url}: {key:?} was replaced: wanted version {wanted:?}")]
    Changed {
        /// The store.
        url: String,
        /// The object.
        key: String,
        /// The version that the caller named.
        wanted: Version,
    },
    /// The condition of a write did not hold.
    #[error("{url}: {key:?} was changed by somebody else")]
    PreconditionFailed {
        /// The store.
        url: String,
        /// The object.
        key: String,
    },
    /// The range is empty or ends behind the object.
    #[error("{url}: bytes {start}..{end} are not inside {key:?}")]
    InvalidRange {
        /// The store.
        url: String,
        /// The object.
        key: String,
        /// First byte.
        start: u64,
        /// One behind the last byte.
        end: u64,
    },
    /// The store asks us to slow down.
    #[error("{url}: the store throttles requests")]
    Throttled {
        /// The store.
        url: String,
        /// The pause that the store asked for.
        retry_after: Option<Duration>,
    },
    /// The store refuses: wrong credentials, expired token, clock skew, missing permission.
    #[error("{url}: access denied ({reason}); {setting}")]
    Denied {
        /// The store.
        url: String,
        /// The store's own words, such as `SignatureDoesNotMatch`.
        reason: String,
        /// What to check.
        setting: &'static str,
    },
    /// No answer in time, a refused or broken connection, a 5xx: it may work later.
    #[error("{url}: the store does not answer: {reason}")]
    Unavailable {
        /// The store.
        url: String,
        /// What was seen.
        reason: String,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
    /// The store is full, or over its quota.
    #[error("{url}: the store is out of space or quota")]
    NoSpace {
        /// The store.
        url: String,
    },
    /// This store cannot do that.
    #[error("{url}: {operation} is not supported by this store")]
    Unsupported {
        /// The store.
        url: String,
        /// The call.
        operation: &'static str,
    },
    /// An answer that breaks the protocol; asking again may give a good one.
    #[error("{url}: unusable answer: {reason}")]
    Protocol {
        /// The store.
        url: String,
        /// What was wrong with it.
        reason: String,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
    /// The settings of the store cannot be used.
    #[error("{url}: {reason}")]
    Config {
        /// The store, as it was written.
        url: String,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// An I/O error of a local file.
    #[error("{url}: {key:?}: {source}")]
    Io {
        /// The store.
        url: String,
        /// The object.
        key: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the same call may succeed if it is made again, unchanged.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unavailable { .. } | Self::Protocol { .. } => true,
            Self::NotFound { .. }
            | Self::NoSuchStore { .. }
            | Self::Changed { .. }
            | Self::PreconditionFailed { .. }
            | Self::InvalidRange { .. }
            | Self::Denied { .. }
            | Self::NoSpace { .. }
            | Self::Unsupported { .. }
            | Self::Config { .. }
            | Self::Io { .. } => false,
        }
    }
}
