//! [`OverlayError`]: why a change of a read-write mount was refused.

use staging::StageError;

use crate::namespace::NamespaceError;

/// Why a request on a read-write mount failed.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// The staged tree refused it.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The store could not say what is there.
    #[error(transparent)]
    Names(#[from] NamespaceError),
    /// Nothing has this name.
    #[error("there is nothing of this name")]
    NotFound,
    /// Something has this name already.
    #[error("the name is taken")]
    Exists,
    /// The node's name leads to another version by now.
    #[error("the store has another version by now")]
    Stale,
    /// A directory has entries, here or in the store.
    #[error("the directory is not empty")]
    NotEmpty,
    /// A directory that the mount's table makes.
    #[error("a directory of the mount's table cannot be moved or removed; see [[mount.tree]]")]
    Place,
    /// A directory above all stores.
    #[error("no store is mounted here: nothing can be kept; see [[mount.tree]]")]
    NoStore,
    /// The two ends of a rename are in different stores.
    #[error("the two names lie in different stores")]
    OtherStore,
    /// The store takes no such name.
    #[error("the path is longer than the key of an object may be (1024 bytes)")]
    KeyTooLong,
    /// The store's keys are UTF-8.
    #[error("the name is not UTF-8: a store cannot keep it")]
    NotText,
    /// A rename of a directory would move too much.
    #[error("more than {limit} names lie below the directory; see writeback.rename_max")]
    TooManyNames {
        /// `writeback.rename_max`.
        limit: usize,
    },
    /// An extended attribute that this file system makes up.
    #[error("{name} is made by Forebay and cannot be set")]
    VirtualXattr {
        /// Its name.
        name: String,
    },
    /// An extended attribute of a kind that is not kept.
    #[error("only extended attributes that begin with user. are kept")]
    XattrKind,
    /// A kind of node that no store can hold.
    #[error("stores hold files, directories and symbolic links only")]
    NodeKind,
    /// Changes from other threads came between, again and again.
    #[error("the names changed under the request {attempts} times")]
    Contended {
        /// How often it was tried.
        attempts: usize,
    },
}
