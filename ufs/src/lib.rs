//! Under file systems: the stores that hold the data which Forebay serves.
//!
//! [`Ufs`] is the one interface to a store. Backends: [`mod@file`] (a local or NFS directory) and [`s3`] (S3, Ceph RGW
//! and kin). [`retry`] wraps any of them with a time limit on every call and retries with full jitter.
//!
//! A store maps a [`Key`] (UTF-8 or raw bytes, `/`-separated, relative to the root that the URL named) to an object:
//! immutable bytes plus [`Meta`]. Every change of an object's bytes changes its [`Version`]; a read names the version
//! that it wants and fails with [`Error::Changed`] when the store has another, so that one open file never mixes two.
//!
//! The crate knows nothing of caches, mounts or FUSE.

mod attributes;
mod connect;
mod error;
mod key;
mod list_all;
mod settings;
mod types;

pub mod file;
pub mod location;
pub mod retry;
pub mod s3;

pub use attributes::{Attributes, Xattrs};
pub use connect::connect;
pub use error::{Error, Result};
pub use key::{InvalidKey, Key};
pub use list_all::list_all;
pub use location::Location;
pub use settings::Settings;
pub use types::{
    Body, ByteRange, Capabilities, CopySource, Entry, ListDepth, ListPage, ListRequest, Meta, PartNumber,
    PutCondition, UploadId, UploadedPart, Version,
};

use bytes::Bytes;

/// One store, rooted at the bucket and prefix (or directory) of its [`Location`].
///
/// All methods may be called concurrently. Every method ends within the time limits of the store's settings: a store
/// that is silent gives [`Error::Unavailable`], never a hang. Dropping a future cancels the request.
#[async_trait::async_trait]
pub trait Ufs: Send + Sync + 'static {
    /// The store's URL without secrets, for logs and errors.
    fn url(&self) -> &str;

    /// What this store can do; fixed for the life of the value.
    fn capabilities(&self) -> Capabilities;

    /// Metadata of one object. [`Error::NotFound`] when there is none; directories and prefixes are not objects.
    async fn stat(&self, key: &Key) -> Result<Meta>;

    /// As `stat`, with what the store keeps beside the bytes. Where nobody has written attributes they are empty on
    /// object stores; `file://` has them always.
    async fn describe(&self, key: &Key) -> Result<(Meta, Attributes)>;

    /// One page of the listing below a directory, in ascending byte order of the full key.
    ///
    /// `Children` gives the objects directly in the directory and its sub-directories as [`Entry::Directory`];
    /// `Recursive` gives every object below it, and no directories but empty ones that the store holds as such. On
    /// object stores a zero-byte object whose key ends in `/` is such a directory and given as [`Entry::Directory`],
    /// except for the marker of the listed directory itself, which is left out.
    /// A directory that does not exist gives an empty page on object stores and [`Error::NotFound`] on `file://`.
    async fn list(&self, request: &ListRequest) -> Result<ListPage>;

    /// The bytes of `range` of one version of an object, as a stream of chunks that ends after exactly
    /// `range.len()` bytes; anything shorter ends in an error item. A range that is empty or ends behind the object is
    /// [`Error::InvalidRange`]. With `version` given and not the current one: [`Error::Changed`].
    async fn read(&self, key: &Key, version: Option<&Version>, range: ByteRange) -> Result<Body>;

    /// Stores a whole object at once and returns its new metadata.
    ///
    /// A key that ends in `/`, with no data, is a directory: a marker object, or a real one on `file://`, where one that
    /// exists keeps its content. On `file://` a symbolic link is made as such.
    async fn put(
        &self,
        key: &Key,
        data: Bytes,
        attributes: &Attributes,
        condition: &PutCondition,
    ) -> Result<Meta>;

    /// Begins an upload in parts. Parts but the last must be at least [`Capabilities::part_size_bytes_min`] long.
    async fn multipart_create(&self, key: &Key, attributes: &Attributes) -> Result<UploadId>;

    /// Uploads one part; the same number may be sent again and the last one counts.
    async fn multipart_put(
        &self,
        key: &Key,
        upload: &UploadId,
        part: PartNumber,
        data: Bytes,
    ) -> Result<UploadedPart>;

    /// As `multipart_put`, with bytes that the store has: `range` of one version of an object, copied inside the store
    /// where it can. [`Error::Changed`] when the source has another version.
    async fn multipart_copy(
        &self,
        key: &Key,
        upload: &UploadId,
        part: PartNumber,
        source: &CopySource,
        range: ByteRange,
    ) -> Result<UploadedPart>;

    /// The parts that the store already holds of an upload, in ascending order; used to resume after a crash.
    async fn multipart_list(&self, key: &Key, upload: &UploadId) -> Result<Vec<UploadedPart>>;

    /// Makes the object visible, whole, from its parts in ascending order.
    async fn multipart_complete(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &PutCondition,
    ) -> Result<Meta>;

    /// Drops an upload and its parts. An upload that is already gone is not an error.
    async fn multipart_abort(&self, key: &Key, upload: &UploadId) -> Result<()>;

    /// Copies one version of an object inside the store, without moving its bytes through this host where the store can.
    /// With `attributes` the copy has these, else those of its source; so a copy onto itself changes attributes alone.
    /// The condition is about `to`; a store that does not know conditions on copies leaves a gap of one round trip.
    async fn copy(
        &self,
        source: &CopySource,
        to: &Key,
        attributes: Option<&Attributes>,
        condition: &PutCondition,
    ) -> Result<Meta>;

    /// Deletes an object, or an empty directory when the key ends in `/`. One that is already gone is not an error.
    /// With `version` given and not the current one: [`Error::PreconditionFailed`]. The version is looked at first, and
    /// again by stores that know `If-Match` on DELETE (AWS); on others that leaves a gap of one round trip.
    async fn delete(&self, key: &Key, version: Option<&Version>) -> Result<()>;

    /// Renames an object atomically. [`Error::Unsupported`] where [`Capabilities::atomic_rename`] is false.
    async fn rename(&self, from: &Key, to: &Key) -> Result<()>;
}
