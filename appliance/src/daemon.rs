//! The daemon: everything put together, started as a whole or not at all.
//!
//! Parts: [`start`] opens cache and stores, the first with [`open_cache`]; [`mounted`] is one mount with its session;
//! [`staged`] opens what a read-write mount has not yet sent to its stores; [`kernel_cache`] carries changes of names to
//! the kernel; [`warming`] runs warm-ups.
//!
//! Flow of a start: check the mountpoints' configuration, open the cache, connect the stores, then mount. An error on
//! the way drops what was made before it, which unmounts and closes, so that nothing is left behind.

mod control_target;
mod kernel_cache;
mod mounted;
pub(crate) mod open_cache;
mod request;
mod staged;
mod start;
mod warming;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::config::{Config, TreePath};
use crate::memory::Budget;
use crate::movers::Movers;
use crate::namespace::RefreshReport;
use crate::status::{LeftOverStatus, MemoryStatus, Status};
use crate::store::Store;
use crate::warm;
use crate::writeback::{FlushProgress, FlushRequest};

use mounted::Mounted;
use open_cache::OpenCache;
pub use request::RequestError;
pub use start::StartError;
use warming::Warmer;

/// A running daemon.
pub struct Daemon {
    started: Instant,
    memory_bytes: u64,
    cache: Option<OpenCache>,
    budget: Arc<Budget>,
    movers: Arc<Movers>,
    stores: Vec<Arc<Store>>,
    mounts: RwLock<Vec<Arc<Mounted>>>,
    warmer: Arc<Warmer>,
    /// What mounts of earlier configurations have left.
    left_over: Vec<LeftOverStatus>,
    /// Told when a mount is gone.
    unmounted: Arc<Notify>,
    /// One shutdown at a time.
    stopping: Mutex<bool>,
}

impl Daemon {
    /// Opens the cache, connects every store and mounts everything; or nothing is left behind.
    pub async fn start(config: Config) -> Result<Arc<Self>, StartError> {
        start::start(config).await
    }

    /// One snapshot of all figures.
    pub fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            mounts: self.mounts.read().iter().map(|mount| mount.status()).collect(),
            cache: self.cache.as_ref().map(OpenCache::status),
            memory: self.memory_status(),
            stores: self.stores.iter().map(|store| store.status()).collect(),
            warm_jobs: self.warmer.status(),
            left_over: self.left_over.clone(),
        }
    }

    /// Starts a warm-up in the background.
    pub async fn warm(&self, request: warm::Request) -> Result<warm::JobId, RequestError> {
        let cache = self.cache.as_ref().ok_or(RequestError::NoCache)?;
        if cache.cache.slabs.is_failed() {
            return Err(RequestError::CacheFailed);
        }
        let mut sources = Vec::with_capacity(request.paths.len());
        for path in &request.paths {
            let (mount, inside) = self.locate(path)?;
            sources.push(warming::Source::resolve(mount, path, inside).await?);
        }
        self.warmer.start(&self.movers, sources)
    }

    /// How far a warm-up is; `None` for a job that this daemon does not know (any more).
    pub fn warm_progress(&self, id: warm::JobId) -> Option<warm::Progress> {
        self.warmer.progress(id)
    }

    /// Asks the stores again for everything at and below a path, and tells the kernel what changed.
    pub async fn sync(&self, path: PathBuf) -> Result<RefreshReport, RequestError> {
        let (mount, inside) = self.locate(&path)?;
        Ok(mount.tree.namespace.refresh(&inside, true).await?)
    }

    /// Sends what is at and below a path to its store, and says how far that is.
    pub async fn flush(&self, request: FlushRequest) -> Result<FlushProgress, RequestError> {
        let (mount, inside) = self.locate(&request.path)?;
        let writeback = mount.writeback.as_ref().ok_or(RequestError::ReadOnly { path: request.path })?;
        Ok(writeback.flush(inside.as_str(), request.until).await?)
    }

    /// Takes one mount away and tells whether it was the last. Busy mounts are refused.
    pub async fn unmount(&self, mountpoint: PathBuf) -> Result<bool, RequestError> {
        let mount = self.mounts.read().iter().find(|mount| mount.mountpoint == mountpoint).cloned();
        let mount = mount.ok_or(RequestError::NotInAMount { path: mountpoint })?;
        mount.unmount().await?;
        // Its session may need a moment to notice.
        Ok(self.mounts.read().iter().all(|other| Arc::ptr_eq(other, &mount) || other.is_gone()))
    }

    /// Resolves when the last mount is gone.
    pub async fn wait_unmounted(&self) {
        loop {
            let changed = self.unmounted.notified();
            self.mounts.write().retain(|mount| !mount.is_gone());
            if self.mounts.read().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Unmounts everything, lazily where a mount is busy, and closes the cache so that the next start is warm.
    pub async fn shutdown(&self) {
        if std::mem::replace(&mut *self.stopping.lock(), true) {
            return;
        }
        let mounts = self.mounts.read().clone();
        for mount in mounts {
            if let Err(error) = mount.stop().await {
                tracing::warn!(mountpoint = %mount.mountpoint.display(), %error, "a mount could not be taken away");
            }
        }
        self.wait_unmounted().await;
        self.movers.drain().await;
        if let Some(cache) = &self.cache {
            cache.cache.slabs.clone().close();
        }
    }

    /// The mount that holds a path, and the path inside it.
    fn locate(&self, path: &Path) -> Result<(Arc<Mounted>, TreePath), RequestError> {
        let mounts = self.mounts.read();
        let holding = mounts.iter().filter(|mount| path.starts_with(&mount.mountpoint));
        let mount = holding
            .max_by_key(|mount| mount.mountpoint.as_os_str().len())
            .ok_or_else(|| RequestError::NotInAMount { path: path.to_owned() })?;
        let inside = path.strip_prefix(&mount.mountpoint).expect("the mount was chosen by this prefix");
        let inside = TreePath::new(&inside.to_string_lossy())
            .map_err(|source| RequestError::InvalidPath { path: path.to_owned(), source })?;
        Ok((Arc::clone(mount), inside))
    }

    fn memory_status(&self) -> MemoryStatus {
        MemoryStatus {
            limit_bytes: self.memory_bytes,
            fetch_bytes: self.budget.used_bytes(),
            fetch_limit_bytes: self.budget.limit_bytes(),
            resident_bytes: resident_bytes(),
        }
    }
}

/// Resident set of this process, from /proc/self/statm; 0 when it cannot be read.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
