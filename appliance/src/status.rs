//! What `forebay status` shows: one snapshot of the daemon, in figures. Shape of `GET /v1/status`.
//!
//! All counters run from the daemon's start. Sizes are bytes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The daemon at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Forebay's version.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
    /// Every mount of the daemon.
    pub mounts: Vec<MountStatus>,
    /// The NVMe cache; absent when the daemon runs without one.
    pub cache: Option<CacheStatus>,
    /// The memory budget.
    pub memory: MemoryStatus,
    /// Every store that the mounts use.
    pub stores: Vec<StoreStatus>,
    /// Warm-ups that run or ran.
    pub warm_jobs: Vec<WarmStatus>,
    /// Data of mounts that are no longer configured; kept until they are configured again.
    #[serde(default)]
    pub left_over: Vec<LeftOverStatus>,
}

/// One mount.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MountStatus {
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// The stores under it.
    pub branches: Vec<BranchStatus>,
    /// `immutable`, `ttl=30s` or `strict`.
    pub consistency: String,
    /// FUSE requests answered.
    pub requests: u64,
    /// FUSE requests that were dropped unanswered and got `EIO`; a fault of ours when not 0.
    pub dropped_replies: u64,
    /// Inodes that the kernel knows now.
    pub known_inodes: u64,
    /// Memory of those inodes.
    pub inode_memory_bytes: u64,
    /// Keys that cannot be shown as files (see SEMANTICS, "Names").
    pub hidden_names: u64,
    /// Reads and where they were served from.
    pub reads: ReadStatus,
    /// How requests arrive.
    pub transport: TransportStatus,
    /// Opens of large files.
    pub passthrough: PassthroughStatus,
    /// What the kernel and we agreed on: a line for each FUSE capability.
    pub fuse: Vec<FeatureStatus>,
    /// Write-back; absent on a read-only mount.
    #[serde(default)]
    pub writeback: Option<WritebackStatus>,
}

/// What the stores of a read-write mount do not have yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WritebackStatus {
    /// Bytes that the stores lack.
    pub dirty_bytes: u64,
    /// At this many, writes get ENOSPC.
    pub dirty_limit_bytes: u64,
    /// Files that the stores lack something of.
    pub dirty_files: u64,
    /// Bytes of copies that the stores have too.
    pub kept_bytes: u64,
    /// Changes of files and names that wait or are on their way.
    pub events_waiting: u64,
    /// Age of the oldest of them, in seconds.
    pub oldest_age_s: u64,
    /// Bytes a second that the stores have taken lately.
    pub rate_bytes: u64,
    /// Seconds until everything is in the stores at that rate; absent when nothing goes out.
    pub eta_s: Option<u64>,
    /// Requests that carry data now.
    pub in_flight: u64,
    /// Bytes sent since the start.
    pub sent_bytes: u64,
    /// Bytes that the stores copied themselves.
    pub copied_bytes: u64,
    /// Changes that the store did not take the last time.
    pub failing_count: u64,
    /// The oldest of them.
    pub failing: Vec<FailingStatus>,
    /// Changes since the start that met somebody else's.
    pub conflicts_count: u64,
    /// The last of them.
    pub conflicts: Vec<String>,
    /// Why the staging directory takes no more writes; absent when it does.
    pub poisoned: Option<String>,
    /// Bytes of the journal.
    pub journal_bytes: u64,
}

impl WritebackStatus {
    /// Somebody has to look at it.
    pub fn is_red(&self) -> bool {
        self.failing_count > 0 || self.poisoned.is_some()
    }
}

/// A change that is tried again and again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FailingStatus {
    /// Path inside the mount.
    pub path: String,
    /// What the store said.
    pub reason: String,
    /// Tries so far.
    pub tries: u32,
    /// Seconds since the first.
    pub since_s: u64,
}

/// Data in a staging directory that no mount of the daemon takes care of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LeftOverStatus {
    /// The mount and stores that it was for.
    pub identity: String,
    /// Where it is.
    pub directory: PathBuf,
    /// Files.
    pub dirty_files: u64,
    /// Their bytes.
    pub dirty_bytes: u64,
    /// Why it cannot be read, when it cannot.
    pub problem: Option<String>,
}

/// One store in a mount's tree.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BranchStatus {
    /// Place in the mount; empty for the root.
    pub at: String,
    /// The store's URL.
    pub url: String,
}

/// Reads of one mount by source.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ReadStatus {
    /// Read requests of the kernel.
    pub requests: u64,
    /// Bytes handed to the kernel.
    pub bytes: u64,
    /// Requests served from the cache. What the kernel reads by itself is not among them.
    pub cache_hits: u64,
    /// Requests served from memory, while the data was on its way to the slabs.
    pub memory_hits: u64,
    /// Requests that waited for a store.
    pub misses: u64,
    /// Requests that ended in an error.
    pub errors: u64,
}

/// How the kernel's requests reach a mount.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TransportStatus {
    /// `uring` or `dev`.
    pub used: String,
    /// The setting: `auto`, `uring` or `dev`.
    pub wanted: String,
    /// 1 when `auto` did not get io_uring.
    pub fallbacks: u64,
    /// Why requests do not arrive over io_uring; empty when they do.
    pub reason: String,
    /// Most memory that requests on rings take.
    pub ring_bytes_max: u64,
}

/// Opens of large files of one mount.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PassthroughStatus {
    /// Agreed on with the kernel; `/cache/passthrough` says whether there are files for it.
    pub active: bool,
    /// Opens that the kernel serves by itself.
    pub opens: u64,
    /// Opens of large files that go through us: not complete yet, or open so already.
    pub cached_opens: u64,
    /// Files that the kernel did not take.
    pub failures: u64,
}

/// A FUSE capability and what became of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FeatureStatus {
    /// The kernel's name of it.
    pub name: String,
    /// Whether it is in use.
    pub taken: bool,
    /// Why, or why not.
    pub reason: String,
}

/// The slab store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CacheStatus {
    /// Directory or device.
    pub location: String,
    /// Budget.
    pub capacity_bytes: u64,
    /// Bytes of cached blocks.
    pub used_bytes: u64,
    /// Cached blocks.
    pub blocks: u64,
    /// The device failed and was taken out; reads go to the stores.
    pub failed: bool,
    /// Bytes written to slabs.
    pub inserted_bytes: u64,
    /// Bytes evicted.
    pub evicted_bytes: u64,
    /// Blocks dropped because a checksum did not match.
    pub checksum_mismatches: u64,
    /// Failed device operations.
    pub device_errors: u64,
    /// Memory of index, page tables and write buffers.
    pub memory_bytes: u64,
    /// `on`, or why large files are not read by the kernel itself.
    pub passthrough: String,
    /// Large files; absent when everything lies in slabs. The figures above are those of the slabs.
    pub large_files: Option<LargeFilesStatus>,
}

/// Large objects in files of their own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LargeFilesStatus {
    /// Budget.
    pub capacity_bytes: u64,
    /// Bytes on disk, those of removed files that are still in use included.
    pub used_bytes: u64,
    /// Files, complete or not.
    pub files: u64,
    /// Complete files.
    pub complete_files: u64,
    /// Removed files that somebody has still mapped.
    pub lingering_files: u64,
    /// The disk failed: large files are not cached any more.
    pub failed: bool,
    /// Bytes written.
    pub inserted_bytes: u64,
    /// Bytes that found no room beside what is in use.
    pub refused_bytes: u64,
    /// Bytes evicted.
    pub evicted_bytes: u64,
    /// Files that became complete.
    pub promoted: u64,
    /// Complete files that were dropped, damaged or not readable.
    pub demoted: u64,
    /// Blocks whose checksum did not match.
    pub checksum_mismatches: u64,
    /// Failed disk operations.
    pub device_errors: u64,
    /// Bytes that the scrubber read.
    pub scrubbed_bytes: u64,
    /// Whole rounds of the scrubber over all complete files.
    pub scrub_rounds: u64,
    /// Files that it has done of the round that runs.
    pub scrub_files_done: u64,
}

/// The memory budget.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// `--memory`.
    pub limit_bytes: u64,
    /// Fetched data and fetches in flight.
    pub fetch_bytes: u64,
    /// The part of the limit that fetched data may use.
    pub fetch_limit_bytes: u64,
    /// Resident set of the process as the kernel counts it.
    pub resident_bytes: u64,
}

/// One store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StoreStatus {
    /// URL without secrets.
    pub url: String,
    /// Ranged reads sent.
    pub reads: u64,
    /// Bytes received by them.
    pub read_bytes: u64,
    /// Reads that failed after all retries.
    pub errors: u64,
    /// The last error, empty when the last read succeeded.
    pub last_error: String,
}

/// One warm-up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WarmStatus {
    /// Number of the job.
    pub id: u64,
    /// Its progress.
    pub progress: crate::warm::Progress,
}
