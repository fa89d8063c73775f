//! Why a question about names has no answer.

use std::path::PathBuf;
use std::sync::Arc;

use ufs::Key;

/// A failed namespace call. Cheap to clone, since callers that asked the same share one answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The store could not answer. The cause says which store and why.
    #[error(transparent)]
    Store(#[from] Arc<ufs::Error>),
    /// Nothing is there.
    #[error("{path:?}: no such file or directory in the mount")]
    NotFound {
        /// The path below the mount's root.
        path: String,
    },
    /// A file where a directory is needed.
    #[error("{path:?} is a file, not a directory")]
    NotADirectory {
        /// The path below the mount's root.
        path: String,
    },
    /// The inode is not referenced by the kernel, so its place is not known.
    #[error("inode {number} is not known")]
    UnknownInode {
        /// The number.
        number: u64,
    },
    /// A listing that is not in byte order of its keys cannot be imported in bounded memory.
    #[error("{url}: the listing is not in byte order of the keys: {key:?} came behind {previous:?}")]
    Unordered {
        /// The store.
        url: String,
        /// The key in the wrong place.
        key: Key,
        /// The key before it.
        previous: Key,
    },
    /// A store index of the tree names no store, or a path has two stores.
    #[error("the mount's tree cannot be built: {reason} at {path:?}")]
    Tree {
        /// What is wrong.
        reason: &'static str,
        /// Where.
        path: String,
    },
    /// The daemon stops, or the task that asked panicked.
    #[error("the question was cut off before its answer; the daemon stops or has a bug that its log shows")]
    Interrupted,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] Arc<DatabaseError>),
}

impl From<ufs::Error> for NamespaceError {
    fn from(error: ufs::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<DatabaseError> for NamespaceError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// The database of listings failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file cannot be made or removed.
    #[error("{path}: cannot be used for the listings: {source}; check the cache directory", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// redb refused.
    #[error("the database of listings: {0}")]
    Redb(#[from] redb::Error),
    /// A row that no version of this program wrote.
    #[error("the database of listings is damaged: {what}")]
    Damaged {
        /// Which row and what is wrong with it.
        what: &'static str,
    },
    /// The database failed and was replaced while a directory was listed.
    #[error("the database of listings failed while {path:?} was listed; try again")]
    Replaced {
        /// The directory.
        path: String,
    },
    /// redb panicked, as it may on a damaged file.
    #[error("the database of listings is damaged: reading it panicked")]
    Panicked,
    /// Without a cache directory listings are kept in memory, and the bound is reached.
    #[error(
        "listings take more than {limit_bytes} bytes of memory; set a cache directory to keep them on disk"
    )]
    OutOfMemory {
        /// The bound.
        limit_bytes: u64,
    },
    /// The writer thread has ended.
    #[error("the database of listings is closed")]
    Closed,
    /// The writer thread could not be started.
    #[error("the thread of the listings' database: {0}")]
    Thread(#[source] std::io::Error),
}
