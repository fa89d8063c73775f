//! Reading, writing and flushing files.

use std::sync::Arc;
use std::time::Duration;

use fuse_fast::reply::{Reply, ReplyBuffer, ReplyData};
use fuse_fast::types::{FallocateArgs, FileOffset, ReadToken, SeekFrom, WriteArgs, Written};
use fuse_fast::{Errno, FileHandle, NodeId, ReadArgs, RequestHeader};
use staging::{Admission, AllocateMode, AttributeChange, Kind, NodeNumber, Segment, StageError, StagedFile};
use ufs::ByteRange;

use super::{OpenedFile, ReadWriteTree, Worker};
use crate::errno::{of_overlay, of_stage};
use crate::overlay::file::{Source, read_local as read_local_bytes};
use crate::overlay::{OverlayError, without_set_id_bits};
use crate::read_path::OpenFile;
use crate::writeback::SyncOnClose;

impl ReadWriteTree {
    pub(super) fn read_file(
        &self,
        worker: &mut Worker,
        request: &RequestHeader,
        args: &ReadArgs,
        reply: ReplyData,
    ) {
        let Some(open) = self.shared.files.get(args.handle.0) else { return reply.error(Errno::EBADF) };
        let source = match open.file.source(self.overlay()) {
            Ok(source) => source,
            Err(error) => return reply.error(of_overlay(&error)),
        };
        let Source::Staged(staged) = source else {
            return self.read_object(worker, request, &open, args, reply);
        };
        let args = within(staged, args);
        let range = args.offset..args.offset + u64::from(args.size_bytes);
        match staged.segments(range.clone()).as_slice() {
            [] => reply.bytes(&[]),
            [Segment::Local(_)] => read_local(worker, staged, range.start, range.end, reply),
            [Segment::Base(_)] => self.read_object(worker, request, &open, &args, reply),
            _ => self.read_mixed(Arc::clone(&open), ByteRange::new(range), reply),
        }
    }

    /// Reads what comes from a store as a whole.
    fn read_object(
        &self,
        worker: &mut Worker,
        request: &RequestHeader,
        open: &OpenedFile,
        args: &ReadArgs,
        reply: ReplyData,
    ) {
        match self.object_of(open) {
            Ok(object) => {
                let read_path = &self.shared.tree.read_path;
                read_path.read(worker.reader.as_mut(), &object, request.unique, args, reply);
            }
            Err(error) => reply.error(of_overlay(&error)),
        }
    }

    fn object_of(&self, open: &OpenedFile) -> Result<Arc<OpenFile>, OverlayError> {
        match open.file.source(self.overlay())? {
            Source::Clean(clean) => Ok(Arc::clone(clean)),
            Source::Staged(staged) => self.overlay().base(&open.file, staged),
        }
    }

    pub(super) fn slab_read_done(
        &self,
        worker: &mut Worker,
        args: &ReadArgs,
        token: ReadToken,
        result: Result<(), Errno>,
        reply: ReplyBuffer,
    ) {
        let Some(open) = self.shared.files.get(args.handle.0) else { return reply.error(Errno::EBADF) };
        let args = match open.file.source(self.overlay()) {
            Ok(Source::Staged(staged)) => within(staged, args),
            Ok(Source::Clean(_)) | Err(_) => *args,
        };
        match self.object_of(&open) {
            Ok(object) => {
                let read_path = &self.shared.tree.read_path;
                read_path.slab_read_done(worker.reader.as_mut(), &object, &args, token, result, reply);
            }
            Err(error) => reply.error(of_overlay(&error)),
        }
    }

    fn read_mixed(&self, open: Arc<OpenedFile>, range: ByteRange, reply: ReplyData) {
        let fs = self.clone();
        self.shared.tree.runtime.spawn(async move {
            match fs.overlay().read_mixed(&open.file, range).await {
                Ok(bytes) => reply.bytes(&bytes),
                Err(errno) => reply.error(errno),
            }
        });
    }

    /// The bytes are taken at once, and the answer is held back while writers have to be slowed down.
    pub(super) fn write_file(&self, args: &WriteArgs, data: &[u8], reply: Reply<Written>) {
        let Some(open) = self.shared.files.get(args.handle.0) else { return reply.error(Errno::EBADF) };
        let pause = match self.overlay().staging().admit(data.len() as u64) {
            Admission::Now => Duration::ZERO,
            Admission::After(pause) => pause,
            Admission::NoSpace => return reply.error(Errno::ENOSPC),
        };
        match self.take_write(&open, args, data) {
            Ok(written) if pause.is_zero() => reply.ok(written),
            Ok(written) => drop(self.shared.tree.runtime.spawn(async move {
                tokio::time::sleep(pause).await;
                reply.ok(written);
            })),
            Err(OverlayError::Stage(StageError::Fragmented { .. })) => {
                self.write_filled(open, args, data, reply)
            }
            Err(error) => reply.error(of_overlay(&error)),
        }
    }

    fn take_write(&self, open: &OpenedFile, args: &WriteArgs, data: &[u8]) -> Result<Written, OverlayError> {
        let staged = open.file.staged(self.overlay())?.ok_or(OverlayError::Stale)?;
        staged.write_at(args.offset, data)?;
        if args.kill_suid_sgid {
            self.clear_set_id_bits(args.node.0)?;
        }
        Ok(Written(data.len() as u32))
    }

    /// The file has as many separate ranges as one may have: what its store has is brought here first.
    fn write_filled(&self, open: Arc<OpenedFile>, args: &WriteArgs, data: &[u8], reply: Reply<Written>) {
        let (fs, args, data) = (self.clone(), *args, data.to_vec());
        self.shared.tree.runtime.spawn(async move {
            let written = match fs.overlay().fill(&open.file).await {
                Ok(()) => fs.take_write(&open, &args, &data).map_err(|error| of_overlay(&error)),
                Err(errno) => Err(errno),
            };
            reply.result(written);
        });
    }

    /// A write or truncation by somebody who may not keep them clears the set-id bits.
    pub(super) fn clear_set_id_bits(&self, number: u64) -> Result<(), OverlayError> {
        let staging = self.overlay().staging();
        let Some(view) = staging.node(NodeNumber(number)) else { return Ok(()) };
        if let (Kind::File { .. }, Some(mode)) = (&view.kind, without_set_id_bits(view.attributes.mode)) {
            staging
                .set_attributes(view.number, AttributeChange { mode: Some(mode), ..Default::default() })?;
        }
        Ok(())
    }

    pub(super) async fn truncate(
        &self,
        node: NodeId,
        handle: Option<FileHandle>,
        size_bytes: u64,
    ) -> Result<(), OverlayError> {
        let open = handle.and_then(|handle| self.shared.files.get(handle.0));
        if let Some(open) = open.filter(|open| open.writes)
            && let Some(staged) = open.file.staged(self.overlay())?
        {
            return Ok(staged.truncate(size_bytes)?);
        }
        let number = self.overlay().adopt(node.0).await?;
        Ok(self.overlay().staging().truncate(number, size_bytes)?)
    }

    /// A descriptor was closed: what it wrote is ready for the store. Release comes too late for that, since nobody waits
    /// for it.
    pub(super) fn file_closed(&self, handle: FileHandle, reply: Reply<()>) {
        let Some(open) = self.shared.files.get(handle.0) else { return reply.error(Errno::EBADF) };
        let number = NodeNumber(open.file.number());
        let closed = if open.writes { self.overlay().staging().touch(number) } else { Ok(()) };
        match (closed, self.shared.writeback.settings().sync_on_close) {
            (Ok(()), SyncOnClose::Local) if open.writes => self.sync_file(handle, reply),
            (Ok(()), SyncOnClose::Remote) if open.writes => self.send_file(number, reply),
            (closed, _) => reply.result(closed.map_err(|error| of_stage(&error))),
        }
    }

    /// Answers when the store has what the file holds now; an error when it refuses.
    fn send_file(&self, number: NodeNumber, reply: Reply<()>) {
        let Some(path) = self.overlay().staging().path(number) else { return reply.ok(()) };
        let fs = self.clone();
        self.shared.tree.runtime.spawn(async move {
            let sent = fs.shared.writeback.send(&path).await;
            reply.result(sent.map_err(|error| error.map_or(Errno::EIO, |error| of_stage(&error))));
        });
    }

    pub(super) fn sync_file(&self, handle: FileHandle, reply: Reply<()>) {
        let Some(open) = self.shared.files.get(handle.0) else { return reply.error(Errno::EBADF) };
        let fs = self.clone();
        self.flush(reply, move || {
            match open.file.staged(fs.overlay()).map_err(|error| of_overlay(&error))? {
                Some(staged) => staged.sync().map_err(|error| of_stage(&error)),
                None => Ok(()),
            }
        });
    }

    pub(super) fn sync_names(&self, reply: Reply<()>) {
        let staging = self.overlay().staging().clone();
        self.flush(reply, move || staging.sync_names().map_err(|error| of_stage(&error)));
    }

    /// Waits for the disk on a thread made for that.
    fn flush(&self, reply: Reply<()>, flush: impl FnOnce() -> Result<(), Errno> + Send + 'static) {
        let flushes = self.shared.flushes.clone();
        self.shared.tree.runtime.spawn(async move {
            let _turn = flushes.acquire().await.expect("the semaphore is never closed");
            let flushed = tokio::task::spawn_blocking(flush).await;
            reply.result(flushed.unwrap_or(Err(Errno::EIO)));
        });
    }

    pub(super) fn allocate(&self, args: &FallocateArgs) -> Result<(), Errno> {
        let open = self.shared.files.get(args.handle.0).ok_or(Errno::EBADF)?;
        let staged = open.file.staged(self.overlay()).map_err(|error| of_overlay(&error))?;
        let staged = staged.filter(|_| open.writes).ok_or(Errno::EBADF)?;
        let mode = allocate_mode(args.mode)?;
        let allocated = staged.allocate(args.offset, args.length_bytes, mode);
        allocated.map_err(|error| of_stage(&error))
    }

    pub(super) fn seek(
        &self,
        handle: FileHandle,
        offset: FileOffset,
        from: SeekFrom,
    ) -> Result<FileOffset, Errno> {
        let open = self.shared.files.get(handle.0).ok_or(Errno::EBADF)?;
        let source = open.file.source(self.overlay()).map_err(|error| of_overlay(&error))?;
        let size_bytes = match &source {
            Source::Clean(clean) => clean.object.size_bytes,
            Source::Staged(staged) => staged.size(),
        };
        if !matches!(from, SeekFrom::Data | SeekFrom::Hole) {
            return Err(Errno::EINVAL);
        }
        if offset.0 >= size_bytes {
            return Err(Errno::ENXIO);
        }
        let found = match (source, from) {
            (Source::Staged(staged), SeekFrom::Data) => staged.seek_data(offset.0).ok_or(Errno::ENXIO)?,
            (Source::Staged(staged), _) => staged.seek_hole(offset.0).ok_or(Errno::ENXIO)?,
            (Source::Clean(_), SeekFrom::Data) => offset.0,
            (Source::Clean(_), _) => size_bytes,
        };
        Ok(FileOffset(found))
    }
}

/// The part of a read that lies inside the file.
fn within(staged: &StagedFile, args: &ReadArgs) -> ReadArgs {
    let end = (args.offset + u64::from(args.size_bytes)).min(staged.size());
    let offset = args.offset.min(end);
    ReadArgs { offset, size_bytes: (end - offset) as u32, ..*args }
}

/// Reads a range that is local as a whole.
fn read_local(worker: &mut Worker, staged: &StagedFile, start: u64, end: u64, reply: ReplyData) {
    let length = (end - start) as usize;
    if worker.buffer.len() < length {
        worker.buffer.resize(length, 0);
    }
    let out = &mut worker.buffer[..length];
    match read_local_bytes(staged, start, out) {
        Ok(()) => reply.bytes(out),
        Err(error) => reply.error(of_stage(&error)),
    }
}

/// The modes that ext4 has as well, but for those that shift the bytes behind the range.
fn allocate_mode(flags: u32) -> Result<AllocateMode, Errno> {
    match i32::try_from(flags) {
        Ok(0) => Ok(AllocateMode::Extend),
        Ok(libc::FALLOC_FL_KEEP_SIZE) => Ok(AllocateMode::KeepSize),
        Ok(flags) if flags == libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE => {
            Ok(AllocateMode::Punch)
        }
        Ok(libc::FALLOC_FL_ZERO_RANGE) => Ok(AllocateMode::Zero),
        Ok(_) | Err(_) => Err(Errno::EOPNOTSUPP),
    }
}
