//! [`OpenCache`]: the cache of a daemon, laid out in its directory or on its device.
//!
//! A directory holds the slabs, the listings, and `large/`, the large objects in files of their own. Those are only made
//! when the kernel will read them by itself, which is asked for at the start: without that slabs serve large objects
//! better, and get the whole budget.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use backing_store::BackingStore;
use slab_store::{DeviceSpec, Options, SlabStore};

use super::start::StartError;
use crate::cache::Cache;
use crate::config::{CacheConfig, CacheLocation, LargeFiles};
use crate::status::{CacheStatus, LargeFilesStatus};

/// The slab file in a cache directory.
const SLABS_FILE: &str = "slabs";
/// The large files in a cache directory.
const LARGE_DIRECTORY: &str = "large";

/// The cache with the name under which messages know it.
pub(super) struct OpenCache {
    location: String,
    pub(super) cache: Cache,
    /// Why large files are not read by the kernel itself; empty when they are.
    no_passthrough: String,
}

impl OpenCache {
    pub(super) fn open(config: &CacheConfig, memory_bytes: u64) -> Result<Self, StartError> {
        match &config.location {
            CacheLocation::Directory(directory) => Self::in_directory(config, directory, memory_bytes),
            CacheLocation::BlockDevice(path) => {
                let device = DeviceSpec::BlockDevice { path: path.clone() };
                let slabs = open_slabs(device, config.size_bytes, memory_bytes)?;
                let no_passthrough = "the cache is a block device: everything lies in slabs".to_owned();
                let cache = Cache { slabs, large: None };
                Ok(Self { location: path.display().to_string(), cache, no_passthrough })
            }
        }
    }

    fn in_directory(config: &CacheConfig, directory: &Path, memory_bytes: u64) -> Result<Self, StartError> {
        make_directory(directory)?;
        let (large, no_passthrough) = match allowed(config.large, directory) {
            Ok(large) => (Some(large), String::new()),
            Err(reason) => (None, reason),
        };
        let device = DeviceSpec::File { path: directory.join(SLABS_FILE) };
        let large_bytes = large.map_or(0, |large| large.budget_bytes);
        let files = directory.join(LARGE_DIRECTORY);
        if large.is_none() {
            remove_large(&files);
        }
        // Whichever grows is opened last: the disk may have no more room than the budget.
        let slabs = open_slabs(device, config.size_bytes - large_bytes, memory_bytes)?;
        let large = large.map(|large| open_large(files, large)).transpose()?;
        let cache = Cache { slabs, large };
        Ok(Self { location: directory.display().to_string(), cache, no_passthrough })
    }

    pub(super) fn status(&self) -> CacheStatus {
        let slabs = &self.cache.slabs;
        let stats = slabs.stats();
        let passthrough = if self.no_passthrough.is_empty() { "on" } else { &self.no_passthrough };
        CacheStatus {
            location: self.location.clone(),
            capacity_bytes: stats.capacity_bytes,
            used_bytes: stats.used_bytes,
            blocks: stats.blocks,
            failed: slabs.is_failed(),
            inserted_bytes: stats.inserted_bytes,
            evicted_bytes: stats.evicted_bytes,
            checksum_mismatches: stats.checksum_mismatches,
            device_errors: stats.device_errors,
            memory_bytes: stats.memory_bytes,
            passthrough: passthrough.to_owned(),
            large_files: self.cache.large.as_ref().map(large_status),
        }
    }
}

/// What is configured, if the kernel would pass files of the directory through; or why not, which is logged.
fn allowed(large: Option<LargeFiles>, directory: &Path) -> Result<LargeFiles, String> {
    let large = large.ok_or("switched off (cache.passthrough, cache.large_files_size)")?;
    match probe(directory) {
        Ok(()) => Ok(large),
        Err(reason) => {
            tracing::warn!(%reason, "no passthrough: large files lie in slabs too, and are read through this daemon");
            Err(reason)
        }
    }
}

/// Asks the kernel whether it would pass a file of this directory through.
pub(crate) fn probe(directory: &Path) -> Result<(), String> {
    let path = directory.join(format!(".passthrough-probe-{}", std::process::id()));
    let made = File::create(&path).and_then(|file| fs::remove_file(&path).map(|()| file));
    let file = made.map_err(|error| format!("{}: {error}", path.display()))?;
    fuse_fast::passthrough::probe(&file).map_err(|error| error.to_string())
}

fn open_slabs(device: DeviceSpec, size_bytes: u64, memory_bytes: u64) -> Result<SlabStore, StartError> {
    let mut options = Options::new(device, size_bytes);
    options.memory_bytes = memory_bytes;
    let (slabs, recovery) = SlabStore::open(options)?;
    tracing::info!(?recovery, "slabs opened");
    Ok(slabs)
}

fn open_large(directory: PathBuf, config: LargeFiles) -> Result<BackingStore, StartError> {
    let options = backing_store::Options {
        object_bytes_min: config.object_bytes_min,
        scrub_bytes_per_s: config.scrub_bytes_per_s,
        ..backing_store::Options::new(directory, config.budget_bytes)
    };
    let (files, recovery) = BackingStore::open(options)?;
    tracing::info!(?recovery, "large files opened");
    Ok(files)
}

/// Large files of an earlier start would take room that the slabs have now.
fn remove_large(directory: &Path) {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(directory = %directory.display(), %error, "large files of an earlier start stay on the disk");
        }
        _ => {}
    }
}

fn make_directory(path: &Path) -> Result<(), StartError> {
    fs::create_dir_all(path).map_err(|source| StartError::CacheDirectory { path: path.to_owned(), source })
}

fn large_status(files: &BackingStore) -> LargeFilesStatus {
    let stats = files.stats();
    LargeFilesStatus {
        capacity_bytes: stats.limit_bytes,
        used_bytes: stats.used_bytes,
        files: stats.files,
        complete_files: stats.sealed_files,
        lingering_files: stats.lingering_files,
        failed: files.is_failed(),
        inserted_bytes: stats.inserted_bytes,
        refused_bytes: stats.refused_bytes,
        evicted_bytes: stats.evicted_bytes,
        promoted: stats.promoted,
        demoted: stats.demoted,
        checksum_mismatches: stats.checksum_mismatches,
        device_errors: stats.device_errors,
        scrubbed_bytes: stats.scrubbed_bytes,
        scrub_rounds: stats.scrub_rounds,
        scrub_files_done: stats.scrub_files_done,
    }
}
