//! Messages of the FUSE protocol as linux/fuse.h lays them out, 7.31 to 7.45.
//!
//! Field names are those of the header (`type` is `type_`); a test compares every size and offset with it. Structs
//! that end in `_in` come from the kernel, those that end in `_out` go to it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[cfg(test)]
mod layout;
mod opcode;

pub(crate) use opcode::Opcode;

/// Newest minor version of protocol 7 that this crate speaks (Linux 6.18).
pub(crate) const MINOR_NEWEST: u32 = 45;
/// Oldest minor version that it takes (Linux 5.4).
pub(crate) const MINOR_OLDEST: u32 = 31;
/// `FUSE_KERNEL_VERSION`.
pub(crate) const MAJOR: u32 = 7;

/// Smallest buffer that the kernel lets read a request (`FUSE_MIN_READ_BUFFER`).
pub(crate) const READ_BUFFER_BYTES_MIN: usize = 8192;

/// `_IOR(229, 0, uint32_t)`: binds a fresh /dev/fuse descriptor to the connection of another.
pub(crate) const DEV_IOC_CLONE: u64 = 0x8004_e500;
/// `_IOW(229, 1, struct fuse_backing_map)`: registers a file with the connection. Since 7.40.
pub(crate) const DEV_IOC_BACKING_OPEN: u64 = 0x4010_e501;
/// `_IOW(229, 2, uint32_t)`: takes a registered file back. Since 7.40.
pub(crate) const DEV_IOC_BACKING_CLOSE: u64 = 0x4004_e502;

/// `FOPEN_PASSTHROUGH`: the backing file of the answer serves the open file. Since 7.40.
pub(crate) const FOPEN_PASSTHROUGH: u32 = 1 << 7;

/// Name, size and fields (name, offset, size) of a struct.
#[cfg(test)]
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    pub(crate) fields: Vec<(&'static str, usize, usize)>,
}

macro_rules! messages {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
            #[repr(C)]
            pub(crate) struct $name { $(pub(crate) $field: $type,)* }
        )*

        /// The layout of every struct, for the comparison with the header.
        #[cfg(test)]
        pub(crate) fn layouts() -> Vec<Layout> {
            vec![$(Layout {
                name: stringify!($name),
                size: size_of::<$name>(),
                fields: vec![$((stringify!($field), std::mem::offset_of!($name, $field), size_of::<$type>()),)*],
            },)*]
        }
    };
}

messages! {
    fuse_in_header {
        len: u32, opcode: u32, unique: u64, nodeid: u64, uid: u32, gid: u32, pid: u32, total_extlen: u16,
        padding: u16,
    }
    fuse_init_in { major: u32, minor: u32, max_readahead: u32, flags: u32, }
    fuse_forget_in { nlookup: u64, }
    fuse_forget_one { nodeid: u64, nlookup: u64, }
    fuse_batch_forget_in { count: u32, dummy: u32, }
    fuse_getattr_in { getattr_flags: u32, dummy: u32, fh: u64, }
    fuse_mknod_in { mode: u32, rdev: u32, umask: u32, padding: u32, }
    fuse_mkdir_in { mode: u32, umask: u32, }
    fuse_rename_in { newdir: u64, }
    fuse_rename2_in { newdir: u64, flags: u32, padding: u32, }
    fuse_link_in { oldnodeid: u64, }
    fuse_setattr_in {
        valid: u32, padding: u32, fh: u64, size: u64, lock_owner: u64, atime: u64, mtime: u64, ctime: u64,
        atimensec: u32, mtimensec: u32, ctimensec: u32, mode: u32, unused4: u32, uid: u32, gid: u32, unused5: u32,
    }
    fuse_open_in { flags: u32, open_flags: u32, }
    fuse_create_in { flags: u32, mode: u32, umask: u32, open_flags: u32, }
    fuse_release_in { fh: u64, flags: u32, release_flags: u32, lock_owner: u64, }
    fuse_flush_in { fh: u64, unused: u32, padding: u32, lock_owner: u64, }
    fuse_read_in {
        fh: u64, offset: u64, size: u32, read_flags: u32, lock_owner: u64, flags: u32, padding: u32,
    }
    fuse_write_in {
        fh: u64, offset: u64, size: u32, write_flags: u32, lock_owner: u64, flags: u32, padding: u32,
    }
    fuse_fsync_in { fh: u64, fsync_flags: u32, padding: u32, }
    /// The form without `FUSE_SETXATTR_EXT`, which is never agreed on (`FUSE_COMPAT_SETXATTR_IN_SIZE`).
    fuse_setxattr_in { size: u32, flags: u32, }
    fuse_getxattr_in { size: u32, padding: u32, }
    fuse_file_lock { start: u64, end: u64, type_: u32, pid: u32, }
    fuse_lk_in { fh: u64, owner: u64, lk: fuse_file_lock, lk_flags: u32, padding: u32, }
    fuse_access_in { mask: u32, padding: u32, }
    fuse_interrupt_in { unique: u64, }
    fuse_fallocate_in { fh: u64, offset: u64, length: u64, mode: u32, padding: u32, }
    fuse_lseek_in { fh: u64, offset: u64, whence: u32, padding: u32, }
    fuse_copy_file_range_in {
        fh_in: u64, off_in: u64, nodeid_out: u64, fh_out: u64, off_out: u64, len: u64, flags: u64,
    }
    /// Since 7.39.
    fuse_statx_in { getattr_flags: u32, reserved: u32, fh: u64, sx_flags: u32, sx_mask: u32, }

    fuse_out_header { len: u32, error: i32, unique: u64, }
    /// `max_stack_depth` was reserved before 7.40.
    fuse_init_out {
        major: u32, minor: u32, max_readahead: u32, flags: u32, max_background: u16, congestion_threshold: u16,
        max_write: u32, time_gran: u32, max_pages: u16, map_alignment: u16, flags2: u32, max_stack_depth: u32,
        unused: [u32; 6],
    }
    fuse_attr {
        ino: u64, size: u64, blocks: u64, atime: u64, mtime: u64, ctime: u64, atimensec: u32, mtimensec: u32,
        ctimensec: u32, mode: u32, nlink: u32, uid: u32, gid: u32, rdev: u32, blksize: u32, flags: u32,
    }
    fuse_entry_out {
        nodeid: u64, generation: u64, entry_valid: u64, attr_valid: u64, entry_valid_nsec: u32, attr_valid_nsec: u32,
        attr: fuse_attr,
    }
    fuse_attr_out { attr_valid: u64, attr_valid_nsec: u32, dummy: u32, attr: fuse_attr, }
    /// `backing_id` was padding before 7.40.
    fuse_open_out { fh: u64, open_flags: u32, backing_id: i32, }
    fuse_write_out { size: u32, padding: u32, }
    fuse_kstatfs {
        blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64, bsize: u32, namelen: u32, frsize: u32,
        padding: u32, spare: [u32; 6],
    }
    fuse_getxattr_out { size: u32, padding: u32, }
    fuse_lk_out { lk: fuse_file_lock, }
    fuse_lseek_out { offset: u64, }
    /// Without the name that follows.
    fuse_dirent { ino: u64, off: u64, namelen: u32, type_: u32, }
    fuse_notify_inval_inode_out { ino: u64, off: i64, len: i64, }
    fuse_notify_inval_entry_out { parent: u64, namelen: u32, flags: u32, }
    fuse_notify_delete_out { parent: u64, child: u64, namelen: u32, padding: u32, }
    fuse_notify_store_out { nodeid: u64, offset: u64, size: u32, padding: u32, }
    /// Since 7.40.
    fuse_backing_map { fd: i32, flags: u32, padding: u64, }
    /// Since 7.39.
    fuse_sx_time { tv_sec: i64, tv_nsec: u32, reserved: i32, }
    /// Since 7.39.
    fuse_statx {
        mask: u32, blksize: u32, attributes: u64, nlink: u32, uid: u32, gid: u32, mode: u16, spare0: u16, ino: u64,
        size: u64, blocks: u64, attributes_mask: u64, atime: fuse_sx_time, btime: fuse_sx_time, ctime: fuse_sx_time,
        mtime: fuse_sx_time, rdev_major: u32, rdev_minor: u32, dev_major: u32, dev_minor: u32, spare2: [u64; 14],
    }
    /// Since 7.42. What kernel and server tell each other beside a request on a ring.
    fuse_uring_ent_in_out { flags: u64, commit_id: u64, payload_sz: u32, padding: u32, reserved: u64, }
    /// Since 7.42. `in_out` holds a `fuse_in_header` or a `fuse_out_header`, `op_in` the first argument; 128 bytes each.
    fuse_uring_req_header { in_out: [u64; 16], op_in: [u64; 16], ring_ent_in_out: fuse_uring_ent_in_out, }
    /// Since 7.42. In the 80 bytes for commands of a large submission entry.
    fuse_uring_cmd_req { flags: u64, commit_id: u64, qid: u16, padding: [u8; 6], }
    /// Since 7.39.
    fuse_statx_out { attr_valid: u64, attr_valid_nsec: u32, flags: u32, spare: [u64; 2], stat: fuse_statx, }
}

/// `FATTR_*`: which fields of a `fuse_setattr_in` count.
pub(crate) mod fattr {
    pub(crate) const MODE: u32 = 1 << 0;
    pub(crate) const UID: u32 = 1 << 1;
    pub(crate) const GID: u32 = 1 << 2;
    pub(crate) const SIZE: u32 = 1 << 3;
    pub(crate) const ATIME: u32 = 1 << 4;
    pub(crate) const MTIME: u32 = 1 << 5;
    pub(crate) const FH: u32 = 1 << 6;
    pub(crate) const ATIME_NOW: u32 = 1 << 7;
    pub(crate) const MTIME_NOW: u32 = 1 << 8;
    pub(crate) const LOCKOWNER: u32 = 1 << 9;
    pub(crate) const CTIME: u32 = 1 << 10;
    pub(crate) const KILL_SUIDGID: u32 = 1 << 11;
}

/// `FUSE_GETATTR_FH`: the handle of a `fuse_getattr_in` counts.
pub(crate) const GETATTR_FH: u32 = 1 << 0;
/// `FUSE_READ_LOCKOWNER`: the lock owner of a `fuse_read_in` counts.
pub(crate) const READ_LOCKOWNER: u32 = 1 << 1;
/// `FUSE_WRITE_CACHE`: the write comes from the page cache.
pub(crate) const WRITE_CACHE: u32 = 1 << 0;
/// `FUSE_WRITE_LOCKOWNER`: the lock owner of a `fuse_write_in` counts.
pub(crate) const WRITE_LOCKOWNER: u32 = 1 << 1;
/// `FUSE_WRITE_KILL_SUIDGID`: the set-id bits must go.
pub(crate) const WRITE_KILL_SUIDGID: u32 = 1 << 2;
/// `FUSE_FSYNC_FDATASYNC`: data alone.
pub(crate) const FSYNC_FDATASYNC: u32 = 1 << 0;
/// `FUSE_LK_FLOCK`: an flock(2) lock.
pub(crate) const LK_FLOCK: u32 = 1 << 0;

/// `enum fuse_uring_cmd`: commands on a ring. Since 7.42.
pub(crate) mod uring_cmd {
    /// Gives the kernel an entry (`FUSE_IO_URING_CMD_REGISTER`); completes with its first request.
    pub(crate) const REGISTER: u32 = 1;
    /// Answers the request in an entry and completes with the next (`FUSE_IO_URING_CMD_COMMIT_AND_FETCH`).
    pub(crate) const COMMIT_AND_FETCH: u32 = 2;
}

/// `enum fuse_notify_code`.
pub(crate) mod notify_code {
    pub(crate) const INVAL_INODE: i32 = 2;
    pub(crate) const INVAL_ENTRY: i32 = 3;
    pub(crate) const STORE: i32 = 4;
    pub(crate) const DELETE: i32 = 6;
}

/// `FUSE_EXPIRE_ONLY`: the name must be looked up again, but open files and mounts below it stay. Since 7.38.
pub(crate) const EXPIRE_ONLY: u32 = 1 << 0;
