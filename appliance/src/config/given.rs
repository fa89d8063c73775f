//! What an operator wrote, before checks: one type for the file and for the flags of `forebay mount`, so that both are
//! held to the same rules.

use std::path::PathBuf;
use std::time::Duration;

use globset::GlobMatcher;
use ufs::Location;

use super::consistency::Consistency;
use super::error::Place;
use super::passthrough::PassthroughMode;
use super::transport::Transport;
use super::tree_path::TreePath;
use crate::writeback::SyncOnClose;

/// A value and where it was given.
#[derive(Clone, Debug)]
pub struct Given<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T> Given<T> {
    /// A value of the command line.
    pub fn flag(flag: &'static str, value: T) -> Self {
        Self { value, place: Place::Flag(flag) }
    }
}

/// A whole configuration as given. `None` everywhere means the default.
#[derive(Debug, Default)]
pub struct GivenConfig {
    /// Memory of the daemon, in bytes.
    pub memory: Option<Given<u64>>,
    /// Threads that wait on the network.
    pub io_threads: Option<Given<u32>>,
    /// The control socket.
    pub control_socket: Option<Given<PathBuf>>,
    /// The cache.
    pub cache: GivenCache,
    /// Defaults of every store.
    pub store: GivenStore,
    /// How written data reaches its stores.
    pub writeback: GivenWriteback,
    /// The mounts.
    pub mounts: Vec<GivenMount>,
}

/// The cache as given.
#[derive(Debug, Default)]
pub struct GivenCache {
    /// The section, when there is one.
    pub section: Option<Place>,
    /// A directory for slab files.
    pub dir: Option<Given<PathBuf>>,
    /// A block device.
    pub device: Option<Given<PathBuf>>,
    /// Bytes to use.
    pub size: Option<Given<u64>>,
    /// Whether the kernel may read large files itself.
    pub passthrough: Option<Given<PassthroughMode>>,
    /// Least size of an object with a file of its own.
    pub large_file_min: Option<Given<u64>>,
    /// Bytes of the size for such files.
    pub large_files_size: Option<Given<u64>>,
    /// Bytes a second of the scrubber.
    pub scrub_rate: Option<Given<u64>>,
}

/// `[writeback]` as given.
#[derive(Debug, Default)]
pub struct GivenWriteback {
    /// The section, when there is one.
    pub section: Option<Place>,
    /// Where written data waits.
    pub dir: Option<Given<PathBuf>>,
    /// Bytes that may wait.
    pub dirty_limit: Option<Given<u64>>,
    /// Bytes of copies.
    pub kept_limit: Option<Given<u64>>,
    /// Most staged names.
    pub files_max: Option<Given<u32>>,
    /// Directories that make a tree.
    pub tree_depth: Option<Given<u32>>,
    /// Most names that a rename of a directory moves.
    pub rename_max: Option<Given<u32>>,
    /// Pause of large files.
    pub delay_large: Option<Given<Duration>>,
    /// Pause of small files.
    pub delay_small: Option<Given<Duration>>,
    /// Where large begins.
    pub small_file: Option<Given<u64>>,
    /// How often open files are sent.
    pub period: Option<Given<Duration>>,
    /// Length of parts.
    pub part_size: Option<Given<u64>>,
    /// Transfers at once.
    pub uploads_max: Option<Given<u32>>,
    /// Bytes a second.
    pub upload_bandwidth: Option<Given<u64>>,
    /// What a close waits for.
    pub sync_on_close: Option<Given<SyncOnClose>>,
    /// Other settings for some paths.
    pub rules: Vec<GivenRule>,
}

/// `[[writeback.rule]]` as given.
#[derive(Debug)]
pub struct GivenRule {
    /// The paths.
    pub path: Given<GlobMatcher>,
    /// Pause after the last change.
    pub delay: Option<Given<Duration>>,
    /// How often open files are sent.
    pub period: Option<Given<Duration>>,
}

/// Settings of a store as given.
#[derive(Clone, Debug, Default)]
pub struct GivenStore {
    /// Endpoint URL.
    pub endpoint: Option<Given<String>>,
    /// Region name.
    pub region: Option<Given<String>>,
    /// Who asks. Taken as a whole from the nearest level that says anything about it.
    pub credentials: GivenCredentials,
    /// Path-style addresses.
    pub path_style: Option<Given<bool>>,
    /// Authorities for https endpoints.
    pub ca_file: Option<Given<PathBuf>>,
    /// Most connections.
    pub connections_max: Option<Given<u32>>,
    /// Limit of one try.
    pub attempt_timeout: Option<Given<Duration>>,
    /// Limit of all tries.
    pub total_timeout: Option<Given<Duration>>,
    /// Longest silence of a body.
    pub stall_timeout: Option<Given<Duration>>,
    /// Most tries.
    pub attempts_max: Option<Given<u32>>,
    /// First pause.
    pub backoff_min: Option<Given<Duration>>,
    /// Longest pause.
    pub backoff_max: Option<Given<Duration>>,
}

/// Where credentials come from, as given.
#[derive(Clone, Debug, Default)]
pub struct GivenCredentials {
    /// A named profile.
    pub profile: Option<Given<String>>,
    /// A file of profiles in the format of `~/.aws/credentials`.
    pub file: Option<Given<PathBuf>>,
    /// Unsigned requests.
    pub anonymous: Option<Given<bool>>,
}

impl GivenCredentials {
    fn is_given(&self) -> bool {
        self.profile.is_some() || self.file.is_some() || self.anonymous.is_some()
    }
}

impl GivenStore {
    /// What is given here, and from `outer` what is not.
    pub(super) fn or(self, outer: &Self) -> Self {
        let outer = outer.clone();
        Self {
            endpoint: self.endpoint.or(outer.endpoint),
            region: self.region.or(outer.region),
            credentials: if self.credentials.is_given() { self.credentials } else { outer.credentials },
            path_style: self.path_style.or(outer.path_style),
            ca_file: self.ca_file.or(outer.ca_file),
            connections_max: self.connections_max.or(outer.connections_max),
            attempt_timeout: self.attempt_timeout.or(outer.attempt_timeout),
            total_timeout: self.total_timeout.or(outer.total_timeout),
            stall_timeout: self.stall_timeout.or(outer.stall_timeout),
            attempts_max: self.attempts_max.or(outer.attempts_max),
            backoff_min: self.backoff_min.or(outer.backoff_min),
            backoff_max: self.backoff_max.or(outer.backoff_max),
        }
    }
}

/// A mount as given.
#[derive(Debug)]
pub struct GivenMount {
    /// Where the mount as a whole was given.
    pub place: Place,
    /// The mountpoint.
    pub path: Given<PathBuf>,
    /// A store at the root.
    pub url: Option<Given<Location>>,
    /// Stores at places of their own.
    pub trees: Vec<GivenTree>,
    /// Defaults of this mount's stores.
    pub store: GivenStore,
    /// When to ask the stores again.
    pub consistency: Option<Given<Consistency>>,
    /// How the kernel's requests travel.
    pub transport: Option<Given<Transport>>,
    /// Files may be made and changed.
    pub read_write: Option<Given<bool>>,
    /// Other users may read.
    pub allow_other: Option<Given<bool>>,
    /// Threads that answer the kernel.
    pub threads: Option<Given<u32>>,
    /// Owner of every file.
    pub uid: Option<Given<u32>>,
    /// Group of every file.
    pub gid: Option<Given<u32>>,
    /// Permission bits of files.
    pub file_mode: Option<Given<u16>>,
    /// Permission bits of directories.
    pub dir_mode: Option<Given<u16>>,
}

impl GivenMount {
    /// Where the mount is said to be read-write, if it is.
    pub(super) fn read_write_place(&self) -> Option<Place> {
        self.read_write.as_ref().filter(|given| given.value).map(|given| given.place.clone())
    }
}

/// One store of a mount as given.
#[derive(Debug)]
pub struct GivenTree {
    /// Where the section begins.
    pub place: Place,
    /// Place inside the mount.
    pub at: Option<Given<TreePath>>,
    /// The store.
    pub url: Given<Location>,
    /// Its settings.
    pub store: GivenStore,
}
