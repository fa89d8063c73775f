//! One mount: its tree, its session, and the thread that waits for its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fuse_fast::FileSystem;
use fuse_fast::mount::MountOptions;
use fuse_fast::negotiate::ConnectionInfo;
use fuse_fast::session::{Session, SessionConfig, SessionError, StatsHandle, Stopper};
use tokio::sync::Notify;

use super::RequestError;
use super::kernel_cache::KernelNotifier;
use super::staged;
use super::start::StartError;
use crate::cache::Cache;
use crate::config::{Consistency, MountConfig, PassthroughMode, Transport, WritebackConfig};
use crate::filesystem::{MountedTree, Presentation, ReadWriteTree};
use crate::memory::Budget;
use crate::movers::Movers;
use crate::namespace::{Clock, Database, KernelCache, Namespace, NamespaceOptions};
use crate::read_path::ReadPath;
use crate::status::{BranchStatus, FeatureStatus, MountStatus, TransportStatus};
use crate::store::{Store, StoreIndex};
use crate::writeback::Writeback;

/// Time that open files get to be closed when the daemon stops, before their mount is aborted.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Largest write of a read-write mount. A write costs a request, so large ones should be few.
const WRITE_BYTES_MAX: u32 = 1 << 20;

/// What a mount shares with the rest of the daemon.
pub(super) struct Parts {
    /// The stores of the mount's tree, in its order.
    pub(super) stores: Vec<Arc<Store>>,
    pub(super) database: Arc<Database>,
    pub(super) movers: Arc<Movers>,
    pub(super) cache: Option<Cache>,
    /// Whether the kernel may read files by itself.
    pub(super) passthrough: PassthroughMode,
    /// Pays for fetched data, and for data on its way to a store.
    pub(super) budget: Arc<Budget>,
    /// Budget of fetched data.
    pub(super) fetch_bytes: u64,
    /// Memory for the rings of this mount.
    pub(super) rings_bytes: u64,
    /// The longest that a reader waits for a store.
    pub(super) patience: Duration,
    /// How a read-write mount keeps what is written.
    pub(super) writeback: Option<WritebackConfig>,
    /// Told when the mount is gone.
    pub(super) unmounted: Arc<Notify>,
}

/// A mount that is up.
pub(super) struct Mounted {
    /// Absolute path.
    pub(super) mountpoint: PathBuf,
    /// What its stores have.
    pub(super) tree: Arc<MountedTree>,
    /// What carries changes to the stores, on a read-write mount.
    pub(super) writeback: Option<Writeback>,
    branches: Vec<BranchStatus>,
    consistency: Consistency,
    features: Vec<FeatureStatus>,
    transport: TransportStatus,
    stats: StatsHandle,
    stopper: Stopper,
    gone: Arc<AtomicBool>,
}

impl Mounted {
    /// Builds the tree, mounts it and serves it until it is unmounted.
    pub(super) async fn start(config: &MountConfig, parts: Parts) -> Result<Self, StartError> {
        let kernel: Arc<KernelNotifier> = Arc::default();
        let tree = build_tree(config, &parts, Arc::clone(&kernel) as Arc<dyn KernelCache>).await?;
        let Some(settings) = parts.writeback.as_ref().filter(|_| config.read_write) else {
            let session = serve(config, &parts, Arc::clone(&tree))?;
            return Self::run(config, (tree, None), &kernel, session, parts.unmounted);
        };
        let (overlay, writeback) = staged::open(config, settings, &parts, &tree).await?;
        let written = ReadWriteTree::new(Arc::clone(&tree), overlay, writeback.clone());
        let session = serve(config, &parts, Arc::new(written))?;
        Self::run(config, (tree, Some(writeback)), &kernel, session, parts.unmounted)
    }

    fn run<F: FileSystem>(
        config: &MountConfig,
        (tree, writeback): (Arc<MountedTree>, Option<Writeback>),
        kernel: &KernelNotifier,
        session: Session<F>,
        unmounted: Arc<Notify>,
    ) -> Result<Self, StartError> {
        kernel.connect(session.notifier());
        let mounted = Self {
            mountpoint: config.mountpoint.clone(),
            tree,
            writeback,
            branches: config.tree.iter().map(branch_status).collect(),
            consistency: config.consistency,
            features: features(&session),
            transport: transport_status(config, session.info()),
            stats: session.stats_handle(),
            stopper: session.stopper(),
            gone: Arc::default(),
        };
        mounted.wait_in_background(session, unmounted)?;
        tracing::info!(mountpoint = %config.mountpoint.display(), "mounted");
        Ok(mounted)
    }

    /// Whether the mount is no more.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Takes the mount away; [`fuse_fast::mount::MountError`] when files are open.
    pub(super) async fn unmount(&self) -> Result<(), RequestError> {
        let stopper = self.stopper.clone();
        in_background(move || Ok(stopper.unmount(false)?)).await
    }

    /// Takes the mount away, also from those who have files open on it.
    pub(super) async fn stop(&self) -> Result<(), RequestError> {
        let stopper = self.stopper.clone();
        in_background(move || Ok(stopper.stop(STOP_GRACE)?)).await?;
        if let Some(writeback) = &self.writeback {
            writeback.stop().await;
        }
        Ok(())
    }

    /// The mount in figures.
    pub(super) fn status(&self) -> MountStatus {
        let session = self.stats.read();
        let names = self.tree.namespace.stats();
        MountStatus {
            mountpoint: self.mountpoint.clone(),
            branches: self.branches.clone(),
            consistency: self.consistency.to_string(),
            requests: session.requests_total(),
            dropped_replies: session.dropped_replies,
            known_inodes: names.known_inodes,
            inode_memory_bytes: names.inode_memory_bytes,
            hidden_names: names.hidden_names,
            reads: self.tree.read_path.counters.status(),
            passthrough: self.tree.passthrough.status(),
            fuse: self.features.clone(),
            transport: self.transport.clone(),
            writeback: self.writeback.as_ref().map(Writeback::status),
        }
    }

    fn wait_in_background<F: FileSystem>(
        &self,
        session: Session<F>,
        unmounted: Arc<Notify>,
    ) -> Result<(), StartError> {
        let gone = Arc::clone(&self.gone);
        let mountpoint = self.mountpoint.clone();
        let wait = move || {
            match session.wait() {
                Ok(()) => tracing::info!(mountpoint = %mountpoint.display(), "unmounted"),
                Err(error) => tracing::error!(mountpoint = %mountpoint.display(), %error, "the mount ended"),
            }
            gone.store(true, Ordering::Release);
            unmounted.notify_waiters();
        };
        std::thread::Builder::new().name("mount-wait".into()).spawn(wait).map_err(StartError::Thread)?;
        Ok(())
    }
}

/// Unmounting waits for the kernel, so it does not run on a thread of the runtime.
async fn in_background(
    work: impl FnOnce() -> Result<(), RequestError> + Send + 'static,
) -> Result<(), RequestError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(RequestError::Panicked))
}

async fn build_tree(
    config: &MountConfig,
    parts: &Parts,
    events: Arc<dyn KernelCache>,
) -> Result<Arc<MountedTree>, StartError> {
    let places = config.tree.iter().map(|branch| branch.at.clone());
    let namespace = Namespace::open(NamespaceOptions {
        identity: config.mountpoint.display().to_string(),
        tree: places.zip((0..).map(StoreIndex)).collect(),
        stores: parts.stores.clone(),
        consistency: config.consistency,
        database: Arc::clone(&parts.database),
        events,
        clock: Clock::default(),
    })
    .await?;
    let read_path = ReadPath::new(
        Arc::clone(&parts.movers),
        namespace.clone(),
        tokio::runtime::Handle::current(),
        parts.fetch_bytes,
        parts.patience,
    );
    let presentation = Presentation {
        uid: config.uid,
        gid: config.gid,
        file_mode: config.file_mode,
        dir_mode: config.dir_mode,
    };
    let (stores, cache) = (parts.stores.clone(), parts.cache.clone());
    Ok(Arc::new(MountedTree::new(namespace, read_path, stores, cache, presentation)))
}

fn serve<F: FileSystem>(config: &MountConfig, parts: &Parts, tree: Arc<F>) -> Result<Session<F>, StartError> {
    let source = config.tree.first().map_or_else(String::new, |branch| branch.location.to_string());
    let (read_only, allow_other) = (!config.read_write, config.allow_other);
    let options = MountOptions { source, read_only, allow_other, ..MountOptions::default() };
    let device = fuse_fast::mount::mount(&config.mountpoint, &options)?;
    let mut settings = SessionConfig {
        threads: config.threads,
        transport: config.transport.into(),
        ring_bytes_max: parts.rings_bytes,
        passthrough: parts.passthrough == PassthroughMode::Auto,
        ..SessionConfig::default()
    };
    if config.read_write {
        settings.write_bytes_max = WRITE_BYTES_MAX;
    }
    let session = Session::start(device, tree, settings);
    session.map_err(|error: SessionError| StartError::Session(error))
}

fn branch_status(branch: &crate::config::Branch) -> BranchStatus {
    BranchStatus { at: branch.at.to_string(), url: branch.location.to_string() }
}

/// Which transport it became. That `auto` did not become io_uring is told in the log, once.
fn transport_status(config: &MountConfig, info: &ConnectionInfo) -> TransportStatus {
    let (used, reason, ring_bytes_max) = match info.ring {
        Ok(shape) => (Transport::Uring, String::new(), shape.memory_bytes()),
        Err(refusal) => (Transport::Dev, refusal.to_string(), 0),
    };
    let fallbacks = u64::from(config.transport == Transport::Auto && used == Transport::Dev);
    if fallbacks > 0 {
        tracing::info!(mountpoint = %config.mountpoint.display(), reason, "no FUSE over io_uring: using /dev/fuse");
    }
    let (used, wanted) = (used.to_string(), config.transport.to_string());
    TransportStatus { used, wanted, fallbacks, reason, ring_bytes_max }
}

fn features<F: FileSystem>(session: &Session<F>) -> Vec<FeatureStatus> {
    let rows = session.info().capabilities.iter();
    rows.map(|row| FeatureStatus {
        name: row.capability.name().to_owned(),
        taken: row.is_active(),
        reason: row.reason().to_owned(),
    })
    .collect()
}
