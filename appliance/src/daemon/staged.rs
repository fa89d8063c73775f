//! Opening what a read-write mount has not yet sent to its stores, and finding what mounts of earlier configurations left.

use std::path::PathBuf;
use std::sync::Arc;

use staging::{Attributes, Options, Staging};

use super::mounted::Parts;
use super::start::StartError;
use crate::config::{MountConfig, WritebackConfig};
use crate::filesystem::MountedTree;
use crate::overlay::{Overlay, OverlayParts, hand_back};
use crate::status::LeftOverStatus;
use crate::store::Store;
use crate::writeback::{self, Below, Writeback};

/// Opens the staged tree of a mount, lays it over the mount's namespace, and begins to send what waits.
pub(super) async fn open(
    mount: &MountConfig,
    config: &WritebackConfig,
    parts: &Parts,
    tree: &MountedTree,
) -> Result<(Arc<Overlay>, Writeback), StartError> {
    let settings = Arc::clone(&config.settings);
    let delays = Writeback::delays(&settings);
    let directory = directory_of(mount, config, &parts.stores);
    let options =
        Options { delay: delays.rule.clone(), ..options(mount, config, &parts.stores, directory.clone()) };
    let staging = open_staging(options).await?;
    let overlay = Overlay::new(OverlayParts {
        namespace: tree.namespace.clone(),
        staging: staging.clone(),
        stores: parts.stores.clone(),
        read_path: Arc::clone(&tree.read_path),
        presentation: tree.presentation,
        rename_max: config.rename_max as usize,
        files_max: config.files_max as usize,
        staging_directory: directory.clone(),
    });
    let writeback = Writeback::start(writeback::Options {
        staging,
        directory,
        below: Below::new(parts.stores.clone(), tree.namespace.clone()),
        budget: Arc::clone(&parts.budget),
        demand: parts.movers.demand(),
        settings,
        delays,
    })?;
    let overlay = Arc::new(overlay);
    tokio::spawn(hand_back::run(Arc::downgrade(&overlay), writeback.published()));
    Ok((overlay, writeback))
}

/// Reads the journal, which takes its time, so it does not run on a thread of the runtime.
async fn open_staging(options: Options) -> Result<Staging, StartError> {
    let directory = options.directory.clone();
    let opened = tokio::task::spawn_blocking(move || Staging::open(options)).await;
    let (staging, recovery) =
        opened.map_err(|_panicked| StartError::StagingPanicked { directory: directory.clone() })??;
    tracing::info!(directory = %directory.display(), ?recovery, "staging opened");
    for missing in &recovery.missing {
        tracing::error!(?missing, "data of a file is not where it should be");
    }
    Ok(staging)
}

/// What mounts that are not configured any more have left; it is kept.
pub(super) fn left_over(
    config: &WritebackConfig,
    mounts: &[MountConfig],
    stores: &[Vec<Arc<Store>>],
) -> Result<Vec<LeftOverStatus>, StartError> {
    if !config.directory.is_dir() {
        return Ok(Vec::new());
    }
    let written = mounts.iter().zip(stores).filter(|(mount, _)| mount.read_write);
    let configured: Vec<String> = written.map(|(mount, stores)| identity(mount, stores)).collect();
    let found = staging::left_over(&config.directory, &configured)?;
    Ok(found.into_iter().map(report).collect())
}

fn report(left: staging::LeftOver) -> LeftOverStatus {
    let staging::LeftOver { identity, directory, dirty_files, dirty_bytes, problem } = left;
    tracing::warn!(
        directory = %directory.display(),
        identity,
        dirty_files,
        dirty_bytes,
        problem,
        "data that its store does not have is kept for a mount that is not configured; configure it again to send it"
    );
    LeftOverStatus { identity, directory, dirty_files, dirty_bytes, problem }
}

/// The mountpoint, and the stores with their places: what is staged belongs to both.
fn identity(mount: &MountConfig, stores: &[Arc<Store>]) -> String {
    let branches =
        mount.tree.iter().zip(stores).map(|(branch, store)| format!(" {}={}", branch.at, store.identity));
    format!("{}{}", mount.mountpoint.display(), branches.collect::<String>())
}

/// A directory for each identity, so that a mount with other stores never sends data to the wrong one.
fn directory_of(mount: &MountConfig, writeback: &WritebackConfig, stores: &[Arc<Store>]) -> PathBuf {
    let hash = xxhash_rust::xxh3::xxh3_64(identity(mount, stores).as_bytes());
    writeback.directory.join(format!("{hash:016x}"))
}

fn options(
    mount: &MountConfig,
    writeback: &WritebackConfig,
    stores: &[Arc<Store>],
    directory: PathBuf,
) -> Options {
    let defaults = Options::new(directory, identity(mount, stores));
    Options {
        dirty_limit_bytes: writeback.dirty_limit_bytes,
        files_max: writeback.files_max as usize,
        rename_max: writeback.rename_max as usize,
        tree_depth: writeback.tree_depth as usize,
        root: Attributes { mode: mount.dir_mode, uid: mount.uid, gid: mount.gid, ..defaults.root },
        ..defaults
    }
}
