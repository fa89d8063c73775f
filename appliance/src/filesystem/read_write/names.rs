//! Finding, making, removing, moving and listing names.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::SystemTime;

use fuse_fast::reply::{Added, DirRecord, Reply, ReplyDirectory};
use fuse_fast::types::{CreateArgs, Created, OpenFlags, RenameFlags};
use fuse_fast::{
    DirHandle, DirOffset, Entry, Errno, FileHandle, FileKind, NodeId, Opened, OpenedDir, OpenedFlags,
    ReadDirArgs, RequestHeader,
};
use staging::{Attributes, NodeType, NodeView, RenameMode};

use super::{OpenedFile, ReadWriteTree};
use crate::config::TreePath;
use crate::errno::of_overlay;
use crate::filesystem::answering::answer;
use crate::overlay::{MergedEntry, MergedListing, NewKind, OverlayError, Shown, Took, moment};

/// A name in a directory as requests have it.
type Place<'a> = (NodeId, &'a OsStr);

impl ReadWriteTree {
    pub(super) fn look_up(&self, parent: NodeId, name: &OsStr, reply: Reply<Entry>) {
        if name.len() > TreePath::NAME_BYTES_MAX {
            // The kernel itself lets up to 1024 bytes pass.
            return reply.error(Errno::ENAMETOOLONG);
        }
        let Some(name) = name.to_str().map(str::to_owned) else { return reply.error(Errno::ENOENT) };
        let fs = self.clone();
        answer(&self.shared.tree.runtime, reply, async move {
            match fs.overlay().lookup(parent.0, &name).await.map_err(|error| of_overlay(&error))? {
                Some(found) => Ok(fs.entry(&found.shown, found.valid_for)),
                None => Ok(Entry::negative(fs.overlay().valid_for())),
            }
        });
    }

    pub(super) fn make_symlink(
        &self,
        request: &RequestHeader,
        at: Place<'_>,
        target: &OsStr,
        reply: Reply<Entry>,
    ) {
        match target.to_str() {
            Some(target) => self.make(request, at, NewKind::Symlink { target: target.into() }, 0o777, reply),
            None => reply.error(of_overlay(&OverlayError::NotText)),
        }
    }

    pub(super) fn make_node(&self, request: &RequestHeader, at: Place<'_>, mode: u32, reply: Reply<Entry>) {
        match FileKind::from_mode(mode) {
            Some(FileKind::Regular) | None => self.make(request, at, NewKind::File, mode, reply),
            Some(_) => reply.error(of_overlay(&OverlayError::NodeKind)),
        }
    }

    pub(super) fn make_directory(
        &self,
        request: &RequestHeader,
        at: Place<'_>,
        mode: u32,
        reply: Reply<Entry>,
    ) {
        self.make(request, at, NewKind::Directory, mode, reply);
    }

    fn make(&self, request: &RequestHeader, at: Place<'_>, kind: NewKind, mode: u32, reply: Reply<Entry>) {
        let Some((parent, name)) = text(at) else { return reply.error(of_overlay(&OverlayError::NotText)) };
        let (fs, attributes) = (self.clone(), new_attributes(request, mode));
        answer(&self.shared.tree.runtime, reply, async move {
            let view = fs.overlay().make((parent, &name), &kind, attributes).await;
            let view = view.map_err(|error| of_overlay(&error))?;
            Ok(fs.staged_entry(view))
        });
    }

    pub(super) fn create_file(
        &self,
        request: &RequestHeader,
        at: Place<'_>,
        args: &CreateArgs,
        reply: Reply<Created>,
    ) {
        let Some((parent, name)) = text(at) else { return reply.error(of_overlay(&OverlayError::NotText)) };
        let (fs, attributes, flags) = (self.clone(), new_attributes(request, args.mode), args.flags);
        answer(&self.shared.tree.runtime, reply, async move {
            let made = fs.create_or_open((parent, &name), attributes, flags).await;
            made.map_err(|error| of_overlay(&error))
        });
    }

    async fn create_or_open(
        &self,
        at: (u64, &str),
        attributes: Attributes,
        flags: OpenFlags,
    ) -> Result<Created, OverlayError> {
        let exclusive = flags.0 as i32 & libc::O_EXCL != 0;
        let made = self.overlay().make(at, &NewKind::File, attributes).await;
        match made {
            Ok(view) => {
                let file = self.overlay().opened(view.number, flags.writes())?;
                let opened = self.hand_out(OpenedFile { file, writes: flags.writes() });
                Ok(Created { entry: self.staged_entry(view), opened })
            }
            // Somebody else has made it since the kernel looked.
            Err(OverlayError::Exists) if !exclusive => self.open_existing(at, flags).await,
            Err(error) => Err(error),
        }
    }

    async fn open_existing(&self, at: (u64, &str), flags: OpenFlags) -> Result<Created, OverlayError> {
        let found = self.overlay().lookup(at.0, at.1).await?.ok_or(OverlayError::NotFound)?;
        let number = found.shown.number();
        let open = async {
            let file = self.overlay().open_file(number, flags.writes()).await?;
            if flags.0 as i32 & libc::O_TRUNC != 0
                && let Some(staged) = file.staged(self.overlay())?
            {
                staged.truncate(0)?;
            }
            let shown = self.overlay().node(number).ok_or(OverlayError::Stale)?;
            let opened = self.hand_out(OpenedFile { file, writes: flags.writes() });
            Ok(Created { entry: self.entry(&shown, found.valid_for), opened })
        };
        let opened = open.await;
        if opened.is_err() {
            self.overlay().forget(number, 1);
        }
        opened
    }

    pub(super) fn open_file(&self, node: NodeId, flags: OpenFlags, reply: Reply<Opened>) {
        let fs = self.clone();
        answer(&self.shared.tree.runtime, reply, async move {
            let file = fs.overlay().open_file(node.0, flags.writes()).await;
            let file = file.map_err(|error| of_overlay(&error))?;
            Ok(fs.hand_out(OpenedFile { file, writes: flags.writes() }))
        });
    }

    /// Pages stay valid over opens: all changes of an inode go through this kernel.
    fn hand_out(&self, file: OpenedFile) -> Opened {
        let flags = if file.writes {
            OpenedFlags::KEEP_CACHE
        } else {
            OpenedFlags::KEEP_CACHE | OpenedFlags::NO_FLUSH
        };
        Opened::new(FileHandle(self.shared.files.open(Arc::new(file))), flags)
    }

    pub(super) fn remove_file(&self, at: Place<'_>, reply: Reply<()>) {
        let Some((parent, name)) = text(at) else { return reply.error(Errno::ENOENT) };
        let fs = self.clone();
        answer(&self.shared.tree.runtime, reply, async move {
            fs.overlay().unlink((parent, &name)).await.map_err(|error| of_overlay(&error))
        });
    }

    pub(super) fn remove_directory(&self, at: Place<'_>, reply: Reply<()>) {
        let Some((parent, name)) = text(at) else { return reply.error(Errno::ENOENT) };
        let fs = self.clone();
        answer(&self.shared.tree.runtime, reply, async move {
            fs.overlay().remove_directory((parent, &name)).await.map_err(|error| of_overlay(&error))
        });
    }

    pub(super) fn move_name(&self, from: Place<'_>, to: Place<'_>, flags: RenameFlags, reply: Reply<()>) {
        let Some((from, to)) = text(from).zip(text(to)) else {
            return reply.error(of_overlay(&OverlayError::NotText));
        };
        let mode = match flags {
            RenameFlags(0) => RenameMode::Replace,
            flags if flags.0 == libc::RENAME_NOREPLACE => RenameMode::NoReplace,
            flags if flags.0 == libc::RENAME_EXCHANGE => RenameMode::Exchange,
            // RENAME_WHITEOUT is for union file systems that keep their whiteouts as device nodes.
            RenameFlags(_) => return reply.error(Errno::EINVAL),
        };
        let fs = self.clone();
        answer(&self.shared.tree.runtime, reply, async move {
            let renamed = fs.overlay().rename((from.0, &from.1), (to.0, &to.1), mode).await;
            renamed.map_err(|error| of_overlay(&error))
        });
    }

    pub(super) fn open_directory(&self, node: NodeId, reply: Reply<OpenedDir>) {
        let fs = self.clone();
        answer(&self.shared.tree.runtime, reply, async move {
            let listing = fs.overlay().open_directory(node.0).await.map_err(|error| of_overlay(&error))?;
            let handle = fs.shared.directories.open(Arc::new(listing));
            Ok(OpenedDir { handle: DirHandle(handle), flags: OpenedFlags::NONE })
        });
    }

    pub(super) fn read_directory(&self, args: &ReadDirArgs, mut reply: ReplyDirectory) {
        let Some(listing) = self.shared.directories.get(args.handle.0) else {
            return reply.error(Errno::EBADF);
        };
        match self.fill(&listing, args, &mut reply) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(of_overlay(&error)),
        }
    }

    fn fill(
        &self,
        listing: &MergedListing,
        args: &ReadDirArgs,
        reply: &mut ReplyDirectory,
    ) -> Result<(), OverlayError> {
        for (cookie, name) in [(1, "."), (2, "..")] {
            if args.offset.0 < cookie && add_dots(listing, cookie, name, reply) == Added::Full {
                return Ok(());
            }
        }
        self.overlay().entries(listing, args.offset.0, &mut |entry| {
            let found = entry.shown.as_ref().map(|shown| self.entry(shown, listing.valid_for()));
            let added = reply.add(&DirRecord {
                ino: entry.number,
                next: DirOffset(entry.cookie),
                kind: kind(entry),
                name: OsStr::new(entry.name),
                entry: found.as_ref().filter(|_| args.plus),
            });
            match added {
                Added::Name => Took::Name,
                Added::Reference => Took::Reference,
                Added::Full => Took::Full,
            }
        })
    }

    fn staged_entry(&self, view: NodeView) -> Entry {
        self.entry(&Shown::Staged(view), self.overlay().valid_for())
    }
}

fn add_dots(listing: &MergedListing, cookie: u64, name: &str, reply: &mut ReplyDirectory) -> Added {
    reply.add(&DirRecord {
        ino: listing.number(),
        next: DirOffset(cookie),
        kind: FileKind::Directory,
        name: OsStr::new(name),
        entry: None,
    })
}

fn kind(entry: &MergedEntry<'_>) -> FileKind {
    match entry.kind {
        NodeType::File => FileKind::Regular,
        NodeType::Directory => FileKind::Directory,
        NodeType::Symlink => FileKind::Symlink,
    }
}

/// Stores have UTF-8 names.
fn text((parent, name): Place<'_>) -> Option<(u64, String)> {
    Some((parent.0, name.to_str()?.to_owned()))
}

/// The caller owns what it makes; the kernel has applied the umask.
fn new_attributes(request: &RequestHeader, mode: u32) -> Attributes {
    let now = moment(SystemTime::now());
    let mode = (mode & 0o7777) as u16;
    Attributes { mode, uid: request.uid, gid: request.gid, atime: now, mtime: now, ctime: now }
}
