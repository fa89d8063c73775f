//! Answers and values as messages to the kernel.

use std::io::IoSlice;
use std::time::Duration;

use zerocopy::IntoBytes;

use super::abi::{
    FOPEN_PASSTHROUGH, fuse_attr, fuse_attr_out, fuse_entry_out, fuse_file_lock, fuse_getxattr_out,
    fuse_kstatfs, fuse_lk_out, fuse_lseek_out, fuse_open_out, fuse_statx, fuse_statx_out, fuse_sx_time,
    fuse_write_out,
};
use crate::reply::Answer;
use crate::types::{Attributes, Entry, FileLock, Opened, OpenedDir, StatFs, StatxAttributes, Timestamp};

/// Hands an answer to `deliver`: the error as the kernel counts it, 0 or negative, and the message in parts.
pub(crate) fn answer(answer: &Answer<'_>, deliver: impl FnOnce(i32, &[IoSlice<'_>])) {
    match answer {
        Answer::Error(errno) => deliver(-errno.get(), &[]),
        Answer::Done => deliver(0, &[]),
        Answer::Entry(value) => deliver(0, &[IoSlice::new(entry(value).as_bytes())]),
        Answer::Attributes(value) => deliver(0, &[IoSlice::new(attributes(value).as_bytes())]),
        Answer::Statx(value) => deliver(0, &[IoSlice::new(statx(value).as_bytes())]),
        Answer::Opened(value) => deliver(0, &[IoSlice::new(opened(value).as_bytes())]),
        Answer::OpenedDir(value) => deliver(0, &[IoSlice::new(opened_dir(value).as_bytes())]),
        Answer::Created(value) => {
            let (entry, opened) = (entry(&value.entry), opened(&value.opened));
            deliver(0, &[IoSlice::new(entry.as_bytes()), IoSlice::new(opened.as_bytes())]);
        }
        Answer::StatFs(value) => deliver(0, &[IoSlice::new(statfs(value).as_bytes())]),
        Answer::Data(parts) => deliver(0, parts),
        Answer::Listing(listing) => deliver(0, &[IoSlice::new(listing.bytes())]),
        Answer::XattrSize(size) => {
            deliver(0, &[IoSlice::new(fuse_getxattr_out { size: *size, padding: 0 }.as_bytes())])
        }
        Answer::Written(written) => {
            deliver(0, &[IoSlice::new(fuse_write_out { size: written.0, padding: 0 }.as_bytes())])
        }
        Answer::Offset(offset) => deliver(0, &[IoSlice::new(fuse_lseek_out { offset: offset.0 }.as_bytes())]),
        Answer::Lock(value) => deliver(0, &[IoSlice::new(fuse_lk_out { lk: lock(value) }.as_bytes())]),
    }
}

/// Seconds and nanoseconds of a validity. `u64::MAX` seconds are for ever: the kernel caps what it can't count.
fn validity(valid: Duration) -> (u64, u32) {
    (valid.as_secs(), valid.subsec_nanos())
}

pub(crate) fn attr(attributes: &Attributes) -> fuse_attr {
    fuse_attr {
        ino: attributes.ino,
        size: attributes.size_bytes,
        blocks: attributes.blocks_512,
        atime: attributes.atime.seconds as u64,
        mtime: attributes.mtime.seconds as u64,
        ctime: attributes.ctime.seconds as u64,
        atimensec: attributes.atime.nanos,
        mtimensec: attributes.mtime.nanos,
        ctimensec: attributes.ctime.nanos,
        mode: mode(attributes),
        nlink: attributes.links,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: attributes.rdev,
        blksize: attributes.block_size_bytes,
        flags: 0,
    }
}

fn mode(attributes: &Attributes) -> u32 {
    attributes.kind.mode_bits() | u32::from(attributes.permissions & 0o7777)
}

pub(crate) fn attributes(attributes: &Attributes) -> fuse_attr_out {
    let (attr_valid, attr_valid_nsec) = validity(attributes.valid);
    fuse_attr_out { attr_valid, attr_valid_nsec, dummy: 0, attr: attr(attributes) }
}

pub(crate) fn entry(entry: &Entry) -> fuse_entry_out {
    let (entry_valid, entry_valid_nsec) = validity(entry.valid);
    let head = fuse_entry_out { entry_valid, entry_valid_nsec, ..fuse_entry_out::default() };
    let Some(attributes) = &entry.attributes else {
        return head;
    };
    let (attr_valid, attr_valid_nsec) = validity(attributes.valid);
    fuse_entry_out {
        nodeid: entry.node.0,
        generation: entry.generation.0,
        attr_valid,
        attr_valid_nsec,
        attr: attr(attributes),
        ..head
    }
}

pub(crate) fn opened(opened: &Opened) -> fuse_open_out {
    let (passthrough, backing_id) = match opened.backing {
        Some(backing) => (FOPEN_PASSTHROUGH, backing.get()),
        None => (0, 0),
    };
    fuse_open_out { fh: opened.handle.0, open_flags: opened.flags.bits() | passthrough, backing_id }
}

pub(crate) fn opened_dir(opened: &OpenedDir) -> fuse_open_out {
    fuse_open_out { fh: opened.handle.0, open_flags: opened.flags.bits(), backing_id: 0 }
}

pub(crate) fn statfs(statfs: &StatFs) -> fuse_kstatfs {
    fuse_kstatfs {
        blocks: statfs.blocks,
        bfree: statfs.blocks_free,
        bavail: statfs.blocks_available,
        files: statfs.files,
        ffree: statfs.files_free,
        bsize: statfs.block_bytes,
        namelen: statfs.name_bytes_max,
        frsize: statfs.fragment_bytes,
        ..fuse_kstatfs::default()
    }
}

pub(crate) fn lock(lock: &FileLock) -> fuse_file_lock {
    fuse_file_lock { start: lock.start, end: lock.end, type_: lock.kind, pid: lock.pid }
}

fn sx_time(time: Timestamp) -> fuse_sx_time {
    fuse_sx_time { tv_sec: time.seconds, tv_nsec: time.nanos, reserved: 0 }
}

pub(crate) fn statx(answer: &StatxAttributes) -> fuse_statx_out {
    let attributes = &answer.attributes;
    let (attr_valid, attr_valid_nsec) = validity(attributes.valid);
    let birth = answer.btime.map_or(0, |_| libc::STATX_BTIME);
    let stat = fuse_statx {
        mask: libc::STATX_BASIC_STATS | birth,
        blksize: attributes.block_size_bytes,
        nlink: attributes.links,
        uid: attributes.uid,
        gid: attributes.gid,
        mode: mode(attributes) as u16,
        ino: attributes.ino,
        size: attributes.size_bytes,
        blocks: attributes.blocks_512,
        atime: sx_time(attributes.atime),
        btime: sx_time(answer.btime.unwrap_or_default()),
        ctime: sx_time(attributes.ctime),
        mtime: sx_time(attributes.mtime),
        rdev_major: libc::major(attributes.rdev.into()),
        rdev_minor: libc::minor(attributes.rdev.into()),
        ..fuse_statx::default()
    };
    fuse_statx_out { attr_valid, attr_valid_nsec, stat, ..fuse_statx_out::default() }
}
