//! Which errno a failed store call becomes. The one place where that is decided.

use fuse_fast::Errno;

use staging::StageError;

use crate::namespace::NamespaceError;
use crate::overlay::OverlayError;

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

/// The errno of a request that a read-write mount refused.
pub fn of_overlay(error: &OverlayError) -> Errno {
    match error {
        OverlayError::Stage(error) => of_stage(error),
        OverlayError::Names(error) => of_namespace(error),
        OverlayError::NotFound => Errno::ENOENT,
        OverlayError::Exists => Errno::EEXIST,
        OverlayError::Stale => Errno::ESTALE,
        OverlayError::NotEmpty => Errno::ENOTEMPTY,
        OverlayError::Place => Errno::EBUSY,
        OverlayError::NoStore => Errno::EROFS,
        OverlayError::OtherStore | OverlayError::TooManyNames { .. } => Errno::EXDEV,
        OverlayError::KeyTooLong => Errno::ENAMETOOLONG,
        OverlayError::NotText => Errno::new(libc::EILSEQ),
        OverlayError::VirtualXattr { .. } | OverlayError::NodeKind => Errno::EPERM,
        OverlayError::XattrKind => Errno::EOPNOTSUPP,
        OverlayError::Contended { .. } => Errno::EAGAIN,
    }
}

/// The errno of what the staged tree refused.
pub fn of_stage(error: &StageError) -> Errno {
    match error {
        StageError::NotFound => Errno::ENOENT,
        StageError::Exists | StageError::XattrExists => Errno::EEXIST,
        StageError::NotADirectory => Errno::ENOTDIR,
        StageError::IsADirectory => Errno::EISDIR,
        StageError::NotEmpty => Errno::ENOTEMPTY,
        StageError::Loop | StageError::Invalid(_) => Errno::EINVAL,
        StageError::NotSupported(_) => Errno::EOPNOTSUPP,
        StageError::NoXattr => Errno::ENODATA,
        StageError::XattrTooLarge { .. } | StageError::DirtyLimit { .. } | StageError::FilesMax { .. } => {
            Errno::ENOSPC
        }
        StageError::NameTooLong { .. } => Errno::ENAMETOOLONG,
        StageError::Fragmented { .. } => Errno::EFBIG,
        StageError::FileTooLarge { .. } => Errno::EFBIG,
        StageError::RenameMax { .. } => Errno::EXDEV,
        StageError::Io { source, .. } => Errno::from(source),
        StageError::Poisoned { .. } | StageError::DataMissing { .. } | StageError::NoEvent { .. } => {
            Errno::EIO
        }
    }
}

/// A store's error for a name: what is gone is absent, not stale.
fn of_store_names(error: &ufs::Error) -> Errno {
    match of_store(error) {
        Errno::ESTALE => Errno::ENOENT,
        errno => errno,
    }
}
