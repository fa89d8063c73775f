//! Errors of the crate.

use std::io;
use std::path::PathBuf;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be made, listed or locked.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another process has the directory.
    #[error("{path} is in use by another daemon", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The file system refuses O_DIRECT.
    #[error("{path} is on a file system without direct I/O (O_DIRECT)", path = path.display())]
    NoDirectIo {
        /// The directory.
        path: PathBuf,
    },
}
