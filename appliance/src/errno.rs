//! Which errno a failed store call becomes. The one place where that is decided.

use fuse_fast::Errno;

use crate::namespace::NamespaceError;

/// The errno of a store's error for a read of data.
pub fn of_store(error: &ufs::Error) -> Errno {
    match error {
        ufs::Error::NotFound { .. } | ufs::Error::Changed { .. } => Errno::ESTALE,
        ufs::Error::Denied { .. } => Errno::EACCES,
        ufs::Error::NoSpace { .. } => Errno::ENOSPC,
        ufs::Error::Unsupported { .. } => Errno::EOPNOTSUPP,
        ufs::Error::NoSuchStore { .. }
        | ufs::Error::PreconditionFailed { .. }
        | ufs::Error::InvalidRange { .. }
        | ufs::Error::Throttled { .. }
        | ufs::Error::Unavailable { .. }
        | ufs::Error::Protocol { .. }
        | ufs::Error::Config { .. }
        | ufs::Error::Io { .. } => Errno::EIO,
    }
}

/// The errno of a failed question about names.
pub fn of_namespace(error: &NamespaceError) -> Errno {
    match error {
        NamespaceError::Store(error) => of_store_names(error),
        NamespaceError::NotFound { .. } => Errno::ENOENT,
        NamespaceError::NotADirectory { .. } => Errno::ENOTDIR,
        NamespaceError::UnknownInode { .. } => Errno::ESTALE,
        NamespaceError::Unordered { .. }
        | NamespaceError::Tree { .. }
        | NamespaceError::Database(_)
        | NamespaceError::Interrupted => Errno::EIO,
    }
}

/// A store's error for a name: what is gone is absent, not stale.
fn of_store_names(error: &ufs::Error) -> Errno {
    match of_store(error) {
        Errno::ESTALE => Errno::ENOENT,
        errno => errno,
    }
}
