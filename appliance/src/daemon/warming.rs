//! Running warm-ups: from paths and patterns to a stream of objects, and the list of jobs.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use globset::{GlobBuilder, GlobMatcher};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::RequestError;
use super::mounted::Mounted;
use crate::config::TreePath;
use crate::movers::Movers;
use crate::namespace::FilesBelow;
use crate::status::WarmStatus;
use crate::warm::{Job, JobId, Target};

/// Warm-ups at the same time.
const RUNNING_MAX: usize = 16;

/// Finished warm-ups whose result can still be asked for.
const FINISHED_MAX: usize = 64;

/// Objects that are found but not begun yet.
const FOUND_AHEAD_MAX: usize = 1024;

/// One path or pattern of a request.
pub(super) struct Source {
    mount: Arc<Mounted>,
    below: TreePath,
    pattern: Option<GlobMatcher>,
}

impl Source {
    /// Decides whether a path is meant as it stands or as a pattern: it is a pattern when it holds wildcards and no
    /// file has that very name.
    pub(super) async fn resolve(
        mount: Arc<Mounted>,
        path: &Path,
        inside: TreePath,
    ) -> Result<Self, RequestError> {
        let text = inside.as_str();
        let has_wildcards = text.contains(['*', '?', '[', '{']);
        if !has_wildcards || mount.tree.namespace.resolve(&inside).await?.is_some() {
            return Ok(Self { mount, below: inside, pattern: None });
        }
        let bad = |reason: String| RequestError::Pattern { pattern: path.display().to_string(), reason };
        let glob =
            GlobBuilder::new(text).literal_separator(true).build().map_err(|error| bad(error.to_string()))?;
        let fixed: Vec<&str> =
            text.split('/').take_while(|name| !name.contains(['*', '?', '[', '{'])).collect();
        let below = TreePath::new(&fixed.join("/")).map_err(|error| bad(error.to_string()))?;
        Ok(Self { mount, below, pattern: Some(glob.compile_matcher()) })
    }

    /// Sends every file of this source; what cannot be listed is a failure of the job.
    async fn find(self, job: &Job, found: &mpsc::Sender<Target>) {
        let mut files: FilesBelow = self.mount.tree.namespace.files_below(&self.below);
        let mut matched = false;
        loop {
            match files.next().await {
                Ok(Some((path, reference))) => {
                    if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(path.as_str())) {
                        continue;
                    }
                    matched = true;
                    let shown = self.mount.mountpoint.join(path.as_str()).display().to_string();
                    match self.mount.tree.object(reference) {
                        Ok(object) => {
                            job.found(&object);
                            let target = Target { path: shown, object: Arc::new(object) };
                            if found.send(target).await.is_err() {
                                return;
                            }
                        }
                        Err(error) => job.fail(shown, error.to_string()),
                    }
                }
                Ok(None) => break,
                Err(error) => return job.fail(self.shown(), error.to_string()),
            }
        }
        if self.pattern.is_some() && !matched {
            job.fail(self.shown(), "no file matches the pattern".to_owned());
        }
    }

    fn shown(&self) -> String {
        let pattern = self.pattern.as_ref().map(|pattern| pattern.glob().glob().to_owned());
        self.mount.mountpoint.join(pattern.as_deref().unwrap_or(self.below.as_str())).display().to_string()
    }
}

/// The warm-ups of the daemon.
#[derive(Default)]
pub(super) struct Warmer {
    jobs: Mutex<VecDeque<(JobId, Arc<Job>)>>,
    last: AtomicU64,
}

impl Warmer {
    /// Starts a job over its sources.
    pub(super) fn start(&self, movers: &Arc<Movers>, sources: Vec<Source>) -> Result<JobId, RequestError> {
        let job: Arc<Job> = Arc::default();
        let id = self.admit(Arc::clone(&job))?;
        let (sender, receiver) = mpsc::channel(FOUND_AHEAD_MAX);
        let finder = Arc::clone(&job);
        tokio::spawn(async move {
            for source in sources {
                source.find(&finder, &sender).await;
            }
            finder.listed();
        });
        let movers = Arc::clone(movers);
        tokio::spawn(async move { job.run(&movers, targets(receiver)).await });
        Ok(id)
    }

    /// How far a job is.
    pub(super) fn progress(&self, id: JobId) -> Option<crate::warm::Progress> {
        self.jobs.lock().iter().find(|(known, _)| *known == id).map(|(_, job)| job.progress())
    }

    /// All jobs that are remembered.
    pub(super) fn status(&self) -> Vec<WarmStatus> {
        self.jobs.lock().iter().map(|(id, job)| WarmStatus { id: id.0, progress: job.progress() }).collect()
    }

    fn admit(&self, job: Arc<Job>) -> Result<JobId, RequestError> {
        let mut jobs = self.jobs.lock();
        let running = jobs.iter().filter(|(_, job)| !job.is_finished()).count();
        if running >= RUNNING_MAX {
            return Err(RequestError::TooManyJobs { limit: RUNNING_MAX });
        }
        if jobs.len() - running >= FINISHED_MAX
            && let Some(oldest) = jobs.iter().position(|(_, job)| job.is_finished())
        {
            jobs.remove(oldest);
        }
        let id = JobId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        jobs.push_back((id, job));
        Ok(id)
    }
}

fn targets(receiver: mpsc::Receiver<Target>) -> impl futures::Stream<Item = Target> {
    futures::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}
