//! The buckets: what the server holds and the rules by which it changes.
//!
//! A bucket is an ordered map from key to `Arc<Version>`. A version never changes: a PUT swaps the `Arc`, so that a
//! GET which took the old one serves it whole. Conditions of a write are judged under the same lock that swaps.

pub(crate) mod conditions;
pub(crate) mod content;
pub(crate) mod listing;
pub(crate) mod uploads;
pub(crate) mod version;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use s3s::{S3Result, s3_error};

use conditions::Conditions;
use listing::{ListPage, ListQuery};
use uploads::Uploads;
use version::Version;

/// All buckets and unfinished multipart uploads.
#[derive(Default)]
pub(crate) struct Store {
    buckets: RwLock<BTreeMap<String, Arc<Bucket>>>,
    journal: Arc<Journal>,
    pub(crate) uploads: Mutex<Uploads>,
}

impl Store {
    /// The bucket `name`, made now if there is none.
    pub(crate) fn bucket_or_new(&self, name: &str) -> Arc<Bucket> {
        let new = || self.new_bucket(name);
        Arc::clone(self.buckets.write().entry(name.to_owned()).or_insert_with(new))
    }

    fn new_bucket(&self, name: &str) -> Arc<Bucket> {
        let journal = Arc::clone(&self.journal);
        Arc::new(Bucket { name: name.to_owned(), journal, objects: RwLock::default() })
    }

    /// The changes of all buckets since the last call, in order; they are kept from the first call on.
    pub(crate) fn take_changes(&self) -> Vec<Change> {
        self.journal.0.lock().replace(Vec::new()).unwrap_or_default()
    }

    /// Creates a bucket as CreateBucket does: one that exists is an error.
    pub(crate) fn create_bucket(&self, name: &str) -> S3Result<()> {
        let mut buckets = self.buckets.write();
        if buckets.contains_key(name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        buckets.insert(name.to_owned(), self.new_bucket(name));
        Ok(())
    }

    /// Removes an empty bucket.
    pub(crate) fn delete_bucket(&self, name: &str) -> S3Result<()> {
        let mut buckets = self.buckets.write();
        let Some(bucket) = buckets.get(name) else { return Err(s3_error!(NoSuchBucket)) };
        if !bucket.objects.read().is_empty() {
            return Err(s3_error!(BucketNotEmpty));
        }
        buckets.remove(name);
        Ok(())
    }

    /// An existing bucket, or `NoSuchBucket`.
    pub(crate) fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        self.buckets
            .read()
            .get(name)
            .cloned()
            .ok_or_else(|| s3_error!(NoSuchBucket, "no bucket named {name}"))
    }

    /// Names of all buckets, in order.
    pub(crate) fn bucket_names(&self) -> Vec<String> {
        self.buckets.read().keys().cloned().collect()
    }
}

/// One change that became visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub bucket: String,
    /// Which object.
    pub key: String,
    /// The size of the new version; `None` when the object was removed.
    pub size_bytes: Option<u64>,
}

/// The changes in the order in which they became visible; `None` until somebody asks for them.
#[derive(Default)]
struct Journal(Mutex<Option<Vec<Change>>>);

impl Journal {
    /// Called with the bucket locked, so that the order is that of the changes.
    fn record(&self, bucket: &str, key: &str, size_bytes: Option<u64>) {
        if let Some(changes) = &mut *self.0.lock() {
            changes.push(Change { bucket: bucket.to_owned(), key: key.to_owned(), size_bytes });
        }
    }
}

/// One bucket: keys in the order of their bytes, as S3 lists them.
pub(crate) struct Bucket {
    name: String,
    journal: Arc<Journal>,
    objects: RwLock<BTreeMap<Box<str>, Arc<Version>>>,
}

impl Bucket {
    /// The present version of `key`, or `NoSuchKey`.
    pub(crate) fn get(&self, key: &str) -> S3Result<Arc<Version>> {
        self.objects.read().get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey, "no object with key {key}"))
    }

    /// Makes `version` the present one of `key`, if the conditions hold for the version it replaces.
    pub(crate) fn insert(
        &self,
        key: &str,
        version: Version,
        conditions: &Conditions,
    ) -> S3Result<Arc<Version>> {
        let mut objects = self.objects.write();
        conditions.check_write(objects.get(key).map(Arc::as_ref))?;
        let version = Arc::new(version);
        objects.insert(key.into(), Arc::clone(&version));
        self.journal.record(&self.name, key, Some(version.content.size_bytes()));
        Ok(version)
    }

    /// Removes `key` if the conditions hold; a key that is not there is not an error, as in S3.
    pub(crate) fn remove(&self, key: &str, conditions: &Conditions) -> S3Result<bool> {
        let mut objects = self.objects.write();
        conditions.check_write(objects.get(key).map(Arc::as_ref))?;
        let removed = objects.remove(key).is_some();
        if removed {
            self.journal.record(&self.name, key, None);
        }
        Ok(removed)
    }

    /// One page of a listing, a consistent view of the bucket.
    pub(crate) fn list(&self, query: &ListQuery<'_>) -> ListPage {
        listing::page(&self.objects.read(), query)
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.objects.read().len()
    }
}
