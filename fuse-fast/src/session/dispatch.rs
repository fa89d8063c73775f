//! Calls the method that a request asks for.

use std::sync::Arc;

use super::stats::Counters;
use crate::FileSystem;
use crate::decode::{Change, DecodeError, Operation, Request};
use crate::reply::{Answer, Body, Reply, ReplyData, ReplyDirectory, ReplyXattr, Responder};
use crate::types::{Errno, NodeId, RequestHeader, Unique};

/// What a thread does after a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Reads the next one.
    Go,
    /// The kernel said goodbye.
    End,
}

/// Where a request came from: its answer goes there.
pub(super) struct Origin<'a> {
    pub(super) responder: &'a Arc<dyn Responder>,
    pub(super) counters: &'a Counters,
}

/// Serves one request.
pub(super) fn serve<F: FileSystem>(
    fs: &F,
    state: &mut F::Worker,
    origin: &Origin<'_>,
    request: Result<Request<'_>, DecodeError>,
) -> Next {
    match request {
        Ok(request) => {
            origin.counters.count_request(request.opcode);
            let call = Call { fs, responder: origin.responder, header: &request.header, node: request.node };
            call.dispatch(state, request.operation)
        }
        Err(error) => {
            origin.refuse(error);
            Next::Go
        }
    }
}

impl Origin<'_> {
    fn refuse(&self, error: DecodeError) {
        self.counters.malformed.add(1);
        match error {
            DecodeError::Truncated => tracing::warn!("a request is shorter than its header says"),
            DecodeError::Unknown { unique, opcode } => {
                tracing::debug!(opcode, "an operation is not known");
                self.responder.answer(unique, &Answer::Error(Errno::ENOSYS));
            }
            DecodeError::Malformed { unique, opcode } => {
                tracing::warn!(operation = opcode.name(), "arguments can't be decoded");
                self.responder.answer(unique, &Answer::Error(Errno::EINVAL));
            }
        }
    }
}

struct Call<'a, F> {
    fs: &'a F,
    responder: &'a Arc<dyn Responder>,
    header: &'a RequestHeader,
    node: NodeId,
}

impl<F: FileSystem> Call<'_, F> {
    fn responder(&self) -> Arc<dyn Responder> {
        Arc::clone(self.responder)
    }

    fn unique(&self) -> Unique {
        self.header.unique
    }

    fn reply<T: Body>(&self) -> Reply<T> {
        Reply::new(self.unique(), self.responder())
    }

    fn reply_data(&self) -> ReplyData {
        ReplyData::new(self.unique(), self.responder())
    }

    fn reply_xattr(&self, size_bytes: u32) -> ReplyXattr {
        ReplyXattr::new(self.unique(), self.responder(), size_bytes)
    }

    /// One arm for each operation: a table, which is why it is long.
    fn dispatch(&self, state: &mut F::Worker, operation: Operation<'_>) -> Next {
        let (fs, header, node) = (self.fs, self.header, self.node);
        match operation {
            Operation::Lookup { name } => fs.lookup(header, node, name, self.reply()),
            Operation::Forget { count } => fs.forget(node, count),
            Operation::BatchForget(forgets) => forgets.for_each(|(node, count)| fs.forget(node, count)),
            Operation::GetAttr { handle } => fs.getattr(header, node, handle, self.reply()),
            Operation::Statx(args) => fs.statx(header, &args, self.reply()),
            Operation::ReadLink => fs.readlink(header, node, self.reply_data()),
            Operation::Open { flags } => fs.open(header, node, flags, self.reply()),
            Operation::Read(args) => fs.read(state, header, &args, self.reply_data()),
            Operation::Flush { handle } => fs.flush(header, node, handle, self.reply()),
            Operation::Release { handle } => fs.release(header, node, handle, self.reply()),
            Operation::LSeek { handle, offset, from } => {
                fs.lseek(header, node, handle, offset, from, self.reply())
            }
            Operation::OpenDir { flags } => fs.opendir(header, node, flags, self.reply()),
            Operation::ReadDir(args) => {
                fs.readdir(header, &args, ReplyDirectory::new(self.unique(), self.responder(), &args));
            }
            Operation::ReleaseDir { handle } => fs.releasedir(header, node, handle, self.reply()),
            Operation::StatFs => fs.statfs(header, node, self.reply()),
            Operation::Access { mask } => fs.access(header, node, mask, self.reply()),
            Operation::GetXattr { name, size_bytes } => {
                fs.getxattr(header, node, name, self.reply_xattr(size_bytes))
            }
            Operation::ListXattr { size_bytes } => fs.listxattr(header, node, self.reply_xattr(size_bytes)),
            Operation::GetLk(args) => fs.getlk(header, &args, self.reply()),
            Operation::SetLk { args, wait } => fs.setlk(header, &args, wait, self.reply()),
            Operation::Interrupt { interrupted } => fs.interrupt(interrupted),
            Operation::Destroy => {
                self.reply::<()>().ok(());
                return Next::End;
            }
            Operation::Unsupported => self.reply::<()>().error(Errno::ENOSYS),
            Operation::Change(change) => self.change(state, change),
        }
        Next::Go
    }

    /// The operations that change the file system.
    fn change(&self, state: &mut F::Worker, change: Change<'_>) {
        let (fs, header, node) = (self.fs, self.header, self.node);
        match change {
            Change::SetAttr(attributes) => fs.setattr(header, node, &attributes, self.reply()),
            Change::Symlink { name, target } => fs.symlink(header, node, name, target, self.reply()),
            Change::MkNod { name, mode, rdev } => fs.mknod(header, node, name, mode, rdev, self.reply()),
            Change::MkDir { name, mode } => fs.mkdir(header, node, name, mode, self.reply()),
            Change::Unlink { name } => fs.unlink(header, node, name, self.reply()),
            Change::RmDir { name } => fs.rmdir(header, node, name, self.reply()),
            Change::Rename { name, to, flags } => fs.rename(header, (node, name), to, flags, self.reply()),
            Change::Link { linked, name } => fs.link(header, linked, (node, name), self.reply()),
            Change::Create { name, args } => fs.create(header, node, name, &args, self.reply()),
            Change::Write { args, data } => fs.write(state, header, &args, data, self.reply()),
            Change::FSync { handle, data_only } => fs.fsync(header, node, handle, data_only, self.reply()),
            Change::Fallocate(args) => fs.fallocate(header, &args, self.reply()),
            Change::CopyFileRange(args) => fs.copy_file_range(header, &args, self.reply()),
            Change::FSyncDir { handle, data_only } => {
                fs.fsyncdir(header, node, handle, data_only, self.reply())
            }
            Change::SetXattr { name, value, flags } => {
                fs.setxattr(header, node, name, value, flags, self.reply());
            }
            Change::RemoveXattr { name } => fs.removexattr(header, node, name, self.reply()),
        }
    }
}
