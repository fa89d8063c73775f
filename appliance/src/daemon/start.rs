//! Starting a daemon: cache, stores, mounts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use slab_store::OpenError;
use tokio::sync::Notify;

use super::Daemon;
use super::mounted::{Mounted, Parts};
use super::open_cache::OpenCache;
use super::staged;
use super::warming::Warmer;
use crate::config::{Branch, CacheConfig, CacheLocation, Config};
use crate::doctor::OBJECT_BYTES_USUAL;
use crate::memory::{Budget, Shares};
use crate::movers::Movers;
use crate::namespace::{Database, DatabaseError, NamespaceError};
use crate::store::Store;

/// Why the daemon did not start. One line that names the cause and the setting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The slab store cannot be opened.
    #[error(transparent)]
    Cache(#[from] OpenError),
    /// The directory of large files cannot be opened.
    #[error(transparent)]
    LargeFiles(#[from] backing_store::OpenError),
    /// The cache directory cannot be made.
    #[error("the cache directory {path} cannot be used: {source}; check --cache-dir", path = path.display())]
    CacheDirectory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The database of listings cannot be opened.
    #[error(transparent)]
    Listings(#[from] DatabaseError),
    /// A store cannot be used.
    #[error(transparent)]
    Store(#[from] ufs::Error),
    /// A staging directory cannot be used.
    #[error(transparent)]
    Staging(#[from] staging::OpenError),
    /// Opening a staging directory panicked.
    #[error("the staging directory {directory} could not be opened: a task panicked, see the log", directory = directory.display())]
    StagingPanicked {
        /// The directory.
        directory: PathBuf,
    },
    /// Write-back cannot start.
    #[error(transparent)]
    Writeback(#[from] crate::writeback::StartError),
    /// A tree cannot be built.
    #[error(transparent)]
    Names(#[from] NamespaceError),
    /// A mount failed.
    #[error(transparent)]
    Mount(#[from] fuse_fast::mount::MountError),
    /// The kernel and we did not come to terms.
    #[error(transparent)]
    Session(#[from] fuse_fast::session::SessionError),
    /// A thread could not be started.
    #[error("a thread could not be started: {0}; raise the limit on processes or lower threads")]
    Thread(#[source] std::io::Error),
}

/// See [`Daemon::start`].
pub(super) async fn start(config: Config) -> Result<Arc<Daemon>, StartError> {
    let started = Instant::now();
    let shares = Shares::of(config.memory_bytes);
    let cache = config.cache.as_ref().map(|cache| OpenCache::open(cache, shares.slabs_bytes)).transpose()?;
    if let Some(cache) = &cache {
        warn_of_small_index(cache.cache.slabs.stats().capacity_bytes, &shares)?;
    }
    let database = open_listings(config.cache.as_ref(), shares.listings_bytes)?;
    let stores = connect_all(&config).await?;
    let budget = Budget::new(shares.fetch_bytes);
    let stored = cache.as_ref().map(|cache| cache.cache.clone());
    let movers = Movers::start(stored.clone(), Arc::clone(&budget)).map_err(StartError::Thread)?;
    let unmounted: Arc<Notify> = Arc::default();
    let left_over = match &config.writeback {
        Some(writeback) => staged::left_over(writeback, &config.mounts, &stores)?,
        None => Vec::new(),
    };
    let mut mounts = Vec::with_capacity(config.mounts.len());
    for (mount, stores) in config.mounts.iter().zip(&stores) {
        let parts = Parts {
            stores: stores.clone(),
            database: Arc::clone(&database),
            movers: Arc::clone(&movers),
            cache: stored.clone(),
            passthrough: config.passthrough,
            budget: Arc::clone(&budget),
            fetch_bytes: budget.limit_bytes(),
            rings_bytes: shares.rings_bytes / config.mounts.len() as u64,
            patience: patience(&mount.tree),
            writeback: config.writeback.clone(),
            unmounted: Arc::clone(&unmounted),
        };
        mounts.push(Arc::new(Mounted::start(mount, parts).await?));
    }
    Ok(Arc::new(Daemon {
        started,
        memory_bytes: config.memory_bytes,
        cache,
        budget,
        movers,
        stores: stores.into_iter().flatten().collect(),
        mounts: RwLock::new(mounts),
        warmer: Arc::new(Warmer::default()),
        left_over,
        unmounted,
        stopping: Mutex::new(false),
    }))
}

fn warn_of_small_index(slabs_bytes: u64, shares: &Shares) -> Result<(), StartError> {
    let object_bytes_min = shares.object_bytes_min(slabs_bytes)?;
    if object_bytes_min > OBJECT_BYTES_USUAL {
        tracing::warn!(
            object_bytes_min,
            "the cache's index is full before the cache is, when objects are smaller than this on average; raise memory \
             (--memory): forebay doctor says how far"
        );
    }
    Ok(())
}

/// Listings live beside the slabs; without a cache directory they are kept in memory.
fn open_listings(config: Option<&CacheConfig>, memory_bytes: u64) -> Result<Arc<Database>, StartError> {
    match config.map(|cache| &cache.location) {
        Some(CacheLocation::Directory(directory)) => {
            Ok(Database::open(directory, usize::try_from(memory_bytes).unwrap_or(usize::MAX))?)
        }
        Some(CacheLocation::BlockDevice(_)) | None => Ok(Database::in_memory(memory_bytes)?),
    }
}

/// Connects the stores of each mount, in the order of its tree. Mounts of one store may have different credentials,
/// so each has a connection of its own; what they cache they share.
async fn connect_all(config: &Config) -> Result<Vec<Vec<Arc<Store>>>, StartError> {
    let mut stores = Vec::with_capacity(config.mounts.len());
    for mount in &config.mounts {
        let mut connected = Vec::with_capacity(mount.tree.len());
        for branch in &mount.tree {
            let ufs = ufs::connect(&branch.location, &branch.settings).await?;
            connected.push(Arc::new(Store::new(ufs, identity(branch))));
        }
        stores.push(connected);
    }
    Ok(stores)
}

/// What tells two stores apart: endpoint and location.
fn identity(branch: &Branch) -> String {
    let endpoint = branch.settings.s3.endpoint.as_deref().unwrap_or_default();
    match &branch.location {
        ufs::Location::S3 { .. } => format!("{endpoint}|{}", branch.location),
        ufs::Location::File { .. } => branch.location.to_string(),
    }
}

/// How long a reader waits: as long as the slowest store may take for a request, and once more for the wait for memory
/// and a place among the requests.
fn patience(tree: &[Branch]) -> Duration {
    let longest = tree.iter().map(|branch| branch.settings.calls.total_timeout).max();
    longest.unwrap_or_default() * 2
}
