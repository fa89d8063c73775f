//! From what was given to a checked [`Config`]: defaults, limits, and settings that exclude each other.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use backing_store::OBJECT_BYTES_MIN as LARGE_OBJECT_BYTES_MIN;
use nix::unistd::{getegid, geteuid};
use ufs::s3::Credentials;

use super::error::{ConfigError, Place, ValueError};
use super::given::{Given, GivenCache, GivenConfig, GivenCredentials, GivenMount, GivenStore, GivenTree};
use super::runtime_dir::daemon_socket;
use super::tree_path::TreePath;
use super::{
    Branch, CACHE_BYTES_DEFAULT, CACHE_BYTES_MIN, CacheConfig, CacheLocation, Config, Consistency,
    LARGE_FILE_BYTES_DEFAULT, LargeFiles, MEMORY_BYTES_DEFAULT, MEMORY_BYTES_MIN, MountConfig,
    PassthroughMode, SCRUB_RATE_DEFAULT, SLABS_BYTES_MIN, Transport, credentials_file,
};

/// Profile of a credentials file when none is named.
const PROFILE_DEFAULT: &str = "default";

impl GivenConfig {
    /// Checks everything and fills in the defaults.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let store = self.store;
        let writes = self.mounts.iter().find_map(GivenMount::read_write_place);
        let mounts = self
            .mounts
            .into_iter()
            .map(|mount| resolve_mount(mount, &store))
            .collect::<Result<Vec<_>, _>>()?;
        check_mountpoints(&mounts)?;
        let mounts: Vec<MountConfig> = mounts.into_iter().map(|(mount, _)| mount).collect();
        let passthrough = passthrough_mode(&self.cache);
        let cache = resolve_cache(self.cache)?;
        Ok(Config {
            writeback: self.writeback.resolve(cache.as_ref(), writes)?,
            mounts,
            passthrough,
            cache,
            memory_bytes: at_least(self.memory, MEMORY_BYTES_MIN)?.unwrap_or(MEMORY_BYTES_DEFAULT),
            control_socket: self.control_socket.map_or_else(daemon_socket, |given| given.value),
            io_threads: self.io_threads.map_or_else(|| cpus().clamp(2, 4), |given| given.value as usize),
        })
    }
}

pub(super) fn at_least(given: Option<Given<u64>>, min_bytes: u64) -> Result<Option<u64>, ConfigError> {
    match given {
        Some(Given { value, place }) if value < min_bytes => {
            Err(ConfigError::Value { place, source: ValueError::TooSmall { value_bytes: value, min_bytes } })
        }
        given => Ok(given.map(|given| given.value)),
    }
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn passthrough_mode(given: &GivenCache) -> PassthroughMode {
    given.passthrough.as_ref().map_or(PassthroughMode::default(), |given| given.value)
}

fn resolve_cache(given: GivenCache) -> Result<Option<CacheConfig>, ConfigError> {
    let size = given.size.clone();
    let large = GivenLarge {
        mode: passthrough_mode(&given),
        file_min: given.large_file_min,
        files_size: given.large_files_size,
        scrub_rate: given.scrub_rate,
    };
    let (location, place) = match (given.dir, given.device) {
        (Some(dir), Some(device)) => {
            let fix = "keep the one that the cache lies on";
            return Err(ConfigError::Conflict { first: dir.place, second: device.place, fix });
        }
        (Some(dir), None) => (CacheLocation::Directory(dir.value), dir.place),
        (None, Some(device)) => (CacheLocation::BlockDevice(device.value), device.place),
        (None, None) => {
            return match given.section.or(size.map(|size| size.place)) {
                Some(place) => Err(ConfigError::Missing {
                    place,
                    key: "dir or device",
                    fix: "name the directory or block device of the cache (--cache-dir, --cache-device)",
                }),
                None => Ok(None),
            };
        }
    };
    let size = match (size, &location) {
        (Some(size), _) => Some(size),
        (None, CacheLocation::BlockDevice(device)) => {
            Some(Given { value: device_bytes(device, &place)?, place })
        }
        (None, CacheLocation::Directory(_)) => None,
    };
    let size_bytes = at_least(size, CACHE_BYTES_MIN)?.unwrap_or(CACHE_BYTES_DEFAULT);
    let large = large.resolve(&location, size_bytes)?;
    Ok(Some(CacheConfig { location, size_bytes, large }))
}

/// Settings of large files.
struct GivenLarge {
    mode: PassthroughMode,
    file_min: Option<Given<u64>>,
    files_size: Option<Given<u64>>,
    scrub_rate: Option<Given<u64>>,
}

impl GivenLarge {
    fn resolve(self, location: &CacheLocation, size_bytes: u64) -> Result<Option<LargeFiles>, ConfigError> {
        let object_bytes_min =
            at_least(self.file_min, LARGE_OBJECT_BYTES_MIN)?.unwrap_or(LARGE_FILE_BYTES_DEFAULT);
        let max_bytes = size_bytes - SLABS_BYTES_MIN;
        if let Some(Given { value: value_bytes, place }) = &self.files_size
            && *value_bytes > max_bytes
        {
            let source = ValueError::TooLarge { value_bytes: *value_bytes, max_bytes };
            return Err(ConfigError::Value { place: place.clone(), source });
        }
        let large = LargeFiles {
            budget_bytes: self.files_size.map_or(size_bytes / 2, |given| given.value),
            object_bytes_min,
            scrub_bytes_per_s: self.scrub_rate.map_or(SCRUB_RATE_DEFAULT, |given| given.value),
        };
        let wanted = self.mode == PassthroughMode::Auto && large.budget_bytes > 0;
        Ok((wanted && matches!(location, CacheLocation::Directory(_))).then_some(large))
    }
}

/// The length of a block device: where its end is.
fn device_bytes(device: &Path, place: &Place) -> Result<u64, ConfigError> {
    let end = File::open(device).and_then(|mut opened| opened.seek(SeekFrom::End(0)));
    end.map_err(|source| ConfigError::Value {
        place: place.clone(),
        source: ValueError::DeviceSize { device: device.to_owned(), source },
    })
}

fn resolve_mount(given: GivenMount, store: &GivenStore) -> Result<(MountConfig, Place), ConfigError> {
    let store = given.store.or(store);
    let mut trees = given.trees;
    match given.url {
        Some(url) => {
            let place = url.place.clone();
            trees.insert(0, GivenTree { place, at: None, url, store: GivenStore::default() });
        }
        None if trees.is_empty() => {
            let fix = "write url = \"s3://BUCKET/PREFIX\", or [[mount.tree]] sections";
            return Err(ConfigError::Missing { place: given.place, key: "url", fix });
        }
        None => {}
    }
    let read_write = value_or(given.read_write, false);
    let (file_mode, dir_mode) = if read_write { (0o644, 0o755) } else { (0o444, 0o555) };
    let mount = MountConfig {
        mountpoint: normalized(&given.path.value),
        tree: resolve_trees(trees, &store)?,
        consistency: value_or(given.consistency, Consistency::DEFAULT),
        transport: value_or(given.transport, Transport::DEFAULT),
        read_write,
        allow_other: value_or(given.allow_other, false),
        threads: given.threads.map_or_else(|| cpus().clamp(2, 8), |given| given.value as usize),
        uid: value_or(given.uid, geteuid().as_raw()),
        gid: value_or(given.gid, getegid().as_raw()),
        file_mode: value_or(given.file_mode, file_mode),
        dir_mode: value_or(given.dir_mode, dir_mode),
    };
    Ok((mount, given.path.place))
}

pub(super) fn value_or<T>(given: Option<Given<T>>, default: T) -> T {
    given.map_or(default, |given| given.value)
}

/// Without `.` parts and doubled or trailing slashes, so that equal places compare equal.
fn normalized(path: &Path) -> std::path::PathBuf {
    path.components().collect()
}

fn resolve_trees(trees: Vec<GivenTree>, store: &GivenStore) -> Result<Vec<Branch>, ConfigError> {
    let mut branches: Vec<Branch> = Vec::with_capacity(trees.len());
    for tree in trees {
        let place = tree.at.as_ref().map_or(tree.place, |at| at.place.clone());
        let at = value_or(tree.at, TreePath::root());
        if branches.iter().any(|branch| branch.at == at) {
            return Err(ConfigError::DuplicateTree { place, at: at.to_string() });
        }
        let settings = resolve_store(tree.store.or(store))?;
        branches.push(Branch { at, location: tree.url.value, settings });
    }
    Ok(branches)
}

fn resolve_store(given: GivenStore) -> Result<ufs::Settings, ConfigError> {
    let defaults = ufs::Settings::default();
    let calls = ufs::retry::Limits {
        attempt_timeout: above_zero(given.attempt_timeout, defaults.calls.attempt_timeout)?,
        total_timeout: above_zero(given.total_timeout, defaults.calls.total_timeout)?,
        stall_timeout: above_zero(given.stall_timeout, defaults.calls.stall_timeout)?,
        attempts_max: value_or(given.attempts_max, defaults.calls.attempts_max),
        backoff_min: above_zero(given.backoff_min, defaults.calls.backoff_min)?,
        backoff_max: above_zero(given.backoff_max, defaults.calls.backoff_max)?,
    };
    let s3 = ufs::s3::Settings {
        endpoint: given.endpoint.map(check_endpoint).transpose()?,
        region: given.region.map(|region| region.value),
        path_style: given.path_style.map(|style| style.value),
        ca_file: given.ca_file.map(|path| path.value),
        credentials: resolve_credentials(given.credentials)?,
        connections_max: value_or(given.connections_max.map(widen), defaults.s3.connections_max),
    };
    Ok(ufs::Settings { s3, calls })
}

fn widen(given: Given<u32>) -> Given<usize> {
    Given { value: given.value as usize, place: given.place }
}

fn above_zero(given: Option<Given<Duration>>, default: Duration) -> Result<Duration, ConfigError> {
    match given {
        Some(Given { value, place }) if value.is_zero() => {
            Err(ConfigError::Value { place, source: ValueError::ZeroTime })
        }
        given => Ok(value_or(given, default)),
    }
}

fn check_endpoint(given: Given<String>) -> Result<String, ConfigError> {
    let url = given.value.strip_prefix("http://").or_else(|| given.value.strip_prefix("https://"));
    let host = url.map(|rest| rest.trim_end_matches('/'));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['@', '/', ' ']) => Ok(given.value),
        _ => {
            let text = if given.value.contains('@') { String::new() } else { given.value };
            Err(ConfigError::Value { place: given.place, source: ValueError::Endpoint { text } })
        }
    }
}

fn resolve_credentials(given: GivenCredentials) -> Result<Credentials, ConfigError> {
    let anonymous = given.anonymous.filter(|anonymous| anonymous.value);
    let named = given.profile.as_ref().map(|profile| &profile.place);
    let named = named.or(given.file.as_ref().map(|file| &file.place));
    if let (Some(anonymous), Some(first)) = (&anonymous, named) {
        let fix = "anonymous requests have no credentials; keep one of them";
        return Err(ConfigError::Conflict { first: first.clone(), second: anonymous.place.clone(), fix });
    }
    match (given.file, given.profile) {
        (Some(file), profile) => {
            let profile = profile.map_or_else(|| PROFILE_DEFAULT.to_owned(), |profile| profile.value);
            credentials_file::read(&file.value, &profile)
                .map_err(|source| ConfigError::Value { place: file.place, source: source.into() })
        }
        (None, Some(profile)) => Ok(Credentials::Profile(profile.value)),
        (None, None) if anonymous.is_some() => Ok(Credentials::Anonymous),
        (None, None) => Ok(Credentials::Chain),
    }
}

/// Refuses equal mountpoints and mounts inside of mounts of the same daemon, which would wait for each other.
fn check_mountpoints(mounts: &[(MountConfig, Place)]) -> Result<(), ConfigError> {
    for (place_in_list, (mount, place)) in mounts.iter().enumerate() {
        for (other, other_place) in &mounts[..place_in_list] {
            let (one, two) = (&other.mountpoint, &mount.mountpoint);
            if one == two {
                return Err(ConfigError::DuplicateMount { place: place.clone(), mountpoint: two.clone() });
            }
            let nested = |place: &Place, inner: &Path, outer: &Path| ConfigError::NestedMount {
                place: place.clone(),
                inner: inner.to_owned(),
                outer: outer.to_owned(),
            };
            if two.starts_with(one) {
                return Err(nested(place, two, one));
            }
            if one.starts_with(two) {
                return Err(nested(other_place, one, two));
            }
        }
    }
    Ok(())
}
