//! Warm-ups: bringing whole trees into the slabs before anybody reads them.
//!
//! A [`Job`] takes a stream of objects, checks each against the slabs and fetches what is missing, several objects at a
//! time, as background work: readers go first. A block that is cached already is skipped, so a
//! warm-up that was stopped goes on where it was when it is asked for again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::StreamExt;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::movers::Movers;
use crate::object::Object;

/// Objects that one warm-up works on at once.
const OBJECTS_AT_ONCE: usize = 32;

/// Failures that are told by name; the rest is only counted.
const FAILURES_TOLD_MAX: usize = 100;

/// What to warm.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Request {
    /// Absolute paths of files and directories inside mounts. A path may hold the wildcards `*`, `?`, `[..]`, `{..}`
    /// and `**` when no file has that very name.
    pub paths: Vec<PathBuf>,
}

/// Number of a warm-up, unique for the life of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// How far a warm-up is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Objects found so far.
    pub objects_total: u64,
    /// Objects that are in the slabs.
    pub objects_done: u64,
    /// Bytes of the objects found so far.
    pub bytes_total: u64,
    /// Bytes of the objects that are in the slabs.
    pub bytes_done: u64,
    /// Bytes that had to be fetched.
    pub bytes_fetched: u64,
    /// The first failures: path and cause.
    pub failed: Vec<(String, String)>,
    /// All failures.
    pub failed_count: u64,
    /// Everything to warm is known: the totals are final.
    pub listing_done: bool,
    /// Nothing is left to do.
    pub finished: bool,
}

/// A file to warm, under the path that messages name.
pub struct Target {
    /// Path for messages.
    pub path: String,
    /// What to fetch.
    pub object: Arc<Object>,
}

/// One warm-up under way.
#[derive(Default)]
pub struct Job {
    objects_total: AtomicU64,
    objects_done: AtomicU64,
    bytes_total: AtomicU64,
    bytes_done: AtomicU64,
    bytes_fetched: AtomicU64,
    failed_count: AtomicU64,
    failed: Mutex<Vec<(String, String)>>,
    listing_done: AtomicBool,
    finished: AtomicBool,
}

impl Job {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let finished = self.is_finished();
        Progress {
            objects_total: get(&self.objects_total),
            objects_done: get(&self.objects_done),
            bytes_total: get(&self.bytes_total),
            bytes_done: get(&self.bytes_done),
            bytes_fetched: get(&self.bytes_fetched),
            failed: self.failed.lock().clone(),
            failed_count: get(&self.failed_count),
            listing_done: self.listing_done.load(Ordering::Acquire),
            finished,
        }
    }

    /// A file was found.
    pub fn found(&self, object: &Object) {
        self.objects_total.fetch_add(1, Ordering::Relaxed);
        self.bytes_total.fetch_add(object.size_bytes, Ordering::Relaxed);
    }

    /// Something could not be warmed.
    pub fn fail(&self, path: String, why: String) {
        self.failed_count.fetch_add(1, Ordering::Relaxed);
        let mut failed = self.failed.lock();
        if failed.len() < FAILURES_TOLD_MAX {
            failed.push((path, why));
        }
    }

    /// Fetches all targets of a stream and finishes the job when the last one is in the slabs.
    pub async fn run(&self, movers: &Arc<Movers>, targets: impl futures::Stream<Item = Target>) {
        targets.for_each_concurrent(OBJECTS_AT_ONCE, |target| self.warm(movers, target)).await;
        movers.drain().await;
        self.finished.store(true, Ordering::Release);
    }

    /// Whether nothing is left to do.
    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// All targets are found.
    pub fn listed(&self) {
        self.listing_done.store(true, Ordering::Release);
    }

    async fn warm(&self, movers: &Arc<Movers>, target: Target) {
        match movers.ensure_cached(&target.object).await {
            Ok(fetched) => {
                self.bytes_fetched.fetch_add(fetched, Ordering::Relaxed);
                self.bytes_done.fetch_add(target.object.size_bytes, Ordering::Relaxed);
                self.objects_done.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => self.fail(target.path, error.to_string()),
        }
    }
}
