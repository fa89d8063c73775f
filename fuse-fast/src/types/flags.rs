//! Flag words as types.

use std::ops::BitOr;

/// Flags of `open(2)` as the caller gave them, without `O_CREAT`, `O_EXCL` and `O_NOCTTY`, and without `O_TRUNC`: a
/// truncation comes as `setattr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    /// Opened for reading.
    pub const fn reads(self) -> bool {
        matches!((self.0 as i32) & libc::O_ACCMODE, libc::O_RDONLY | libc::O_RDWR)
    }

    /// Opened for writing.
    pub const fn writes(self) -> bool {
        matches!((self.0 as i32) & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR)
    }

    /// Every write goes to the end (`O_APPEND`).
    pub const fn appends(self) -> bool {
        (self.0 as i32) & libc::O_APPEND != 0
    }

    /// The caller asked to bypass the page cache (`O_DIRECT`).
    pub const fn direct(self) -> bool {
        (self.0 as i32) & libc::O_DIRECT != 0
    }
}

/// What the kernel may do with an open file (`FOPEN_*` of linux/fuse.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenedFlags(pub(crate) u32);

impl OpenedFlags {
    /// The page cache of the file is dropped at open and reads go through it.
    pub const NONE: OpenedFlags = OpenedFlags(0);
    /// Reads and writes bypass the page cache.
    pub const DIRECT_IO: OpenedFlags = OpenedFlags(1 << 0);
    /// Pages cached by earlier opens stay valid.
    pub const KEEP_CACHE: OpenedFlags = OpenedFlags(1 << 1);
    /// The file can't be positioned.
    pub const NON_SEEKABLE: OpenedFlags = OpenedFlags(1 << 2);
    /// The kernel may cache the listing of this directory.
    pub const CACHE_DIR: OpenedFlags = OpenedFlags(1 << 3);
    /// The file has no position at all.
    pub const STREAM: OpenedFlags = OpenedFlags(1 << 4);
    /// No `flush` is sent at close. Since 7.35.
    pub const NO_FLUSH: OpenedFlags = OpenedFlags(1 << 5);
    /// Direct writes to one file may run at once. Since 7.38.
    pub const PARALLEL_DIRECT_WRITES: OpenedFlags = OpenedFlags(1 << 6);

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: OpenedFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits as linux/fuse.h numbers them.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl BitOr for OpenedFlags {
    type Output = OpenedFlags;

    fn bitor(self, other: OpenedFlags) -> OpenedFlags {
        OpenedFlags(self.0 | other.0)
    }
}

/// Flags of `renameat2(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RenameFlags(pub u32);

impl RenameFlags {
    /// Fail with `EEXIST` when the target exists (`RENAME_NOREPLACE`).
    pub const fn no_replace(self) -> bool {
        self.0 & libc::RENAME_NOREPLACE != 0
    }

    /// Swap both names (`RENAME_EXCHANGE`).
    pub const fn exchange(self) -> bool {
        self.0 & libc::RENAME_EXCHANGE != 0
    }
}
