//! The data of one file: which bytes are here, which differ from the store's, and what a power cut would leave.
//!
//! [`Content`] is plain state behind a lock of its own, so that writers of different files do not meet; the backing
//! file's bytes are written outside of it. Lock order: the tree's lock, then this one.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::disk::DiskFile;
use crate::extents::Extents;
use crate::record::{FileData, UploadRecord};
use crate::space::Space;
use crate::types::{Base, EventSeq, Moment};

/// More ranges than this are not kept for one file: then its gaps have to be filled.
pub const EXTENTS_MAX: usize = 4096;

/// A file of the tree.
pub(crate) struct FileNode {
    pub(crate) content: Mutex<Content>,
    /// Open while a handle is.
    pub(crate) backing: RwLock<Option<Arc<dyn DiskFile>>>,
    /// One sync at a time. Taken before the tree's lock.
    pub(crate) sync: Mutex<()>,
    /// Held while bytes of a file with a base are written or filled in. Taken before the tree's lock.
    pub(crate) filling: Mutex<()>,
    space: Arc<Space>,
}

impl FileNode {
    pub(crate) fn new(data: FileData, mtime: Moment, space: Arc<Space>) -> Self {
        let mut content = Content::new(data, mtime);
        content.recount(&space);
        Self {
            content: Mutex::new(content),
            backing: RwLock::new(None),
            sync: Mutex::new(()),
            filling: Mutex::new(()),
            space,
        }
    }

    /// Changes the content, and the sums of the mount with it.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        let mut content = self.content.lock();
        let result = change(&mut content);
        content.recount(&self.space);
        result
    }

    pub(crate) fn backing(&self) -> Option<Arc<dyn DiskFile>> {
        self.backing.read().clone()
    }
}

impl Drop for FileNode {
    fn drop(&mut self) {
        self.update(|content| {
            content.now.changed = Extents::default();
            content.now.local = Extents::default();
            content.is_dirty = false;
        });
    }
}

pub(crate) struct Content {
    /// What reads see.
    pub(crate) now: FileData,
    /// What a power cut would leave; `None` when that is `now`.
    synced: Option<Box<FileData>>,
    pub(crate) mtime: Moment,
    /// Does the store lack something of it?
    pub(crate) is_dirty: bool,
    /// Rises with each change of data or size.
    pub(crate) generation: u64,
    /// The generation that was last flushed.
    pub(crate) synced_generation: u64,
    /// The generation that the last publish event was made for.
    pub(crate) event_generation: u64,
    /// Smallest size since the sync that runs began.
    pub(crate) trimmed: u64,
    pub(crate) writers: u32,
    pub(crate) handles: u32,
    /// An upload reads the file now.
    pub(crate) upload: Option<UploadMark>,
    pub(crate) resumable: Option<UploadRecord>,
    /// The backing file was lost.
    pub(crate) is_missing: bool,
    /// There is a backing file.
    pub(crate) has_backing: bool,
    /// The tree has it among the files that were written since their last event.
    pub(crate) is_in_written: bool,
    /// The backing file's name may not survive a power cut.
    pub(crate) is_name_new: bool,
    counted_dirty_bytes: u64,
    counted_kept_bytes: u64,
    counted_dirty_files: u64,
}

/// What happened to a file since its upload began.
pub(crate) struct UploadMark {
    /// Of which event.
    pub(crate) seq: EventSeq,
    pub(crate) generation: u64,
    pub(crate) size_bytes: u64,
    pub(crate) changed: Extents,
    /// Were bytes changed that the upload reads?
    pub(crate) is_torn: bool,
    /// The record that the store has it is being written: later writes need one of their own.
    pub(crate) is_ending: bool,
}

impl Content {
    fn new(data: FileData, mtime: Moment) -> Self {
        Self {
            is_dirty: !data.changed.is_empty(),
            now: data,
            synced: None,
            mtime,
            generation: 1,
            synced_generation: 0,
            event_generation: 0,
            trimmed: u64::MAX,
            writers: 0,
            handles: 0,
            upload: None,
            resumable: None,
            is_missing: false,
            has_backing: false,
            is_in_written: false,
            is_name_new: false,
            counted_dirty_bytes: 0,
            counted_kept_bytes: 0,
            counted_dirty_files: 0,
        }
    }

    /// What a power cut would leave.
    pub(crate) fn synced(&self) -> &FileData {
        self.synced.as_deref().unwrap_or(&self.now)
    }

    /// Is every byte that the base has, and that still counts, here?
    pub(crate) fn is_complete(&self) -> bool {
        self.now.local.covers(0..self.now.base_bytes)
    }

    /// Has a writer changed it since its last close or sync?
    pub(crate) fn is_being_written(&self) -> bool {
        self.writers > 0 && self.generation != self.event_generation
    }

    /// Would this write make more ranges than one file may have?
    pub(crate) fn is_too_much(&self, range: Range<u64>) -> bool {
        let is_full = |extents: &Extents| extents.count() >= EXTENTS_MAX && !extents.touches(range.clone());
        is_full(&self.now.local) || is_full(&self.now.changed)
    }

    fn about_to_change(&mut self) {
        if self.synced.is_none() {
            self.synced = Some(Box::new(self.now.clone()));
        }
        self.generation += 1;
        self.is_dirty = true;
    }

    /// Bytes were written, or punched.
    pub(crate) fn wrote(&mut self, start: u64, end: u64) {
        self.about_to_change();
        self.now.local.insert(start..end);
        self.now.changed.insert(start..end);
        self.now.size_bytes = self.now.size_bytes.max(end);
        if let Some(upload) = &mut self.upload {
            upload.changed.insert(start..end);
            upload.is_torn |= start < upload.size_bytes;
        }
        if self.now.base.is_none() && self.now.local.count() >= EXTENTS_MAX {
            self.close_holes();
        }
    }

    /// Holes of a file without a base are zeroes of the backing file, so they may as well count as written.
    fn close_holes(&mut self) {
        let all = Extents::of(0..self.now.local.end());
        self.now.local = all.clone();
        self.now.changed = all;
    }

    /// The file was cut or extended.
    pub(crate) fn truncated(&mut self, size_bytes: u64) {
        self.about_to_change();
        for data in std::iter::once(&mut self.now).chain(self.synced.as_deref_mut()) {
            truncate(data, size_bytes);
        }
        self.trimmed = self.trimmed.min(size_bytes);
        if let Some(upload) = &mut self.upload {
            upload.changed.clip(size_bytes);
            upload.is_torn |= size_bytes < upload.size_bytes;
        }
    }

    /// Bytes of the base arrived; nothing changes for readers.
    pub(crate) fn filled(&mut self, start: u64, end: u64) {
        self.now.local.insert(start..end);
    }

    /// What of `data`, taken when a sync began, was not cut off since.
    pub(crate) fn trim(&self, mut data: FileData) -> FileData {
        if self.trimmed < data.size_bytes {
            truncate(&mut data, self.trimmed);
        }
        data
    }

    /// `data` is on the disk; `now` may be further.
    pub(crate) fn set_synced(&mut self, data: FileData) {
        self.synced = (data != self.now).then(|| Box::new(data));
    }

    /// The same, when it is read back from a journal.
    pub(crate) fn replay_synced(&mut self, data: FileData) {
        if self.now.base.is_none() {
            self.is_dirty = true;
            self.replace(data);
            return;
        }
        // What was filled in by then needed no record of its own.
        self.now.local.extend(&data.local);
        self.now.local.clip(self.now.size_bytes);
        self.set_synced(data);
    }

    /// Writes that needed no record, because the file had no base, are told of when it gets one.
    pub(crate) fn replay_unrecorded(&mut self, changed: &Extents, size_bytes: u64) {
        if self.synced.is_none() {
            self.synced = Some(Box::new(self.now.clone()));
        }
        self.now.local.extend(changed);
        self.now.size_bytes = size_bytes;
    }

    /// Does a write need a record? Files without a base are what their backing file is.
    pub(crate) fn needs_records(&self) -> bool {
        self.now.base.is_some() || self.upload.as_ref().is_some_and(|upload| upload.is_ending)
    }

    /// The kernel wrote to the backing file itself.
    pub(crate) fn note_foreign_write(&mut self, data: FileData) {
        self.about_to_change();
        if let Some(upload) = &mut self.upload {
            upload.changed = data.changed.clone();
            upload.is_torn = true;
        }
        self.now = data;
    }

    /// Sets what is there and on the disk, as a record says.
    pub(crate) fn replace(&mut self, data: FileData) {
        self.synced = None;
        self.now = data;
    }

    /// The same bytes as a file of its own.
    pub(crate) fn without_base(&self) -> FileData {
        let local = Extents::of(0..self.now.size_bytes);
        FileData { size_bytes: self.now.size_bytes, changed: local.clone(), local, ..FileData::default() }
    }

    /// What a killed daemon left; what a power cut would leave stays what it was.
    pub(crate) fn set_recovered(&mut self, data: FileData) {
        if self.synced.is_none() {
            self.synced = Some(Box::new(self.now.clone()));
        }
        self.now = data;
    }

    /// What the power cut left.
    pub(crate) fn fall_back_to_synced(&mut self) {
        if let Some(synced) = self.synced.take() {
            self.now = *synced;
        }
        self.now.local = self.now.changed.clone();
    }

    /// The store has everything up to where the upload began; `changed` came since.
    pub(crate) fn published(&mut self, base: Base, mut changed: Extents, is_dirty: bool) {
        self.is_dirty = is_dirty;
        if let Some(upload) = self.upload.take() {
            changed.extend(&upload.changed);
            self.is_dirty |= self.generation != upload.generation;
        }
        for data in std::iter::once(&mut self.now).chain(self.synced.as_deref_mut()) {
            data.base_bytes = base.size_bytes.min(data.size_bytes);
            data.base = Some(base.clone());
            data.changed = changed.clone();
            data.changed.clip(data.size_bytes);
        }
        self.resumable = None;
    }

    fn recount(&mut self, space: &Space) {
        let dirty = self.now.changed.total_bytes();
        let kept = self.now.local.total_bytes().saturating_sub(dirty);
        let files = u64::from(self.is_dirty);
        space.dirty_bytes.change(self.counted_dirty_bytes, dirty);
        space.kept_bytes.change(self.counted_kept_bytes, kept);
        space.dirty_files.change(self.counted_dirty_files, files);
        (self.counted_dirty_bytes, self.counted_kept_bytes, self.counted_dirty_files) = (dirty, kept, files);
    }
}

pub(crate) fn truncate(data: &mut FileData, size_bytes: u64) {
    data.size_bytes = size_bytes;
    data.base_bytes = data.base_bytes.min(size_bytes);
    data.local.clip(size_bytes);
    data.changed.clip(size_bytes);
}
