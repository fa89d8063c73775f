//! The file system of a read-write mount: FUSE requests on one side, the overlay on the other.
//!
//! Parts: `names` finds, makes, removes and lists; `nodes` shows and changes attributes; `data` reads, writes and flushes.
//! This file is the table from requests to them.
//!
//! Session threads write to the staged tree, which costs a system call or two on the local disk, and wait for nothing
//! else: what needs a store is answered from the runtime, a flush from a bounded pool, and a writer that has to be slowed
//! down gets its answer by a timer.

mod data;
mod names;
mod nodes;

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use fuse_fast::reply::{Reply, ReplyBuffer, ReplyData, ReplyDirectory, ReplyXattr};
use fuse_fast::types::{
    CreateArgs, Created, Device, FallocateArgs, FileOffset, OpenFlags, ReadToken, RenameFlags, SeekFrom,
    SetAttributes, WriteArgs, Written,
};
use fuse_fast::{
    Attributes, DirHandle, Entry, Errno, FileHandle, FileSystem, NodeId, Opened, OpenedDir, ReadArgs,
    ReadDirArgs, RequestHeader, StatFs, Unique,
};
use tokio::sync::Semaphore;

use super::MountedTree;
use super::handles::Handles;
use crate::overlay::file::OverlayFile;
use crate::overlay::{MergedListing, Overlay};
use crate::read_path::LocalReader;
use crate::writeback::Writeback;

/// Flushes that run at once. Those of the staging directory's journal are shared, so more would only wait for each other.
const FLUSHES_MAX: usize = 16;

/// One read-write mount's file system.
#[derive(Clone)]
pub struct ReadWriteTree {
    shared: Arc<Shared>,
}

struct Shared {
    tree: Arc<MountedTree>,
    overlay: Arc<Overlay>,
    writeback: Writeback,
    files: Handles<OpenedFile>,
    directories: Handles<MergedListing>,
    flushes: Arc<Semaphore>,
}

/// An open file with what its opener may do.
struct OpenedFile {
    file: OverlayFile,
    writes: bool,
}

/// A session thread's own: the ring for cached blocks, and room for one answer.
pub struct Worker {
    reader: Option<LocalReader>,
    buffer: Vec<u8>,
}

impl ReadWriteTree {
    /// The file system over the mount's parts.
    pub fn new(tree: Arc<MountedTree>, overlay: Arc<Overlay>, writeback: Writeback) -> Self {
        Self {
            shared: Arc::new(Shared {
                tree,
                overlay,
                writeback,
                files: Handles::default(),
                directories: Handles::default(),
                flushes: Arc::new(Semaphore::new(FLUSHES_MAX)),
            }),
        }
    }

    fn overlay(&self) -> &Arc<Overlay> {
        &self.shared.overlay
    }
}

impl FileSystem for ReadWriteTree {
    type Worker = Worker;

    fn worker(&self, _index: usize) -> io::Result<Self::Worker> {
        let reader = self.shared.tree.cache.as_ref().map(LocalReader::new).transpose()?;
        Ok(Worker { reader, buffer: Vec::new() })
    }

    fn lookup(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<Entry>) {
        self.look_up(parent, name, reply);
    }

    fn forget(&self, node: NodeId, count: u64) {
        self.overlay().forget(node.0, count);
    }

    fn getattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        _handle: Option<FileHandle>,
        reply: Reply<Attributes>,
    ) {
        reply.result(self.attributes(node));
    }

    fn setattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        change: &SetAttributes,
        reply: Reply<Attributes>,
    ) {
        self.set_attributes(node, change, reply);
    }

    fn readlink(&self, _request: &RequestHeader, node: NodeId, reply: ReplyData) {
        self.read_link(node, reply);
    }

    fn symlink(
        &self,
        request: &RequestHeader,
        parent: NodeId,
        name: &OsStr,
        target: &OsStr,
        reply: Reply<Entry>,
    ) {
        self.make_symlink(request, (parent, name), target, reply);
    }

    fn mknod(
        &self,
        request: &RequestHeader,
        parent: NodeId,
        name: &OsStr,
        mode: u32,
        _rdev: u32,
        reply: Reply<Entry>,
    ) {
        self.make_node(request, (parent, name), mode, reply);
    }

    fn mkdir(&self, request: &RequestHeader, parent: NodeId, name: &OsStr, mode: u32, reply: Reply<Entry>) {
        self.make_directory(request, (parent, name), mode, reply);
    }

    fn unlink(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<()>) {
        self.remove_file((parent, name), reply);
    }

    fn rmdir(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<()>) {
        self.remove_directory((parent, name), reply);
    }

    fn rename(
        &self,
        _request: &RequestHeader,
        from: (NodeId, &OsStr),
        to: (NodeId, &OsStr),
        flags: RenameFlags,
        reply: Reply<()>,
    ) {
        self.move_name(from, to, flags, reply);
    }

    /// Two names of one object do not exist in a store.
    fn link(&self, _request: &RequestHeader, _node: NodeId, _to: (NodeId, &OsStr), reply: Reply<Entry>) {
        reply.error(Errno::EPERM);
    }

    fn open(&self, _request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<Opened>) {
        self.open_file(node, flags, reply);
    }

    fn create(
        &self,
        request: &RequestHeader,
        parent: NodeId,
        name: &OsStr,
        args: &CreateArgs,
        reply: Reply<Created>,
    ) {
        self.create_file(request, (parent, name), args, reply);
    }

    fn read(&self, worker: &mut Self::Worker, request: &RequestHeader, args: &ReadArgs, reply: ReplyData) {
        self.read_file(worker, request, args, reply);
    }

    fn devices(&self) -> Vec<Device<'_>> {
        self.shared.tree.cache.as_ref().map(LocalReader::devices).unwrap_or_default()
    }

    fn device_read_done(
        &self,
        worker: &mut Self::Worker,
        _request: &RequestHeader,
        args: &ReadArgs,
        token: ReadToken,
        result: Result<(), Errno>,
        reply: ReplyBuffer,
    ) {
        self.slab_read_done(worker, args, token, result, reply);
    }

    fn write(
        &self,
        _worker: &mut Self::Worker,
        _request: &RequestHeader,
        args: &WriteArgs,
        data: &[u8],
        reply: Reply<Written>,
    ) {
        self.write_file(args, data, reply);
    }

    fn flush(&self, _request: &RequestHeader, _node: NodeId, handle: FileHandle, reply: Reply<()>) {
        self.file_closed(handle, reply);
    }

    fn release(&self, _request: &RequestHeader, _node: NodeId, handle: FileHandle, reply: Reply<()>) {
        self.shared.files.close(handle.0);
        reply.ok(());
    }

    fn fsync(
        &self,
        _request: &RequestHeader,
        _node: NodeId,
        handle: FileHandle,
        _data_only: bool,
        reply: Reply<()>,
    ) {
        self.sync_file(handle, reply);
    }

    fn fallocate(&self, _request: &RequestHeader, args: &FallocateArgs, reply: Reply<()>) {
        reply.result(self.allocate(args));
    }

    fn lseek(
        &self,
        _request: &RequestHeader,
        _node: NodeId,
        handle: FileHandle,
        offset: FileOffset,
        from: SeekFrom,
        reply: Reply<FileOffset>,
    ) {
        reply.result(self.seek(handle, offset, from));
    }

    fn opendir(&self, _request: &RequestHeader, node: NodeId, _flags: OpenFlags, reply: Reply<OpenedDir>) {
        self.open_directory(node, reply);
    }

    fn readdir(&self, _request: &RequestHeader, args: &ReadDirArgs, reply: ReplyDirectory) {
        self.read_directory(args, reply);
    }

    fn releasedir(&self, _request: &RequestHeader, _node: NodeId, handle: DirHandle, reply: Reply<()>) {
        self.shared.directories.close(handle.0);
        reply.ok(());
    }

    fn fsyncdir(
        &self,
        _request: &RequestHeader,
        _node: NodeId,
        _handle: DirHandle,
        _data_only: bool,
        reply: Reply<()>,
    ) {
        self.sync_names(reply);
    }

    fn statfs(&self, _request: &RequestHeader, _node: NodeId, reply: Reply<StatFs>) {
        reply.ok(self.space());
    }

    fn getxattr(&self, _request: &RequestHeader, node: NodeId, name: &OsStr, reply: ReplyXattr) {
        self.get_xattr(node, name, reply);
    }

    fn listxattr(&self, _request: &RequestHeader, node: NodeId, reply: ReplyXattr) {
        self.list_xattrs(node, reply);
    }

    fn setxattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        name: &OsStr,
        value: &[u8],
        flags: u32,
        reply: Reply<()>,
    ) {
        self.set_xattr(node, name, value, flags, reply);
    }

    fn removexattr(&self, _request: &RequestHeader, node: NodeId, name: &OsStr, reply: Reply<()>) {
        self.remove_xattr(node, name, reply);
    }

    fn interrupt(&self, interrupted: Unique) {
        self.shared.tree.read_path.interrupt(interrupted);
    }
}
