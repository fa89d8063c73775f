//! Arguments by opcode.

use super::fields::{Fields, Forgets};
use super::{Operation, change};
use crate::sys::abi::*;
use crate::types::{
    AccessMask, DirHandle, DirOffset, FileHandle, FileLock, FileOffset, LockArgs, LockOwner, NodeId,
    OpenFlags, ReadArgs, ReadDirArgs, SeekFrom, StatxArgs, Unique,
};

/// The operation; `None` when the arguments are too short or make no sense.
pub(super) fn decode<'a>(opcode: Opcode, node: NodeId, mut fields: Fields<'a>) -> Option<Operation<'a>> {
    Some(match opcode {
        Opcode::Lookup => Operation::Lookup { name: fields.name()? },
        Opcode::Forget => Operation::Forget { count: fields.take::<fuse_forget_in>()?.nlookup },
        Opcode::BatchForget => {
            Operation::BatchForget(Forgets::new(fields.take::<fuse_batch_forget_in>()?.count, fields))
        }
        Opcode::GetAttr => get_attr(&fields.take()?),
        Opcode::Statx => statx(node, &fields.take()?),
        Opcode::ReadLink => Operation::ReadLink,
        Opcode::Open => Operation::Open { flags: OpenFlags(fields.take::<fuse_open_in>()?.flags) },
        Opcode::Read => read(node, &fields.take()?),
        Opcode::Flush => Operation::Flush { handle: FileHandle(fields.take::<fuse_flush_in>()?.fh) },
        Opcode::Release => Operation::Release { handle: FileHandle(fields.take::<fuse_release_in>()?.fh) },
        Opcode::LSeek => lseek(&fields.take()?)?,
        Opcode::OpenDir => Operation::OpenDir { flags: OpenFlags(fields.take::<fuse_open_in>()?.flags) },
        Opcode::ReadDir => read_dir(node, &fields.take()?, false),
        Opcode::ReadDirPlus => read_dir(node, &fields.take()?, true),
        Opcode::ReleaseDir => {
            Operation::ReleaseDir { handle: DirHandle(fields.take::<fuse_release_in>()?.fh) }
        }
        Opcode::StatFs => Operation::StatFs,
        Opcode::Access => Operation::Access { mask: AccessMask(fields.take::<fuse_access_in>()?.mask) },
        Opcode::GetXattr => {
            let args: fuse_getxattr_in = fields.take()?;
            Operation::GetXattr { name: fields.text()?, size_bytes: args.size }
        }
        Opcode::ListXattr => Operation::ListXattr { size_bytes: fields.take::<fuse_getxattr_in>()?.size },
        Opcode::GetLk => Operation::GetLk(lock(node, &fields.take()?)),
        Opcode::SetLk => Operation::SetLk { args: lock(node, &fields.take()?), wait: false },
        Opcode::SetLkW => Operation::SetLk { args: lock(node, &fields.take()?), wait: true },
        Opcode::Interrupt => {
            Operation::Interrupt { interrupted: Unique(fields.take::<fuse_interrupt_in>()?.unique) }
        }
        Opcode::Destroy => Operation::Destroy,
        Opcode::SetAttr
        | Opcode::Symlink
        | Opcode::MkNod
        | Opcode::MkDir
        | Opcode::Unlink
        | Opcode::RmDir
        | Opcode::Rename
        | Opcode::Rename2
        | Opcode::Link
        | Opcode::Create
        | Opcode::Write
        | Opcode::FSync
        | Opcode::FSyncDir
        | Opcode::Fallocate
        | Opcode::CopyFileRange
        | Opcode::SetXattr
        | Opcode::RemoveXattr => Operation::Change(change::decode(opcode, node, &mut fields)?),
        Opcode::Init
        | Opcode::BMap
        | Opcode::Ioctl
        | Opcode::Poll
        | Opcode::NotifyReply
        | Opcode::SetupMapping
        | Opcode::RemoveMapping
        | Opcode::SyncFs
        | Opcode::TmpFile
        | Opcode::CopyFileRange64 => Operation::Unsupported,
    })
}

/// Operations whose names follow a struct.
fn handle_if(condition: bool, handle: u64) -> Option<FileHandle> {
    condition.then_some(FileHandle(handle))
}

fn get_attr<'a>(args: &fuse_getattr_in) -> Operation<'a> {
    Operation::GetAttr { handle: handle_if(args.getattr_flags & GETATTR_FH != 0, args.fh) }
}

fn statx<'a>(node: NodeId, args: &fuse_statx_in) -> Operation<'a> {
    let handle = handle_if(args.getattr_flags & GETATTR_FH != 0, args.fh);
    Operation::Statx(StatxArgs { node, handle, sync_flags: args.sx_flags, mask: args.sx_mask })
}

fn read<'a>(node: NodeId, args: &fuse_read_in) -> Operation<'a> {
    Operation::Read(ReadArgs {
        node,
        handle: FileHandle(args.fh),
        offset: args.offset,
        size_bytes: args.size,
        flags: OpenFlags(args.flags),
        lock_owner: (args.read_flags & READ_LOCKOWNER != 0).then_some(LockOwner(args.lock_owner)),
    })
}

fn read_dir<'a>(node: NodeId, args: &fuse_read_in, plus: bool) -> Operation<'a> {
    let offset = DirOffset(args.offset);
    Operation::ReadDir(ReadDirArgs { node, handle: DirHandle(args.fh), offset, size_bytes: args.size, plus })
}

fn lseek<'a>(args: &fuse_lseek_in) -> Option<Operation<'a>> {
    let from = match i32::try_from(args.whence).ok()? {
        libc::SEEK_SET => SeekFrom::Start,
        libc::SEEK_CUR => SeekFrom::Current,
        libc::SEEK_END => SeekFrom::End,
        libc::SEEK_DATA => SeekFrom::Data,
        libc::SEEK_HOLE => SeekFrom::Hole,
        _ => return None,
    };
    Some(Operation::LSeek { handle: FileHandle(args.fh), offset: FileOffset(args.offset), from })
}

fn lock(node: NodeId, args: &fuse_lk_in) -> LockArgs {
    LockArgs {
        node,
        handle: FileHandle(args.fh),
        owner: LockOwner(args.owner),
        lock: FileLock { start: args.lk.start, end: args.lk.end, kind: args.lk.type_, pid: args.lk.pid },
        flock: args.lk_flags & LK_FLOCK != 0,
    }
}
