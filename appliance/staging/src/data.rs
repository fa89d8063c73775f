//! Open files: writes into backing files, and syncs.
//!
//! A write goes to the backing file first and is then entered in the file's extents, so that nobody is shown bytes that
//! are not there. Files without a base are what their backing file is and need no record for a write; for others
//! the record says which bytes are here, because a sparse file cannot say it to the byte.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::content::{Content, EXTENTS_MAX, FileNode};
use crate::disk::DiskFile;
use crate::error::StageError;
use crate::extents::Extents;
use crate::journal::Room;
use crate::record::{Change, FileData};
use crate::shared::{DATA_DIRECTORY, Shared, backing_path};
use crate::staging::Staging;
use crate::types::{Base, Moment, NodeNumber};

/// Greatest size of a file: an S3 object has at most 5 TiB, other stores less.
pub const FILE_BYTES_MAX: u64 = 5 << 40;

/// Where a range of a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The backing file, at the same offset.
    Local(Range<u64>),
    /// The base object, at the same offset.
    Base(Range<u64>),
    /// Zeroes.
    Hole(Range<u64>),
}

/// How to allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocateMode {
    /// Room for the range; the file grows to it.
    Extend,
    /// Room for the range; the size stays (`FALLOC_FL_KEEP_SIZE`).
    KeepSize,
    /// The range reads as zeroes, the size stays (`FALLOC_FL_PUNCH_HOLE`).
    Punch,
    /// The range reads as zeroes (`FALLOC_FL_ZERO_RANGE`); the file grows to it.
    Zero,
}

/// A handle of a file of the tree. Dropping it is closing it: errors of closing are errors of the disk, and a
/// poisoned tree tells of them.
pub struct StagedFile {
    pub(crate) staging: Staging,
    number: NodeNumber,
    pub(crate) node: Arc<FileNode>,
    writes: bool,
}

impl Staging {
    /// Opens a file of the tree. With `writes` its backing file is made if need be.
    pub fn open_file(&self, number: NodeNumber, writes: bool) -> Result<StagedFile, StageError> {
        let tree = if writes { self.shared.tree_to_change()? } else { self.shared.tree.lock() };
        let node = tree.nodes.get(&number).ok_or(StageError::NotFound)?;
        if node.is_directory() {
            return Err(StageError::IsADirectory);
        }
        let node = tree.file(number).map_err(StageError::Invalid)?.clone();
        let mut content = node.content.lock();
        if content.is_missing {
            return Err(StageError::DataMissing { number });
        }
        self.shared.open_backing(number, &node, &mut content, writes)?;
        content.handles += 1;
        content.writers += u32::from(writes);
        drop(content);
        Ok(StagedFile { staging: self.clone(), number, node, writes })
    }

    /// Cuts or extends a file that need not be open.
    pub fn truncate(&self, number: NodeNumber, size_bytes: u64) -> Result<(), StageError> {
        let file = self.open_file(number, true)?;
        file.truncate(size_bytes)?;
        file.close()
    }
}

impl Shared {
    fn open_backing(
        &self,
        number: NodeNumber,
        node: &FileNode,
        content: &mut Content,
        create: bool,
    ) -> Result<(), StageError> {
        let mut backing = node.backing.write();
        let is_there = content.has_backing;
        if backing.is_some() || !(is_there || create) {
            return Ok(());
        }
        let failed = |source| StageError::Io { action: "open a backing file", source };
        let file = self.disk.open(&backing_path(number), !is_there).map_err(failed)?;
        if !is_there {
            // An earlier node of this number left a file: the record that it is gone has to be flushed before.
            if self.graveyard.lock().iter().any(|(_, dead)| *dead == number) {
                self.journal.flush(self.journal.last())?;
                self.bury();
            }
            file.set_size(0).and_then(|()| file.set_size(content.now.size_bytes)).map_err(failed)?;
            content.has_backing = true;
            content.is_name_new = true;
        }
        *backing = Some(file);
        Ok(())
    }

    fn sync_failed(&self, action: &'static str, source: io::Error) -> StageError {
        self.poison.set(action, &source);
        StageError::Io { action, source }
    }
}

impl StagedFile {
    /// The node that it is a handle of.
    pub fn number(&self) -> NodeNumber {
        self.number
    }

    /// Was it opened for writing?
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.node.content.lock().now.size_bytes
    }

    /// The object that gaps come from.
    pub fn base(&self) -> Option<Base> {
        self.node.content.lock().now.base.clone()
    }

    /// The backing file, for reads of [`Segment::Local`]; `None` while nothing of the file is here.
    pub fn backing(&self) -> Option<Arc<dyn DiskFile>> {
        self.node.backing()
    }

    /// May the kernel read and write the backing file itself? Then it has all bytes. Such writes are taken note of by
    /// [`refresh`](Self::refresh); a file with a base needs [`mark_all_changed`](Self::mark_all_changed) before.
    pub fn is_complete(&self) -> bool {
        let content = self.node.content.lock();
        content.has_backing && content.is_complete()
    }

    /// Where the bytes of a range come from, up to the end of the file.
    pub fn segments(&self, range: Range<u64>) -> Vec<Segment> {
        let content = self.node.content.lock();
        let data = &content.now;
        let range = range.start..range.end.min(data.size_bytes);
        let mut segments = Vec::new();
        let mut at = range.start;
        let push_gap = |segments: &mut Vec<Segment>, gap: Range<u64>| {
            let middle = data.base_bytes.clamp(gap.start, gap.end);
            let parts = [Segment::Base(gap.start..middle), Segment::Hole(middle..gap.end)];
            segments.extend(parts.into_iter().filter(|part| !part.range().is_empty()));
        };
        for local in data.local.within(range.clone()) {
            push_gap(&mut segments, at..local.start);
            at = local.end;
            segments.push(Segment::Local(local));
        }
        if at < range.end {
            push_gap(&mut segments, at..range.end);
        }
        segments
    }

    /// Writes all of `bytes`. The caller asked [`Staging::admit`] before.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StageError> {
        self.check_writes()?;
        let end = end_of(offset, bytes.len() as u64)?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.keep_published(offset)?;
        let failed = |source| StageError::Io { action: "write", source };
        let backing = self.node.backing().ok_or(StageError::Invalid("the file is not open"))?;
        let mtime = self.staging.shared.moment();
        let has_base = self.node.content.lock().now.base.is_some();
        if !has_base {
            backing.write_all_at(bytes, offset).map_err(failed)?;
            return self.wrote(offset, end, mtime);
        }
        self.write_over_base(offset..end, mtime, || backing.write_all_at(bytes, offset).map_err(failed))
    }

    fn wrote(&self, start: u64, end: u64, mtime: Moment) -> Result<(), StageError> {
        let (is_first, needs_record) = self.node.update(|content| {
            content.wrote(start, end);
            content.mtime = mtime;
            (!std::mem::replace(&mut content.is_in_written, true), content.needs_records())
        });
        let shared = &self.staging.shared;
        if is_first {
            shared.tree.lock().note_being_written(self.number, shared.now());
        }
        if needs_record {
            let change = Change::Wrote { number: self.number, start, end };
            shared.commit(&mut *shared.tree_to_change()?, vec![change], Room::Grows)?;
        }
        Ok(())
    }

    /// A fill of the gap beside it must not run at the same time, and the record has to say what is here.
    fn write_over_base(
        &self,
        range: Range<u64>,
        mtime: Moment,
        write: impl FnOnce() -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let _filling = self.node.filling.lock();
        let is_known = {
            let content = self.node.content.lock();
            let is_known = content.now.changed.covers(range.clone());
            if !is_known && content.is_too_much(range.clone()) {
                return Err(StageError::Fragmented { limit: EXTENTS_MAX });
            }
            is_known
        };
        write()?;
        let shared = &self.staging.shared;
        let mut tree = shared.tree_to_change()?;
        if is_known {
            self.node.update(|content| content.wrote(range.start, range.end));
        } else {
            let change = Change::Wrote { number: self.number, start: range.start, end: range.end };
            shared.commit(&mut tree, vec![change], Room::Grows)?;
        }
        tree.note_being_written(self.number, shared.now());
        self.node.update(|content| {
            content.mtime = mtime;
            content.is_in_written = true;
        });
        Ok(())
    }

    /// Cuts or extends the file.
    pub fn truncate(&self, size_bytes: u64) -> Result<(), StageError> {
        self.check_writes()?;
        end_of(size_bytes, 0)?;
        self.keep_published(size_bytes)?;
        let shared = &self.staging.shared;
        let mtime = shared.moment();
        let _filling = self.node.filling.lock();
        let backing = self.node.backing().ok_or(StageError::Invalid("the file is not open"))?;
        let mut tree = shared.tree_to_change()?;
        let changes = vec![Change::Truncated { number: self.number, size_bytes }];
        // The record first: bytes that a killed daemon left behind the end are cut off when it comes back.
        shared.commit(
            &mut tree,
            changes,
            if size_bytes < self.size() { Room::Frees } else { Room::Grows },
        )?;
        backing.set_size(size_bytes).map_err(|source| shared.sync_failed("truncate", source))?;
        tree.note_being_written(self.number, shared.now());
        self.node.update(|content| {
            content.mtime = mtime;
            content.is_in_written = true;
        });
        Ok(())
    }

    /// Allocates room, or makes a range read as zeroes.
    pub fn allocate(&self, offset: u64, len: u64, mode: AllocateMode) -> Result<(), StageError> {
        self.check_writes()?;
        let end = end_of(offset, len)?;
        if len == 0 {
            return Err(StageError::Invalid("a range of no bytes"));
        }
        let failed = |source| StageError::Io { action: "allocate", source };
        let backing = self.node.backing().ok_or(StageError::Invalid("the file is not open"))?;
        let size_bytes = self.size();
        match mode {
            AllocateMode::KeepSize => Ok(()),
            AllocateMode::Extend => {
                if self.base().is_none() {
                    backing.allocate(offset..end).map_err(failed)?;
                }
                if end > size_bytes { self.truncate(end) } else { Ok(()) }
            }
            AllocateMode::Punch => self.zero(&backing, offset..end.min(size_bytes)),
            AllocateMode::Zero => {
                if end > size_bytes {
                    self.truncate(end)?;
                }
                self.zero(&backing, offset..end)
            }
        }
    }

    fn zero(&self, backing: &Arc<dyn DiskFile>, range: Range<u64>) -> Result<(), StageError> {
        if range.is_empty() {
            return Ok(());
        }
        self.keep_published(range.start)?;
        let failed = |source| StageError::Io { action: "punch", source };
        let mtime = self.staging.shared.moment();
        if self.base().is_none() {
            backing.punch(range.clone()).map_err(failed)?;
            return self.wrote(range.start, range.end, mtime);
        }
        self.write_over_base(range.clone(), mtime, || backing.punch(range).map_err(failed))
    }

    /// Bytes of the base at `offset`: kept where the file has none of its own. Readers see no difference.
    pub fn fill(&self, offset: u64, bytes: &[u8]) -> Result<(), StageError> {
        self.staging.shared.poison.check()?;
        let _filling = self.node.filling.lock();
        {
            let mut content = self.node.content.lock();
            self.staging.shared.open_backing(self.number, &self.node, &mut content, true)?;
        }
        let backing = self.node.backing().ok_or(StageError::Invalid("the file is not open"))?;
        let gaps: Vec<_> = {
            let content = self.node.content.lock();
            let end = (offset + bytes.len() as u64).min(content.now.base_bytes);
            content.now.local.gaps(offset..end.max(offset)).collect()
        };
        for gap in gaps {
            let part = &bytes[(gap.start - offset) as usize..(gap.end - offset) as usize];
            backing
                .write_all_at(part, gap.start)
                .map_err(|source| StageError::Io { action: "fill", source })?;
            self.node.update(|content| content.filled(gap.start, gap.end));
        }
        Ok(())
    }

    /// Ranges of the base that are not here.
    pub fn gaps(&self) -> Vec<Range<u64>> {
        let content = self.node.content.lock();
        content.now.local.gaps(0..content.now.base_bytes).collect()
    }

    /// First byte at or behind `offset` that may not be zero (`SEEK_DATA`); `None` behind the last.
    pub fn seek_data(&self, offset: u64) -> Option<u64> {
        let segments = self.segments(offset..u64::MAX);
        segments
            .iter()
            .find(|segment| !matches!(segment, Segment::Hole(_)))
            .map(|segment| segment.range().start)
    }

    /// First byte of a hole at or behind `offset`, the end of the file being one (`SEEK_HOLE`); `None` behind the end.
    pub fn seek_hole(&self, offset: u64) -> Option<u64> {
        let size_bytes = self.size();
        if offset >= size_bytes {
            return None;
        }
        let segments = self.segments(offset..u64::MAX);
        let hole = segments.iter().find(|segment| matches!(segment, Segment::Hole(_)));
        Some(hole.map_or(size_bytes, |segment| segment.range().start))
    }

    /// Takes note of what the kernel wrote to the backing file itself.
    pub fn refresh(&self) -> Result<(), StageError> {
        let Some(backing) = self.node.backing() else { return Ok(()) };
        let failed = |source| StageError::Io { action: "look at a backing file", source };
        let size_bytes = backing.size().map_err(failed)?;
        let ranges = backing.data_ranges().map_err(failed)?;
        let mtime = self.staging.shared.moment();
        let is_changed = self.node.update(|content| {
            let is_changed = content.refresh(size_bytes, &ranges);
            if is_changed {
                content.mtime = mtime;
            }
            is_changed
        });
        if is_changed {
            let now = self.staging.shared.now();
            self.staging.shared.tree.lock().note_being_written(self.number, now);
        }
        Ok(())
    }

    /// Every byte may differ from the base from now on: the kernel will write past this crate. Survives a kill.
    pub fn mark_all_changed(&self) -> Result<(), StageError> {
        self.check_writes()?;
        let size_bytes = self.size();
        if size_bytes == 0 || self.base().is_none() {
            return Ok(());
        }
        self.write_over_base(0..size_bytes, self.staging.shared.moment(), || Ok(()))
    }

    /// Lets go of the base: the file is what is here from now on. Every byte of it has to be here. Blocks.
    pub fn detach(&self) -> Result<(), StageError> {
        let shared = &self.staging.shared;
        shared.poison.check()?;
        let _one = self.node.sync.lock();
        let _filling = self.node.filling.lock();
        if !self.gaps().is_empty() {
            return Err(StageError::Invalid("the file needs its base"));
        }
        let is_name_new = self.node.content.lock().is_name_new;
        shared.flush_backing(self.number, &self.node, is_name_new)?;
        let mut tree = shared.tree_to_change()?;
        let data = self.node.content.lock().without_base();
        let seq = shared.commit(&mut tree, vec![Change::Data { number: self.number, data }], Room::Grows)?;
        drop(tree);
        self.node.update(|content| content.is_name_new = false);
        shared.flush(seq)
    }

    /// Data, size and name survive a power cut when this returns. Blocks. Makes a publish event when there is
    /// something to publish.
    pub fn sync(&self) -> Result<(), StageError> {
        let seq = self.staging.shared.sync_file(self.number, &self.node)?;
        self.staging.shared.flush(seq)
    }

    /// Closes the handle; the last writer's close makes a publish event.
    pub fn close(mut self) -> Result<(), StageError> {
        self.close_now()
    }

    fn close_now(&mut self) -> Result<(), StageError> {
        if self.number == NodeNumber(0) {
            return Ok(());
        }
        let number = std::mem::replace(&mut self.number, NodeNumber(0));
        let shared = &self.staging.shared;
        let mut tree = shared.tree.lock();
        let (was_last_writer, is_last) = {
            let mut content = self.node.content.lock();
            content.handles -= 1;
            content.writers -= u32::from(self.writes);
            (self.writes && content.writers == 0, content.handles == 0)
        };
        if is_last {
            *self.node.backing.write() = None;
        }
        let result = if was_last_writer { shared.note_written(&mut tree, number) } else { Ok(()) };
        shared.drop_if_useless(&mut tree, number);
        result
    }

    fn check_writes(&self) -> Result<(), StageError> {
        self.staging.shared.poison.check()?;
        if self.writes { Ok(()) } else { Err(StageError::Invalid("the file is not open for writing")) }
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let Err(error) = self.close_now() {
            tracing::warn!(%error, "the close of a file could not be recorded; its next change will be");
        }
    }
}

impl Segment {
    /// The bytes of the file that it speaks of.
    pub fn range(&self) -> &Range<u64> {
        match self {
            Self::Local(range) | Self::Base(range) | Self::Hole(range) => range,
        }
    }
}

impl Shared {
    /// Flushes the data of a file and appends the record that says so.
    pub(crate) fn sync_file(
        &self,
        number: NodeNumber,
        node: &FileNode,
    ) -> Result<crate::journal::RecordSeq, StageError> {
        self.poison.check()?;
        let _one = node.sync.lock();
        let (data, generation, is_name_new) = {
            let mut content = node.content.lock();
            if content.generation == content.synced_generation {
                return Ok(self.journal.last());
            }
            content.trimmed = u64::MAX;
            (content.now.clone(), content.generation, content.is_name_new)
        };
        self.flush_backing(number, node, is_name_new)?;
        let mut tree = self.tree_to_change()?;
        let data = node.content.lock().trim(data);
        let mtime = node.content.lock().mtime;
        let changes = vec![Change::Synced { number, data }, Change::Touched { number, mtime }];
        let seq = self.commit(&mut tree, changes, Room::Grows)?;
        node.update(|content| {
            content.synced_generation = content.synced_generation.max(generation);
            content.is_name_new = false;
        });
        self.note_written(&mut tree, number)?;
        Ok(self.journal.last().max(seq))
    }

    fn flush_backing(
        &self,
        number: NodeNumber,
        node: &FileNode,
        is_name_new: bool,
    ) -> Result<(), StageError> {
        let backing = match node.backing() {
            Some(backing) => backing,
            None if node.content.lock().has_backing => self
                .disk
                .open(&backing_path(number), false)
                .map_err(|source| StageError::Io { action: "open a backing file", source })?,
            None => return Ok(()),
        };
        backing.sync_data().map_err(|source| self.sync_failed("flush a file", source))?;
        if is_name_new {
            self.disk
                .sync_directory(Path::new(DATA_DIRECTORY))
                .map_err(|source| self.sync_failed("flush the directory of backing files", source))?;
        }
        Ok(())
    }
}

fn end_of(offset: u64, len: u64) -> Result<u64, StageError> {
    let end = offset.checked_add(len).filter(|end| *end <= FILE_BYTES_MAX);
    end.ok_or(StageError::FileTooLarge { limit_bytes: FILE_BYTES_MAX })
}

impl Content {
    /// Takes note of a backing file that the kernel wrote to. True when something changed.
    fn refresh(&mut self, size_bytes: u64, ranges: &[Range<u64>]) -> bool {
        if !self.is_complete() || self.now.base.is_some() && self.now.changed.is_empty() {
            return false;
        }
        let mut local = Extents::default();
        ranges.iter().for_each(|range| local.insert(range.start..range.end.min(size_bytes)));
        if local.count() >= EXTENTS_MAX {
            local = Extents::of(0..local.end());
        }
        if local == self.now.local && size_bytes == self.now.size_bytes && self.writers == 0 {
            return false;
        }
        self.note_foreign_write(FileData {
            size_bytes,
            base: self.now.base.clone(),
            base_bytes: self.now.base_bytes.min(size_bytes),
            changed: local.clone(),
            local,
        });
        true
    }
}
