//! The journal: an append-only file of records, with one flush for all who wait.
//!
//! Parts: `header` and `frame` are the bytes, `replay` reads them back. Flow: [`Journal::append`] writes a frame into
//! room that was allocated ahead (one `pwrite`, no flush); [`Journal::flush`] makes everything up to a record survive a
//! power cut, and whoever comes while a flush runs shares the next one. [`Journal::begin_rewrite`] starts a
//! smaller file that says the same; until it takes the old one's place, records go to both.
//!
//! Trade: records wait in the page cache until somebody asks for durability, so a change of a name costs a `pwrite`
//! instead of a flush; a killed daemon loses nothing by it, a power cut loses what nobody asked to keep.

mod frame;
mod header;
mod replay;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::disk::{Disk, DiskFile};
use crate::error::StageError;
use crate::poison::Poison;
use crate::record::Change;
use frame::{HEAD_BYTES, PAYLOAD_BYTES_MAX, frame_bytes, seal, seed};
use header::{HEADER_BYTES, Header};

pub(crate) use replay::{Replayed, replay};

/// The file's name in a staging directory.
pub(crate) const JOURNAL_NAME: &str = "journal";
const REWRITE_NAME: &str = "journal.new";

/// Room is allocated in steps of this.
const ROOM_STEP_BYTES: u64 = 1024 * 1024;
/// A journal shorter than this is not rewritten.
const REWRITE_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Records that free space may use this much when the disk is full.
const RESERVE_BYTES: u64 = 1024 * 1024;

/// May a record use the reserve?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// No: it would make things grow.
    Grows,
    /// Yes: it leads to less data in the staging directory.
    Frees,
}

/// Number of a record since the start of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordSeq(pub(crate) u64);

/// The open journal of one staging directory.
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    poison: Arc<Poison>,
    uuid: [u8; 16],
    boot_id: [u8; 36],
    /// Taken after the tree's lock, never while `commit` is held.
    writer: Mutex<Writer>,
    commit: Mutex<Commit>,
    flushed: Condvar,
}

struct Writer {
    current: Segment,
    /// The file that will take the place of `current`.
    next: Option<Segment>,
    last: RecordSeq,
    buffer: Vec<u8>,
}

/// One file, and how much of it is used.
struct Segment {
    file: Arc<dyn DiskFile>,
    epoch: u64,
    seed: u32,
    end: u64,
    allocated: u64,
    frames: u64,
    flushed_frames: u64,
    /// Bytes that it began with.
    snapshot_bytes: u64,
}

#[derive(Default)]
struct Commit {
    flushed: RecordSeq,
    is_flushing: bool,
}

impl Journal {
    /// Writes a new journal that begins with `snapshot`, and puts it in the place of the one that was replayed.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        poison: Arc<Poison>,
        (uuid, boot_id): ([u8; 16], [u8; 36]),
        replayed: Option<&Replayed>,
        snapshot: impl Iterator<Item = Vec<Change>>,
    ) -> io::Result<Self> {
        let epoch = replayed.map_or(1, |old| old.header.epoch + 1);
        let current = Segment::create(disk.as_ref(), &Header { uuid, epoch, boot_id }, snapshot)?;
        let writer = Writer { current, next: None, last: RecordSeq(0), buffer: Vec::new() };
        writer.current.file.sync_data()?;
        take_the_place(disk.as_ref())?;
        let (writer, commit) = (Mutex::new(writer), Mutex::new(Commit::default()));
        Ok(Self { disk, poison, uuid, boot_id, writer, commit, flushed: Condvar::new() })
    }

    /// Appends one record; it survives the end of the process from now on. On an error nothing was appended.
    pub(crate) fn append(&self, changes: &[Change], room: Room) -> Result<RecordSeq, StageError> {
        self.poison.check()?;
        let result = self.writer.lock().append(changes, room);
        result.map_err(|source| {
            if source.kind() != io::ErrorKind::StorageFull {
                self.poison.set("append to the journal", &source);
            }
            StageError::Io { action: "append to the journal", source }
        })
    }

    /// The last record that was appended.
    pub(crate) fn last(&self) -> RecordSeq {
        self.writer.lock().last
    }

    /// Records up to here survive a power cut.
    pub(crate) fn flushed(&self) -> RecordSeq {
        self.commit.lock().flushed
    }

    /// Makes records up to `seq` survive a power cut. Blocks; those who wait at the same time share flushes.
    pub(crate) fn flush(&self, seq: RecordSeq) -> Result<(), StageError> {
        let mut commit = self.commit.lock();
        while commit.flushed < seq {
            self.poison.check()?;
            if commit.is_flushing {
                self.flushed.wait(&mut commit);
                continue;
            }
            commit.is_flushing = true;
            drop(commit);
            let result = self.flush_now();
            commit = self.commit.lock();
            commit.is_flushing = false;
            self.flushed.notify_all();
            match result {
                Ok(flushed) => commit.flushed = commit.flushed.max(flushed),
                Err(source) => {
                    self.poison.set("flush the journal", &source);
                    return Err(StageError::Io { action: "flush the journal", source });
                }
            }
        }
        Ok(())
    }

    fn flush_now(&self) -> io::Result<RecordSeq> {
        let (file, epoch, frames, last) = {
            let writer = self.writer.lock();
            (writer.current.file.clone(), writer.current.epoch, writer.current.frames, writer.last)
        };
        file.sync_data()?;
        self.writer.lock().mark_flushed(epoch, frames)?;
        Ok(last)
    }

    /// Bytes of the file that are used.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.writer.lock().current.end
    }

    /// Is most of the file history?
    pub(crate) fn wants_rewrite(&self) -> bool {
        let writer = self.writer.lock();
        let live_bytes = writer.current.snapshot_bytes.max(REWRITE_BYTES_MIN / 4);
        writer.next.is_none() && writer.current.end > 4 * live_bytes
    }

    /// Starts a file that begins with `snapshot`. The caller holds the tree's lock, so that nothing is appended meanwhile;
    /// from then on records go to both files. False when one is being written already.
    pub(crate) fn begin_rewrite(&self, snapshot: impl Iterator<Item = Vec<Change>>) -> io::Result<bool> {
        let mut writer = self.writer.lock();
        if writer.next.is_some() {
            return Ok(false);
        }
        let header = Header { uuid: self.uuid, epoch: writer.current.epoch + 1, boot_id: self.boot_id };
        writer.next = Some(Segment::create(self.disk.as_ref(), &header, snapshot)?);
        Ok(true)
    }

    /// Flushes the new file and puts it in the place of the old one. Blocks, with the last part under the writer's lock.
    pub(crate) fn finish_rewrite(&self) -> Result<(), StageError> {
        let Some(file) = self.writer.lock().next.as_ref().map(|next| next.file.clone()) else {
            return Ok(());
        };
        // Most of it without the lock; what was appended since is little.
        let flushed = file.sync_data();
        let mut writer = self.writer.lock();
        let result =
            flushed.and_then(|()| file.sync_data()).and_then(|()| take_the_place(self.disk.as_ref()));
        let next = writer.next.take();
        if let Err(source) = result {
            self.poison.set("rewrite the journal", &source);
            return Err(StageError::Io { action: "rewrite the journal", source });
        }
        if let Some(next) = next {
            writer.current = next;
            writer.current.flushed_frames = writer.current.frames;
        }
        let last = writer.last;
        drop(writer);
        let mut commit = self.commit.lock();
        commit.flushed = commit.flushed.max(last);
        Ok(())
    }
}

fn take_the_place(disk: &dyn Disk) -> io::Result<()> {
    disk.rename(Path::new(REWRITE_NAME), Path::new(JOURNAL_NAME))?;
    disk.sync_directory(Path::new(""))
}

impl Writer {
    fn append(&mut self, changes: &[Change], room: Room) -> io::Result<RecordSeq> {
        encode(&mut self.buffer, changes)?;
        let frame_bytes = frame_bytes(self.buffer.len() - HEAD_BYTES);
        for segment in std::iter::once(&mut self.current).chain(self.next.as_mut()) {
            segment.make_room(frame_bytes, room)?;
        }
        for segment in std::iter::once(&mut self.current).chain(self.next.as_mut()) {
            segment.append(&mut self.buffer)?;
        }
        self.last.0 += 1;
        Ok(self.last)
    }

    /// Says in the file that these frames were flushed, so that their loss would be noticed.
    fn mark_flushed(&mut self, epoch: u64, frames: u64) -> io::Result<()> {
        let segment = &mut self.current;
        if segment.epoch != epoch {
            return Ok(());
        }
        segment.flushed_frames = segment.flushed_frames.max(frames);
        if segment.frames > frames {
            return Ok(()); // A record has come since; the next one says it.
        }
        encode(&mut self.buffer, &[])?;
        match segment.make_room(frame_bytes(self.buffer.len() - HEAD_BYTES), Room::Frees) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            Err(error) => Err(error),
            Ok(()) => segment.append(&mut self.buffer),
        }
    }
}

/// Leaves room for the head of the frame.
fn encode(buffer: &mut Vec<u8>, changes: &[Change]) -> io::Result<()> {
    buffer.clear();
    buffer.resize(HEAD_BYTES, 0);
    *buffer = postcard::to_extend(changes, std::mem::take(buffer)).map_err(io::Error::other)?;
    if buffer.len() - HEAD_BYTES > PAYLOAD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "the record is too long"));
    }
    Ok(())
}

impl Segment {
    /// A file under its temporary name that begins with `snapshot`, not flushed.
    fn create(
        disk: &dyn Disk,
        header: &Header,
        snapshot: impl Iterator<Item = Vec<Change>>,
    ) -> io::Result<Self> {
        let path = Path::new(REWRITE_NAME);
        let file = disk.open(path, true)?;
        file.set_size(0)?;
        file.write_all_at(&header.encode(), 0)?;
        let seed = seed(&header.uuid, header.epoch);
        let mut segment = Self {
            file,
            epoch: header.epoch,
            seed,
            end: HEADER_BYTES,
            allocated: HEADER_BYTES,
            frames: 0,
            flushed_frames: 0,
            snapshot_bytes: 0,
        };
        let mut buffer = Vec::new();
        for changes in snapshot {
            encode(&mut buffer, &changes)?;
            segment.make_room(frame_bytes(buffer.len() - HEAD_BYTES), Room::Grows)?;
            segment.append(&mut buffer)?;
        }
        segment.make_room(0, Room::Grows)?;
        segment.snapshot_bytes = segment.end;
        Ok(segment)
    }

    /// Writes one frame into room that is there.
    fn append(&mut self, frame: &mut [u8]) -> io::Result<()> {
        seal(frame, self.frames + 1, self.flushed_frames, self.seed);
        self.file.write_all_at(frame, self.end)?;
        self.end += frame_bytes(frame.len() - HEAD_BYTES);
        self.frames += 1;
        Ok(())
    }

    /// Allocates ahead, so that appending cannot fail for want of space, and a flush has no metadata to write: room
    /// that is allocated but was never written would cost a commit of the file system's own journal each time.
    fn make_room(&mut self, bytes: u64, room: Room) -> io::Result<()> {
        let wanted = self.end + bytes + RESERVE_BYTES;
        if wanted <= self.allocated {
            return Ok(());
        }
        let target = wanted.next_multiple_of(ROOM_STEP_BYTES);
        match self.file.prepare(self.allocated..target) {
            Ok(()) => {
                self.allocated = target;
                Ok(())
            }
            Err(_) if room == Room::Frees && self.end + bytes <= self.allocated => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Where the journal lies, for messages.
pub(crate) fn journal_path(directory: &Path) -> PathBuf {
    directory.join(JOURNAL_NAME)
}
