//! [`Cache`]: the slabs, and beside them large objects in files of their own. Which of the two an object lies in follows
//! from its size alone, so that nobody has to look twice.

use std::io;

use backing_store::BackingStore;
use slab_store::{BlockIndex, ReadOutcome, SlabStore};
use ufs::ByteRange;

use crate::object::Object;

/// Where an object's blocks go.
pub enum Place<'c> {
    /// Into slabs.
    Slabs(&'c SlabStore),
    /// Into a file of its own.
    File(&'c BackingStore),
}

/// The cache of a daemon. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    /// Small objects and, when there are no files, all.
    pub slabs: SlabStore,
    /// Large objects; absent on a block device, and where the kernel would not pass them through.
    pub large: Option<BackingStore>,
}

impl Cache {
    /// Where an object belongs.
    pub fn place(&self, object: &Object) -> Place<'_> {
        match self.large(object) {
            Some(files) => Place::File(files),
            None => Place::Slabs(&self.slabs),
        }
    }

    /// The store of files, if the object belongs there.
    pub fn large(&self, object: &Object) -> Option<&BackingStore> {
        self.large.as_ref().filter(|files| files.takes(object.size_bytes))
    }

    /// Whether a read of a block would find it.
    pub fn contains(&self, object: &Object, index: u32) -> bool {
        match self.place(object) {
            Place::Slabs(slabs) => slabs.contains(&object.cache_key, BlockIndex(index)),
            Place::File(files) => files.contains(&object.cache_key, BlockIndex(index)),
        }
    }

    /// A reader for one thread.
    pub fn reader(&self) -> io::Result<CacheReader> {
        Ok(CacheReader {
            slabs: self.slabs.reader()?,
            large: self.large.as_ref().map(|files| (files.clone(), files.reader())),
        })
    }
}

/// Reads the cache for one thread.
pub struct CacheReader {
    slabs: slab_store::Reader,
    large: Option<(BackingStore, backing_store::Reader)>,
}

impl CacheReader {
    /// The bytes of a range inside an object, if all of them are cached.
    pub fn read(&mut self, object: &Object, range: ByteRange) -> ReadOutcome<'_> {
        let len = range.len() as usize;
        match &mut self.large {
            Some((files, reader)) if files.takes(object.size_bytes) => {
                reader.read(&object.cache_key, range.start, len)
            }
            _ => self.slabs.read(&object.cache_key, range.start, len, object.size_bytes),
        }
    }
}
