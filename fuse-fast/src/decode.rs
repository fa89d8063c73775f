//! Requests as they come from the kernel, decoded with every bound checked.
//!
//! Job: turn the bytes of one request into an [`Operation`] that borrows names and data from them. Any bytes give an
//! operation or a [`DecodeError`]; none panic.

mod body;
mod change;
mod fields;

use std::ffi::OsStr;

use crate::sys::abi::{Opcode, fuse_in_header};
use crate::types::{
    AccessMask, CopyRange, CreateArgs, DirHandle, FallocateArgs, FileHandle, FileOffset, LockArgs, NodeId,
    OpenFlags, ReadArgs, ReadDirArgs, RenameFlags, RequestHeader, SeekFrom, SetAttributes, StatxArgs, Unique,
    WriteArgs,
};
use fields::Fields;
pub(crate) use fields::Forgets;

/// A request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) header: RequestHeader,
    /// The node it is about; [`NodeId`] 0 where there is none.
    pub(crate) node: NodeId,
    pub(crate) opcode: Opcode,
    pub(crate) operation: Operation<'a>,
}

/// A request that can't be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// Shorter than a header, or than the header says: nobody to answer to.
    Truncated,
    /// This crate does not know the opcode.
    Unknown { unique: Unique, opcode: u32 },
    /// The arguments do not fit the opcode.
    Malformed { unique: Unique, opcode: Opcode },
}

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Operation<'a> {
    Lookup {
        name: &'a OsStr,
    },
    Change(Change<'a>),
    Forget {
        count: u64,
    },
    BatchForget(Forgets<'a>),
    GetAttr {
        handle: Option<FileHandle>,
    },
    Statx(StatxArgs),
    ReadLink,
    Open {
        flags: OpenFlags,
    },
    Read(ReadArgs),
    Flush {
        handle: FileHandle,
    },
    Release {
        handle: FileHandle,
    },
    LSeek {
        handle: FileHandle,
        offset: FileOffset,
        from: SeekFrom,
    },
    OpenDir {
        flags: OpenFlags,
    },
    ReadDir(ReadDirArgs),
    ReleaseDir {
        handle: DirHandle,
    },
    StatFs,
    Access {
        mask: AccessMask,
    },
    GetXattr {
        name: &'a OsStr,
        size_bytes: u32,
    },
    ListXattr {
        size_bytes: u32,
    },
    GetLk(LockArgs),
    SetLk {
        args: LockArgs,
        wait: bool,
    },
    Interrupt {
        interrupted: Unique,
    },
    Destroy,
    /// Known, but neither agreed on at INIT nor part of [`FileSystem`](crate::FileSystem).
    Unsupported,
}

/// What a request wants to change.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    SetAttr(SetAttributes),
    Symlink { name: &'a OsStr, target: &'a OsStr },
    MkNod { name: &'a OsStr, mode: u32, rdev: u32 },
    MkDir { name: &'a OsStr, mode: u32 },
    Unlink { name: &'a OsStr },
    RmDir { name: &'a OsStr },
    Rename { name: &'a OsStr, to: (NodeId, &'a OsStr), flags: RenameFlags },
    Link { linked: NodeId, name: &'a OsStr },
    Create { name: &'a OsStr, args: CreateArgs },
    Write { args: WriteArgs, data: &'a [u8] },
    FSync { handle: FileHandle, data_only: bool },
    Fallocate(FallocateArgs),
    CopyFileRange(CopyRange),
    FSyncDir { handle: DirHandle, data_only: bool },
    SetXattr { name: &'a OsStr, value: &'a [u8], flags: u32 },
    RemoveXattr { name: &'a OsStr },
}

impl<'a> Request<'a> {
    /// Decodes the request that `bytes` start with.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Request<'a>, DecodeError> {
        let mut whole = Fields::new(&[], bytes);
        let header: fuse_in_header = whole.take().ok_or(DecodeError::Truncated)?;
        let body =
            arguments_bytes(&header).and_then(|length| whole.bytes(length)).ok_or(DecodeError::Truncated)?;
        Request::decode_parts(&header, &[], body)
    }

    /// Decodes a request whose first argument, if it is a struct, lies in `first`, and all else in `rest`.
    pub(crate) fn decode_parts(
        header: &fuse_in_header,
        first: &'a [u8],
        rest: &'a [u8],
    ) -> Result<Request<'a>, DecodeError> {
        let unique = Unique(header.unique);
        let opcode =
            Opcode::from_wire(header.opcode).ok_or(DecodeError::Unknown { unique, opcode: header.opcode })?;
        let node = NodeId(header.nodeid);
        let operation = body::decode(opcode, node, Fields::new(first, rest))
            .ok_or(DecodeError::Malformed { unique, opcode })?;
        let header = RequestHeader { unique, uid: header.uid, gid: header.gid, pid: header.pid };
        Ok(Request { header, node, opcode, operation })
    }
}

/// Bytes of a request's arguments, by its header.
pub(crate) fn arguments_bytes(header: &fuse_in_header) -> Option<usize> {
    (header.len as usize).checked_sub(size_of::<fuse_in_header>() + usize::from(header.total_extlen) * 8)
}

#[cfg(test)]
mod tests;
