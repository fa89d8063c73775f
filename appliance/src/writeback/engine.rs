//! [`Writeback`]: the handle that a mount holds, and what its workers share.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use staging::{DelayRule, EventSeq, Staging};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::below::{Below, Target};
use super::disk_threads::DiskThreads;
use super::failures::Failures;
use super::multipart::Progress;
use super::pacer::Pacer;
use super::settings::Settings;
use super::transfers::{Sent, Transfers};
use super::upload_log::UploadLog;
use super::{kept, scheduler};
use crate::memory::Budget;
use crate::movers::Demand;
use crate::status::{FailingStatus, WritebackStatus};

/// Where records of unfinished uploads lie, in the staging directory.
const UPLOADS_DIRECTORY: &str = "uploads";
/// Conflicts that a status tells of.
const CONFLICTS_SHOWN_MAX: usize = 10;

/// What write-back needs.
pub struct Options {
    /// The staged tree of the mount.
    pub staging: Staging,
    /// Its directory.
    pub directory: PathBuf,
    /// What lies below it.
    pub below: Below,
    /// The memory that parts on their way are paid from, as background work.
    pub budget: Arc<Budget>,
    /// Readers of this host, for whom uploads step back.
    pub demand: Arc<Demand>,
    /// The keys of `[writeback]`.
    pub settings: Arc<Settings>,
    /// From [`Writeback::delays`], as it was given to the staged tree.
    pub delays: Delays,
}

/// The delays of a mount; made before its staged tree is opened.
#[derive(Clone)]
pub struct Delays {
    sent: Arc<Sent>,
    /// For the staged tree.
    pub rule: DelayRule,
}

/// Why write-back cannot start.
#[derive(Debug, thiserror::Error)]
#[error("write-back cannot use {path}: {source}; check the staging directory", path = directory.display())]
pub struct StartError {
    directory: PathBuf,
    #[source]
    source: io::Error,
}

/// What all workers of one mount share.
pub(super) struct Engine {
    pub(super) staging: Staging,
    pub(super) below: Below,
    pub(super) budget: Arc<Budget>,
    pub(super) settings: Arc<Settings>,
    pub(super) disk: DiskThreads,
    pub(super) uploads: UploadLog,
    /// Parts that this run of the daemon knows to be in their store.
    pub(super) progress: Mutex<std::collections::BTreeMap<EventSeq, Progress>>,
    pub(super) failures: Failures,
    pub(super) transfers: Transfers,
    pub(super) sent: Arc<Sent>,
    pub(super) pacer: Pacer,
    /// Something may be ready.
    pub(super) wake: Notify,
    /// Counts events that ended: whose turn it is may have changed.
    pub(super) ended: watch::Sender<u64>,
    conflicts: Mutex<Vec<String>>,
    conflicts_total: AtomicU64,
    host: String,
}

/// The write-back of one mount.
#[derive(Clone)]
pub struct Writeback {
    pub(super) engine: Arc<Engine>,
    stop: watch::Sender<bool>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Writeback {
    /// How long changes wait by these settings.
    pub fn delays(settings: &Arc<Settings>) -> Delays {
        let sent: Arc<Sent> = Arc::default();
        Delays { rule: Arc::clone(settings).delay_rule(Arc::clone(&sent)), sent }
    }

    /// Begins to publish, and goes on with what an earlier run left. Must be called inside a tokio runtime.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let Options { staging, directory, below, budget, demand, settings, delays } = options;
        let failed = |source| StartError { directory: directory.clone(), source };
        let engine = Arc::new(Engine {
            disk: DiskThreads::start(&staging).map_err(failed)?,
            uploads: UploadLog::open(directory.join(UPLOADS_DIRECTORY)).map_err(failed)?,
            transfers: Transfers::new(below.stores().len(), settings.uploads_max, demand),
            pacer: Pacer::new(settings.bandwidth_bytes),
            staging,
            below,
            budget,
            settings,
            progress: Mutex::default(),
            failures: Failures::default(),
            sent: delays.sent,
            wake: Notify::new(),
            ended: watch::channel(0).0,
            conflicts: Mutex::default(),
            conflicts_total: AtomicU64::new(0),
            host: host_name(),
        });
        let woken = Arc::downgrade(&engine);
        engine.staging.on_change(Arc::new(move || {
            if let Some(engine) = woken.upgrade() {
                engine.wake.notify_one();
            }
        }));
        let (stop, stopped) = watch::channel(false);
        let evicting = kept::run(Arc::clone(&engine), directory, stopped.clone());
        let publishing = scheduler::run(Arc::clone(&engine), stopped);
        let task = tokio::spawn(async {
            tokio::join!(publishing, evicting);
        });
        Ok(Self { engine, stop, task: Arc::new(Mutex::new(Some(task))) })
    }

    /// Ends all transfers at once; what is not in the stores stays in the staging directory for the next start.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "write-back ended badly");
        }
        let left = self.engine.staging.stats();
        if left.dirty_files > 0 || left.events_waiting > 0 {
            tracing::warn!(
                files = left.dirty_files,
                bytes = left.dirty_bytes,
                "not in the stores yet; the next start goes on with it"
            );
        }
    }

    /// Counts events that ended, of which most are published by then.
    pub fn published(&self) -> watch::Receiver<u64> {
        self.engine.ended.subscribe()
    }

    /// The settings that it runs with.
    pub fn settings(&self) -> &Settings {
        &self.engine.settings
    }

    /// Figures for `forebay status`.
    pub fn status(&self) -> WritebackStatus {
        self.engine.status()
    }
}

impl Engine {
    /// The event is done, gone or given back: others may have their turn.
    pub(super) fn event_ended(&self) {
        self.ended.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The value of [`ufs::Attributes::write_id`] for what this mount puts at a place.
    pub(super) fn write_id(&self, target: &Target) -> Box<str> {
        let uuid: String = self.staging.uuid().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{uuid}.{:016x}", xxhash_rust::xxh3::xxh3_64(target.key.as_str().as_bytes())).into()
    }

    /// The store has something else at the path of an event: the local file steps aside, a removal is forgotten.
    pub(super) async fn conflict(&self, seq: EventSeq, path: &str) -> Result<(), staging::StageError> {
        let aside = self.staging.conflict(seq, &self.host)?;
        let told = match &aside {
            Some(aside) => format!("{path}: changed by somebody else; the file of this host is now {aside}"),
            None => format!("{path}: changed by somebody else; it was not removed"),
        };
        tracing::warn!(conflict = told, "the store has another version");
        self.conflicts_total.fetch_add(1, Ordering::Relaxed);
        self.show_conflict(told);
        self.below.doubt(path).await;
        Ok(())
    }

    fn show_conflict(&self, told: String) {
        let mut shown = self.conflicts.lock();
        if shown.len() >= CONFLICTS_SHOWN_MAX {
            shown.remove(0);
        }
        shown.push(told);
    }

    fn status(&self) -> WritebackStatus {
        let stats = self.staging.stats();
        let rate = stats.drain_rate_bytes;
        let failing = self.failures.shown().into_iter().map(|failing| FailingStatus {
            path: failing.path.into(),
            reason: failing.reason,
            tries: failing.tries,
            since_s: failing.since.elapsed().as_secs(),
        });
        WritebackStatus {
            dirty_bytes: stats.dirty_bytes,
            dirty_limit_bytes: stats.dirty_limit_bytes,
            dirty_files: stats.dirty_files,
            kept_bytes: stats.kept_bytes,
            events_waiting: stats.events_waiting,
            oldest_age_s: stats.oldest_dirty_age.unwrap_or(Duration::ZERO).as_secs(),
            rate_bytes: rate,
            eta_s: (rate > 0).then(|| stats.dirty_bytes.div_ceil(rate)),
            in_flight: self.transfers.in_flight(),
            sent_bytes: self.transfers.sent_bytes.load(Ordering::Relaxed),
            copied_bytes: self.transfers.copied_bytes.load(Ordering::Relaxed),
            failing_count: self.failures.count(),
            failing: failing.collect(),
            conflicts_count: self.conflicts_total.load(Ordering::Relaxed),
            conflicts: self.conflicts.lock().clone(),
            poisoned: stats.poisoned.map(Into::into),
            journal_bytes: stats.journal_bytes,
        }
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
