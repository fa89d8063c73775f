//! The file system that the kernel sees: FUSE requests on one side, namespace and read path on the other.
//!
//! Requests that memory or the local disk can answer are answered on the session thread. Those that need a store
//! (a name that is not known, a listing, a block that is not cached) take their reply along to the runtime.
//!
//! An inode is one version of an object (see [`crate::namespace`]), so attributes and pages of a file never change
//! and the kernel may keep them; only names expire.

mod answering;
mod attributes;
mod handles;
mod passthrough;
mod read_write;

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use fuse_fast::passthrough::BackingFiles;
use fuse_fast::reply::{Added, DirRecord, Reply, ReplyBuffer, ReplyData, ReplyDirectory};
use fuse_fast::types::{Device, OpenFlags, ReadToken};
use fuse_fast::{
    Attributes, DirHandle, DirOffset, Entry, Errno, FileHandle, FileKind, FileSystem, NodeId, Opened,
    OpenedDir, OpenedFlags, ReadArgs, ReadDirArgs, RequestHeader, StatFs, Unique,
};

pub use attributes::Presentation;
use handles::Handles;
pub use passthrough::Passthrough;
pub use read_write::ReadWriteTree;

use crate::cache::Cache;
use crate::errno::of_namespace as errno_of;
use crate::namespace::{Cached, DirEntry, DirSnapshot, Ino, Namespace, ObjectRef};
use crate::object::Object;
use crate::read_path::{LocalReader, OpenFile, ReadPath};
use crate::store::Store;

/// One mount's file system.
pub struct MountedTree {
    /// Names and inodes.
    pub namespace: Namespace,
    /// Data.
    pub read_path: Arc<ReadPath>,
    /// The mount's stores, by [`crate::store::StoreIndex`].
    pub stores: Vec<Arc<Store>>,
    /// The cache, for one reader a session thread.
    pub cache: Option<Cache>,
    /// Files that the kernel reads itself.
    pub passthrough: Passthrough,
    /// Owner and modes that files show.
    pub presentation: Presentation,
    /// Where requests wait for stores.
    pub runtime: tokio::runtime::Handle,
    files: Handles<OpenFile>,
    directories: Arc<Handles<DirSnapshot>>,
}

impl MountedTree {
    /// The file system over its parts.
    pub fn new(
        namespace: Namespace,
        read_path: Arc<ReadPath>,
        stores: Vec<Arc<Store>>,
        cache: Option<Cache>,
        presentation: Presentation,
    ) -> Self {
        Self {
            namespace,
            read_path,
            stores,
            cache,
            passthrough: Passthrough::default(),
            presentation,
            runtime: tokio::runtime::Handle::current(),
            files: Handles::default(),
            directories: Arc::default(),
        }
    }

    fn lookup_remote(&self, parent: Ino, name: String, reply: Reply<Entry>) {
        let namespace = self.namespace.clone();
        let presentation = self.presentation;
        self.runtime.spawn(async move {
            match namespace.lookup(parent, &name).await {
                Ok(Some(found)) => reply.ok(presentation.entry(&found.node, found.valid_for)),
                Ok(None) => reply.ok(Entry::negative(namespace.negative_valid_for())),
                Err(error) => reply.error(errno_of(&error)),
            }
        });
    }

    fn opendir_remote(&self, ino: Ino, reply: Reply<OpenedDir>) {
        let namespace = self.namespace.clone();
        let directories = Arc::clone(&self.directories);
        self.runtime.spawn(async move {
            match namespace.open_dir(ino).await {
                Ok(listing) => reply.ok(opened_dir(&directories, listing)),
                Err(error) => reply.error(errno_of(&error)),
            }
        });
    }

    /// The object that a file inode or a listing refers to.
    pub fn object(&self, reference: ObjectRef) -> Result<Object, slab_store::KeyError> {
        let store = &self.stores[usize::from(reference.store.0)];
        Object::new(Arc::clone(store), reference.key, reference.version, reference.size_bytes)
    }

    fn open_file(&self, ino: Ino) -> Result<Arc<OpenFile>, Errno> {
        let reference = self.namespace.object(ino).ok_or(Errno::ESTALE)?;
        let object = self.object(reference).map_err(|_too_long| Errno::ENAMETOOLONG)?;
        Ok(Arc::new(OpenFile::new(ino, Arc::new(object))))
    }

    fn fill(
        &self,
        listing: &DirSnapshot,
        args: &ReadDirArgs,
        reply: &mut ReplyDirectory,
    ) -> Result<(), Errno> {
        for (cookie, name) in [(1, "."), (2, "..")] {
            if args.offset.0 < cookie && add_dots(listing, cookie, name, reply) == Added::Full {
                return Ok(());
            }
        }
        let each = &mut |entry: DirEntry<'_>| {
            let found = self.presentation.entry(&entry.node, listing.valid_for());
            let record = DirRecord {
                ino: entry.node.ino().get(),
                next: DirOffset(entry.cookie),
                kind: attributes::kind(&entry.node),
                name: OsStr::new(entry.name),
                entry: args.plus.then_some(&found),
            };
            let added = reply.add(&record);
            if added == Added::Reference && listing.reference(&entry).is_none() {
                tracing::debug!(name = entry.name, "a directory was forgotten while it was read");
            }
            added == Added::Full
        };
        listing.next(args.offset.0, each).map_err(|error| errno_of(&error))
    }
}

/// Neither takes a reference, and where `..` leads the kernel knows better.
fn add_dots(listing: &DirSnapshot, cookie: u64, name: &str, reply: &mut ReplyDirectory) -> Added {
    reply.add(&DirRecord {
        ino: listing.ino().get(),
        next: DirOffset(cookie),
        kind: FileKind::Directory,
        name: OsStr::new(name),
        entry: None,
    })
}

impl FileSystem for MountedTree {
    type Worker = Option<LocalReader>;

    fn worker(&self, _index: usize) -> io::Result<Self::Worker> {
        self.cache.as_ref().map(LocalReader::new).transpose()
    }

    fn passthrough(&self, files: BackingFiles) {
        self.passthrough.connect(files);
    }

    fn lookup(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<Entry>) {
        let Some((parent, name)) = ino(parent).zip(name.to_str()) else {
            return reply.error(Errno::ENOENT);
        };
        match self.namespace.lookup_cached(parent, name) {
            Cached::Known(found) => reply.ok(self.presentation.entry(&found.node, found.valid_for)),
            Cached::Absent => reply.ok(Entry::negative(self.namespace.negative_valid_for())),
            Cached::Unknown => self.lookup_remote(parent, name.to_owned(), reply),
        }
    }

    fn forget(&self, node: NodeId, count: u64) {
        if let Some(ino) = ino(node) {
            self.namespace.forget(ino, count);
        }
    }

    fn getattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        _handle: Option<FileHandle>,
        reply: Reply<Attributes>,
    ) {
        let node = ino(node).and_then(|ino| self.namespace.node(ino));
        reply.result(node.map(|node| self.presentation.attributes(&node)).ok_or(Errno::ESTALE));
    }

    fn open(&self, _request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<Opened>) {
        if flags.writes() {
            return reply.error(Errno::EROFS);
        }
        let file = ino(node).ok_or(Errno::ESTALE).and_then(|ino| self.open_file(ino));
        reply.result(file.map(|file| {
            let handle = FileHandle(self.files.open(Arc::clone(&file)));
            self.passthrough.open(self.cache.as_ref(), node, &file.object, handle)
        }));
    }

    fn read(&self, worker: &mut Self::Worker, request: &RequestHeader, args: &ReadArgs, reply: ReplyData) {
        match self.files.get(args.handle.0) {
            Some(file) => {
                self.read_path.read(worker.as_mut(), &file, request.unique, args, reply);
            }
            None => reply.error(Errno::EBADF),
        }
    }

    fn devices(&self) -> Vec<Device<'_>> {
        self.cache.as_ref().map(LocalReader::devices).unwrap_or_default()
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
        match self.files.get(args.handle.0) {
            Some(file) => {
                self.read_path.slab_read_done(worker.as_mut(), &file, args, token, result, reply);
            }
            None => reply.error(Errno::EBADF),
        }
    }

    fn release(&self, _request: &RequestHeader, node: NodeId, handle: FileHandle, reply: Reply<()>) {
        if let Some(file) = self.files.close(handle.0) {
            self.passthrough.release(self.cache.as_ref(), node, &file.object);
        }
        reply.ok(());
    }

    fn opendir(&self, _request: &RequestHeader, node: NodeId, _flags: OpenFlags, reply: Reply<OpenedDir>) {
        let Some(ino) = ino(node) else { return reply.error(Errno::ESTALE) };
        match self.namespace.read_dir_cached(ino) {
            Cached::Known(listing) => reply.ok(opened_dir(&self.directories, listing)),
            Cached::Absent => reply.error(Errno::ENOENT),
            Cached::Unknown => self.opendir_remote(ino, reply),
        }
    }

    fn readdir(&self, _request: &RequestHeader, args: &ReadDirArgs, mut reply: ReplyDirectory) {
        let Some(listing) = self.directories.get(args.handle.0) else { return reply.error(Errno::EBADF) };
        match self.fill(&listing, args, &mut reply) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn releasedir(&self, _request: &RequestHeader, _node: NodeId, handle: DirHandle, reply: Reply<()>) {
        self.directories.close(handle.0);
        reply.ok(());
    }

    fn statfs(&self, _request: &RequestHeader, _node: NodeId, reply: Reply<StatFs>) {
        reply.ok(attributes::statfs());
    }

    fn interrupt(&self, interrupted: Unique) {
        self.read_path.interrupt(interrupted);
    }
}

fn opened_dir(directories: &Handles<DirSnapshot>, listing: DirSnapshot) -> OpenedDir {
    OpenedDir { handle: DirHandle(directories.open(Arc::new(listing))), flags: OpenedFlags::NONE }
}

fn ino(node: NodeId) -> Option<Ino> {
    Ino::new(node.0)
}
