//! Arguments by opcode.

use super::Operation;
use super::fields::{Fields, Forgets};
use crate::sys::abi::*;
use crate::types::{
    AccessMask, CopyRange, CreateArgs, DirHandle, DirOffset, FallocateArgs, FileHandle, FileLock, FileOffset,
    LockArgs, LockOwner, NodeId, OpenFlags, ReadArgs, ReadDirArgs, RenameFlags, SeekFrom, SetAttributes,
    SetTime, StatxArgs, Timestamp, Unique, WriteArgs,
};

/// The operation; `None` when the arguments are too short or make no sense.
pub(super) fn decode<'a>(opcode: Opcode, node: NodeId, mut fields: Fields<'a>) -> Option<Operation<'a>> {
    let operation = match opcode {
        Opcode::Lookup => Operation::Lookup { name: fields.name()? },
        Opcode::ReadLink => Operation::ReadLink,
        Opcode::Symlink => Operation::Symlink { name: fields.name()?, target: fields.text()? },
        Opcode::Unlink => Operation::Unlink { name: fields.name()? },
        Opcode::RmDir => Operation::RmDir { name: fields.name()? },
        Opcode::MkNod | Opcode::MkDir | Opcode::Rename | Opcode::Rename2 | Opcode::Link | Opcode::Create => {
            return names(opcode, &mut fields);
        }
        Opcode::Forget => Operation::Forget { count: fields.take::<fuse_forget_in>()?.nlookup },
        Opcode::BatchForget => {
            Operation::BatchForget(Forgets::new(fields.take::<fuse_batch_forget_in>()?.count, fields))
        }
        Opcode::GetAttr => get_attr(&fields.take()?),
        Opcode::Statx => statx(node, &fields.take()?),
        Opcode::SetAttr => Operation::SetAttr(set_attr(&fields.take()?)),
        Opcode::Open => Operation::Open { flags: OpenFlags(fields.take::<fuse_open_in>()?.flags) },
        Opcode::OpenDir => Operation::OpenDir { flags: OpenFlags(fields.take::<fuse_open_in>()?.flags) },
        Opcode::Read => read(node, &fields.take()?),
        Opcode::Write => return write(node, &mut fields),
        Opcode::ReadDir => read_dir(node, &fields.take()?, false),
        Opcode::ReadDirPlus => read_dir(node, &fields.take()?, true),
        Opcode::Flush => Operation::Flush { handle: FileHandle(fields.take::<fuse_flush_in>()?.fh) },
        Opcode::Release => Operation::Release { handle: FileHandle(fields.take::<fuse_release_in>()?.fh) },
        Opcode::ReleaseDir => {
            Operation::ReleaseDir { handle: DirHandle(fields.take::<fuse_release_in>()?.fh) }
        }
        Opcode::FSync | Opcode::FSyncDir => sync(opcode, &fields.take()?),
        Opcode::Fallocate => fallocate(node, &fields.take()?),
        Opcode::LSeek => return lseek(&fields.take()?),
        Opcode::CopyFileRange => copy_file_range(node, &fields.take()?),
        Opcode::StatFs => Operation::StatFs,
        Opcode::Access => Operation::Access { mask: AccessMask(fields.take::<fuse_access_in>()?.mask) },
        Opcode::GetXattr | Opcode::ListXattr | Opcode::SetXattr | Opcode::RemoveXattr => {
            return xattr(opcode, &mut fields);
        }
        Opcode::GetLk => Operation::GetLk(lock(node, &fields.take()?)),
        Opcode::SetLk => Operation::SetLk { args: lock(node, &fields.take()?), wait: false },
        Opcode::SetLkW => Operation::SetLk { args: lock(node, &fields.take()?), wait: true },
        Opcode::Interrupt => {
            Operation::Interrupt { interrupted: Unique(fields.take::<fuse_interrupt_in>()?.unique) }
        }
        Opcode::Destroy => Operation::Destroy,
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
    };
    Some(operation)
}

/// Operations whose names follow a struct.
fn names<'a>(opcode: Opcode, fields: &mut Fields<'a>) -> Option<Operation<'a>> {
    Some(match opcode {
        Opcode::MkNod => {
            let args: fuse_mknod_in = fields.take()?;
            Operation::MkNod { name: fields.name()?, mode: args.mode, rdev: args.rdev }
        }
        Opcode::MkDir => {
            let args: fuse_mkdir_in = fields.take()?;
            Operation::MkDir { name: fields.name()?, mode: args.mode }
        }
        Opcode::Rename => {
            let to = NodeId(fields.take::<fuse_rename_in>()?.newdir);
            rename(to, 0, fields)?
        }
        Opcode::Rename2 => {
            let args: fuse_rename2_in = fields.take()?;
            rename(NodeId(args.newdir), args.flags, fields)?
        }
        Opcode::Link => {
            let linked = NodeId(fields.take::<fuse_link_in>()?.oldnodeid);
            Operation::Link { linked, name: fields.name()? }
        }
        Opcode::Create => {
            let args: fuse_create_in = fields.take()?;
            let create = CreateArgs { flags: OpenFlags(args.flags), mode: args.mode, umask: args.umask };
            Operation::Create { name: fields.name()?, args: create }
        }
        _ => return None,
    })
}

fn rename<'a>(to: NodeId, flags: u32, fields: &mut Fields<'a>) -> Option<Operation<'a>> {
    Some(Operation::Rename { name: fields.name()?, to: (to, fields.name()?), flags: RenameFlags(flags) })
}

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

fn set_attr(args: &fuse_setattr_in) -> SetAttributes {
    let has = |bit| args.valid & bit != 0;
    let time = |set, now, seconds: u64, nanos| {
        let at = Timestamp { seconds: seconds as i64, nanos };
        has(set).then_some(if has(now) { SetTime::Now } else { SetTime::At(at) })
    };
    SetAttributes {
        handle: handle_if(has(fattr::FH), args.fh),
        mode: has(fattr::MODE).then_some(args.mode),
        uid: has(fattr::UID).then_some(args.uid),
        gid: has(fattr::GID).then_some(args.gid),
        size_bytes: has(fattr::SIZE).then_some(args.size),
        atime: time(fattr::ATIME, fattr::ATIME_NOW, args.atime, args.atimensec),
        mtime: time(fattr::MTIME, fattr::MTIME_NOW, args.mtime, args.mtimensec),
        ctime: has(fattr::CTIME).then_some(Timestamp { seconds: args.ctime as i64, nanos: args.ctimensec }),
        lock_owner: has(fattr::LOCKOWNER).then_some(LockOwner(args.lock_owner)),
        kill_suid_sgid: has(fattr::KILL_SUIDGID),
    }
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

fn write<'a>(node: NodeId, fields: &mut Fields<'a>) -> Option<Operation<'a>> {
    let args: fuse_write_in = fields.take()?;
    let data = fields.bytes(args.size as usize)?;
    let has = |bit| args.write_flags & bit != 0;
    let args = WriteArgs {
        node,
        handle: FileHandle(args.fh),
        offset: args.offset,
        flags: OpenFlags(args.flags),
        cached: has(WRITE_CACHE),
        kill_suid_sgid: has(WRITE_KILL_SUIDGID),
        lock_owner: has(WRITE_LOCKOWNER).then_some(LockOwner(args.lock_owner)),
    };
    Some(Operation::Write { args, data })
}

fn read_dir<'a>(node: NodeId, args: &fuse_read_in, plus: bool) -> Operation<'a> {
    let offset = DirOffset(args.offset);
    Operation::ReadDir(ReadDirArgs { node, handle: DirHandle(args.fh), offset, size_bytes: args.size, plus })
}

fn sync<'a>(opcode: Opcode, args: &fuse_fsync_in) -> Operation<'a> {
    let data_only = args.fsync_flags & FSYNC_FDATASYNC != 0;
    match opcode {
        Opcode::FSyncDir => Operation::FSyncDir { handle: DirHandle(args.fh), data_only },
        _ => Operation::FSync { handle: FileHandle(args.fh), data_only },
    }
}

fn fallocate<'a>(node: NodeId, args: &fuse_fallocate_in) -> Operation<'a> {
    let (handle, offset, length_bytes) = (FileHandle(args.fh), args.offset, args.length);
    Operation::Fallocate(FallocateArgs { node, handle, offset, length_bytes, mode: args.mode })
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

fn copy_file_range<'a>(node: NodeId, args: &fuse_copy_file_range_in) -> Operation<'a> {
    Operation::CopyFileRange(CopyRange {
        from: node,
        from_handle: FileHandle(args.fh_in),
        from_offset: args.off_in,
        to: NodeId(args.nodeid_out),
        to_handle: FileHandle(args.fh_out),
        to_offset: args.off_out,
        length_bytes: args.len,
    })
}

fn xattr<'a>(opcode: Opcode, fields: &mut Fields<'a>) -> Option<Operation<'a>> {
    Some(match opcode {
        Opcode::GetXattr => {
            let args: fuse_getxattr_in = fields.take()?;
            Operation::GetXattr { name: fields.text()?, size_bytes: args.size }
        }
        Opcode::ListXattr => Operation::ListXattr { size_bytes: fields.take::<fuse_getxattr_in>()?.size },
        Opcode::SetXattr => {
            let args: fuse_setxattr_in = fields.take()?;
            let name = fields.text()?;
            Operation::SetXattr { name, value: fields.bytes(args.size as usize)?, flags: args.flags }
        }
        Opcode::RemoveXattr => Operation::RemoveXattr { name: fields.text()? },
        _ => return None,
    })
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
