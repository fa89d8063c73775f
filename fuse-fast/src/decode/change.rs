//! Arguments of the requests that change the file system.

use super::Change;
use super::fields::Fields;
use crate::sys::abi::*;
use crate::types::{
    CopyRange, CreateArgs, DirHandle, FallocateArgs, FileHandle, LockOwner, NodeId, OpenFlags, RenameFlags,
    SetAttributes, SetTime, Timestamp, WriteArgs,
};

/// The change; `None` when the arguments are too short or make no sense, or the opcode changes nothing.
pub(super) fn decode<'a>(opcode: Opcode, node: NodeId, fields: &mut Fields<'a>) -> Option<Change<'a>> {
    Some(match opcode {
        Opcode::SetAttr => Change::SetAttr(set_attr(&fields.take()?)),
        Opcode::Symlink => Change::Symlink { name: fields.name()?, target: fields.text()? },
        Opcode::MkNod => {
            let args: fuse_mknod_in = fields.take()?;
            Change::MkNod { name: fields.name()?, mode: args.mode, rdev: args.rdev }
        }
        Opcode::MkDir => {
            let args: fuse_mkdir_in = fields.take()?;
            Change::MkDir { name: fields.name()?, mode: args.mode }
        }
        Opcode::Unlink => Change::Unlink { name: fields.name()? },
        Opcode::RmDir => Change::RmDir { name: fields.name()? },
        Opcode::Rename => {
            let args: fuse_rename_in = fields.take()?;
            rename(NodeId(args.newdir), 0, fields)?
        }
        Opcode::Rename2 => {
            let args: fuse_rename2_in = fields.take()?;
            rename(NodeId(args.newdir), args.flags, fields)?
        }
        Opcode::Link => {
            let linked = NodeId(fields.take::<fuse_link_in>()?.oldnodeid);
            Change::Link { linked, name: fields.name()? }
        }
        Opcode::Create => {
            let args: fuse_create_in = fields.take()?;
            let create = CreateArgs { flags: OpenFlags(args.flags), mode: args.mode, umask: args.umask };
            Change::Create { name: fields.name()?, args: create }
        }
        Opcode::Write => write(node, fields)?,
        Opcode::FSync => {
            let args: fuse_fsync_in = fields.take()?;
            Change::FSync { handle: FileHandle(args.fh), data_only: args.fsync_flags & FSYNC_FDATASYNC != 0 }
        }
        Opcode::FSyncDir => {
            let args: fuse_fsync_in = fields.take()?;
            Change::FSyncDir {
                handle: DirHandle(args.fh),
                data_only: args.fsync_flags & FSYNC_FDATASYNC != 0,
            }
        }
        Opcode::Fallocate => fallocate(node, &fields.take()?),
        Opcode::CopyFileRange => copy_file_range(node, &fields.take()?),
        Opcode::SetXattr => {
            let args: fuse_setxattr_in = fields.take()?;
            let name = fields.text()?;
            Change::SetXattr { name, value: fields.bytes(args.size as usize)?, flags: args.flags }
        }
        Opcode::RemoveXattr => Change::RemoveXattr { name: fields.text()? },
        _ => return None,
    })
}

fn rename<'a>(to: NodeId, flags: u32, fields: &mut Fields<'a>) -> Option<Change<'a>> {
    Some(Change::Rename { name: fields.name()?, to: (to, fields.name()?), flags: RenameFlags(flags) })
}

fn set_attr(args: &fuse_setattr_in) -> SetAttributes {
    let has = |bit| args.valid & bit != 0;
    let time = |set, now, seconds: u64, nanos| {
        let at = Timestamp { seconds: seconds as i64, nanos };
        has(set).then_some(if has(now) { SetTime::Now } else { SetTime::At(at) })
    };
    SetAttributes {
        handle: has(fattr::FH).then_some(FileHandle(args.fh)),
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

fn write<'a>(node: NodeId, fields: &mut Fields<'a>) -> Option<Change<'a>> {
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
    Some(Change::Write { args, data })
}

fn fallocate<'a>(node: NodeId, args: &fuse_fallocate_in) -> Change<'a> {
    let (handle, offset, length_bytes) = (FileHandle(args.fh), args.offset, args.length);
    Change::Fallocate(FallocateArgs { node, handle, offset, length_bytes, mode: args.mode })
}

fn copy_file_range<'a>(node: NodeId, args: &fuse_copy_file_range_in) -> Change<'a> {
    Change::CopyFileRange(CopyRange {
        from: node,
        from_handle: FileHandle(args.fh_in),
        from_offset: args.off_in,
        to: NodeId(args.nodeid_out),
        to_handle: FileHandle(args.fh_out),
        to_offset: args.off_out,
        length_bytes: args.len,
    })
}
