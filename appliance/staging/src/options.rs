//! What a staged tree is made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::disk::{Disk, RealDisk};
use crate::types::{Attributes, Moment};

/// How long a change waits before it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Time without another close, sync or change.
    pub quiet: Duration,
    /// Time after which it is published although it goes on changing.
    pub at_most: Duration,
    /// A file that is being written is published each time that this is over, up to the size that it has then; `None`
    /// waits for a close or a sync.
    pub while_open: Option<Duration>,
}

/// Chooses the delay of a path, given the size of its file.
pub type DelayRule = Arc<dyn Fn(&str, u64) -> Delay + Send + Sync>;

/// Time, so that tests can make it.
#[derive(Clone)]
pub struct Clock {
    /// For delays.
    pub monotonic: Arc<dyn Fn() -> Instant + Send + Sync>,
    /// For attributes.
    pub wall: Arc<dyn Fn() -> Moment + Send + Sync>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { monotonic: Arc::new(Instant::now), wall: Arc::new(wall_now) }
    }
}

fn wall_now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment { secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
}

/// What to open.
#[derive(Clone)]
pub struct Options {
    /// Where the journal and the backing files are; made if need be.
    pub directory: PathBuf,
    /// Names the mount and its stores, so that left-over data can be named. A directory of another identity is refused.
    pub identity: String,
    /// Bytes that the store may lack before writes get ENOSPC.
    pub dirty_limit_bytes: u64,
    /// Files, directories and symlinks that the tree may have. One takes about 1 KiB of memory, its name included.
    pub files_max: usize,
    /// Files that may move with a directory.
    pub rename_max: usize,
    /// Number of directories at the start of a path that name its tree, within which the order of publishing is kept.
    pub tree_depth: usize,
    /// Attributes of the root directory.
    pub root: Attributes,
    /// How long changes wait before they are published.
    pub delay: DelayRule,
    /// Time; `Clock::default()` but in tests.
    pub clock: Clock,
    /// The file system below; `None` is the host's.
    pub disk: Option<Arc<dyn Disk>>,
    /// Changes whenever the machine starts: then what was not flushed is lost. `None` asks the kernel.
    pub boot_id: Option<[u8; 36]>,
}

impl Options {
    /// A tree with the documented limits.
    pub fn new(directory: PathBuf, identity: String) -> Self {
        let moment = wall_now();
        let root = Attributes { mode: 0o755, uid: 0, gid: 0, atime: moment, mtime: moment, ctime: moment };
        Self {
            directory,
            identity,
            dirty_limit_bytes: 64 << 30,
            files_max: 1_000_000,
            rename_max: 100_000,
            tree_depth: 1,
            root,
            delay: Arc::new(default_delay),
            clock: Clock::default(),
            disk: None,
            boot_id: None,
        }
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone().unwrap_or_else(|| Arc::new(RealDisk::new(self.directory.clone())))
    }
}

const LARGE_BYTES: u64 = 16 << 20;

fn default_delay(_path: &str, size_bytes: u64) -> Delay {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    if size_bytes >= LARGE_BYTES {
        return Delay { quiet: Duration::from_secs(2), at_most: minutes(10), while_open: None };
    }
    let quiet = Duration::from_secs(10);
    Delay { quiet, at_most: minutes(1), while_open: Some(quiet) }
}
