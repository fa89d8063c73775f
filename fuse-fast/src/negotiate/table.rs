//! The table of capabilities: bits of the INIT flags of linux/fuse.h, what is done with each, and why.

/// What is done with a capability when the kernel offers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Used.
    Take {
        /// What for.
        reason: &'static str,
    },
    /// Left alone.
    Refuse {
        /// Why.
        reason: &'static str,
    },
}

macro_rules! capabilities {
    ($($name:ident $bit:literal $flag:literal $decision:ident $reason:literal)*) => {
        /// A capability of the protocol (`FUSE_*` INIT flags of linux/fuse.h).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Capability {
            $(#[doc = concat!("`FUSE_", $flag, "`.")] $name,)*
        }

        impl Capability {
            /// Every capability, in the order of the bits.
            pub const ALL: &[Capability] = &[$(Capability::$name,)*];

            /// Its bit in the 64-bit word that `flags` and `flags2` form.
            pub const fn mask(self) -> u64 {
                match self { $(Capability::$name => 1 << $bit,)* }
            }

            /// Its name in linux/fuse.h, without `FUSE_`.
            pub const fn name(self) -> &'static str {
                match self { $(Capability::$name => $flag,)* }
            }

            /// What is done with it, and why.
            pub const fn decision(self) -> Decision {
                match self { $(Capability::$name => Decision::$decision { reason: $reason },)* }
            }
        }
    };
}

capabilities! {
    AsyncRead 0 "ASYNC_READ" Take "read-ahead runs several requests of a file at once"
    PosixLocks 1 "POSIX_LOCKS" Refuse "the kernel keeps fcntl locks: they are local to this host"
    FileOps 2 "FILE_OPS" Refuse "never used by any kernel"
    AtomicOTrunc 3 "ATOMIC_O_TRUNC" Refuse "a truncation comes as a setattr after the open: one way to truncate"
    ExportSupport 4 "EXPORT_SUPPORT" Refuse "node ids do not outlive the mount, so NFS can't export it"
    BigWrites 5 "BIG_WRITES" Take "writes larger than a page"
    DontMask 6 "DONT_MASK" Refuse "the kernel applies the umask"
    SpliceWrite 7 "SPLICE_WRITE" Refuse "answers are written from memory; no splice yet"
    SpliceMove 8 "SPLICE_MOVE" Refuse "answers are written from memory; no splice yet"
    SpliceRead 9 "SPLICE_READ" Refuse "requests are read into memory; no splice yet"
    FlockLocks 10 "FLOCK_LOCKS" Refuse "the kernel keeps flock locks: they are local to this host"
    HasIoctlDir 11 "HAS_IOCTL_DIR" Refuse "there are no ioctls"
    AutoInvalData 12 "AUTO_INVAL_DATA" Refuse "the file system tells the kernel itself when data changed"
    DoReaddirplus 13 "DO_READDIRPLUS" Take "a listing brings the attributes along"
    ReaddirplusAuto 14 "READDIRPLUS_AUTO" Take "but only for callers that look at attributes"
    AsyncDio 15 "ASYNC_DIO" Take "a large direct read runs as several requests at once"
    WritebackCache 16 "WRITEBACK_CACHE" Refuse "writes reach the file system at once, so that its order of them holds; not yet"
    NoOpenSupport 17 "NO_OPEN_SUPPORT" Refuse "holds for all files of a mount, and passthrough needs an open"
    ParallelDirops 18 "PARALLEL_DIROPS" Take "lookups and listings of one directory run at once"
    HandleKillpriv 19 "HANDLE_KILLPRIV" Refuse "version 2 tells whose writes clear set-id bits"
    PosixAcl 20 "POSIX_ACL" Refuse "the stores have no ACLs"
    AbortError 21 "ABORT_ERROR" Take "tells an abort from an unmount"
    MaxPages 22 "MAX_PAGES" Take "requests of up to 1 MiB"
    CacheSymlinks 23 "CACHE_SYMLINKS" Take "a link is read once"
    NoOpendirSupport 24 "NO_OPENDIR_SUPPORT" Refuse "an open directory keeps a stable listing"
    ExplicitInvalData 25 "EXPLICIT_INVAL_DATA" Take "a reader keeps its version when attributes change under it"
    MapAlignment 26 "MAP_ALIGNMENT" Refuse "DAX is for virtiofs"
    Submounts 27 "SUBMOUNTS" Refuse "stores under one tree share one mount"
    HandleKillprivV2 28 "HANDLE_KILLPRIV_V2" Take "the file system clears set-id bits itself, so a write costs no getxattr before it"
    SetxattrExt 29 "SETXATTR_EXT" Refuse "the stores have no ACLs"
    InitExt 30 "INIT_EXT" Take "the second word of these flags"
    SecurityCtx 32 "SECURITY_CTX" Refuse "new files get no security label"
    HasInodeDax 33 "HAS_INODE_DAX" Refuse "DAX is for virtiofs"
    CreateSuppGroup 34 "CREATE_SUPP_GROUP" Refuse "new files get the caller's group"
    HasExpireOnly 35 "HAS_EXPIRE_ONLY" Take "a name can expire without closing what is open below it"
    DirectIoAllowMmap 36 "DIRECT_IO_ALLOW_MMAP" Take "files opened for direct I/O can be mapped shared"
    Passthrough 37 "PASSTHROUGH" Take "the kernel reads and writes complete and new files in their backing file itself"
    NoExportSupport 38 "NO_EXPORT_SUPPORT" Take "NFS is told so rather than given handles that go stale"
    HasResend 39 "HAS_RESEND" Refuse "requests in flight do not survive the daemon; not yet"
    AllowIdmap 40 "ALLOW_IDMAP" Refuse "needs default_permissions and a map of owners; not yet"
    OverIoUring 41 "OVER_IO_URING" Take "requests arrive on the rings of session threads"
    RequestTimeout 42 "REQUEST_TIMEOUT" Refuse "the file system limits the time of its own work"
}
