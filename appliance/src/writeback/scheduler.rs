//! Gives due events to workers.
//!
//! Large files are taken as soon as they are due, because their parts show nothing; all else when it is its turn, so that no
//! worker waits for one that cannot begin. The list of due events is looked up at most so often that it costs a tenth of a
//! CPU; between that, workers that end make room for the next of the list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use staging::{Action, EventSeq, EventView, StageError};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::engine::Engine;
use super::failures::Failure;
use super::{multipart, put, remove};

/// Events that are being published at a time, and large files among them that may also wait for their turn.
const RUNNING_MAX: usize = 64;
const EARLY_MAX: usize = 32;
/// Between two looks at the staged tree.
const LOOK_PERIOD_MIN: Duration = Duration::from_millis(20);
/// A look may take this part of the time.
const LOOK_SHARE: u32 = 10;
/// The longest time without a look while events wait for others.
const LOOK_PERIOD_MAX: Duration = Duration::from_millis(500);

struct Scheduler {
    engine: Arc<Engine>,
    due: BTreeMap<EventSeq, EventView>,
    running: BTreeSet<EventSeq>,
    early: BTreeSet<EventSeq>,
    workers: JoinSet<EventSeq>,
    next_look: Instant,
}

/// Works until told to stop; then all transfers are broken off.
pub(super) async fn run(engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
    let mut scheduler = Scheduler {
        engine,
        due: BTreeMap::new(),
        running: BTreeSet::new(),
        early: BTreeSet::new(),
        workers: JoinSet::new(),
        next_look: Instant::now(),
    };
    scheduler.workers.spawn(sweep(Arc::clone(&scheduler.engine)));
    let mut is_awake = true;
    loop {
        if is_awake && Instant::now() >= scheduler.next_look {
            scheduler.look();
            is_awake = false;
        }
        scheduler.start();
        let engine = Arc::clone(&scheduler.engine);
        let until = scheduler.sleep_until(is_awake);
        tokio::select! {
            _ = stop.changed() => break,
            () = engine.wake.notified(), if !is_awake => is_awake = true,
            Some(ended) = scheduler.workers.join_next() => scheduler.ended(ended),
            () = tokio::time::sleep_until(until.into()) => is_awake = true,
        }
    }
    scheduler.workers.shutdown().await;
}

/// Aborts uploads that an earlier run left and whose event is gone.
async fn sweep(engine: Arc<Engine>) -> EventSeq {
    let none = EventSeq(u64::MAX);
    let Ok(known) = engine.uploads.events().inspect_err(|error| {
        tracing::warn!(%error, "records of unfinished uploads cannot be listed");
    }) else {
        return none;
    };
    let alive: BTreeSet<EventSeq> = engine.staging.events_below("").iter().map(|event| event.seq).collect();
    for seq in known.into_iter().filter(|seq| !alive.contains(seq)) {
        while let Err(failure) = multipart::abort(&engine, seq).await {
            tracing::debug!(%failure, "an upload of an earlier run cannot be aborted yet");
            if failure.is_refusal() {
                break;
            }
            tokio::time::sleep(LOOK_PERIOD_MAX * 10).await;
        }
    }
    none
}

impl Scheduler {
    fn look(&mut self) {
        let started = Instant::now();
        let ready = self.engine.staging.ready(self.engine.staging.now());
        self.due = ready.into_iter().map(|event| (event.seq, event)).collect();
        let took = started.elapsed();
        self.next_look = Instant::now() + LOOK_PERIOD_MIN.max(took * LOOK_SHARE);
    }

    fn sleep_until(&self, is_awake: bool) -> Instant {
        if is_awake {
            return self.next_look;
        }
        let now = Instant::now();
        let longest = now + if self.due.is_empty() { Duration::from_secs(60) } else { LOOK_PERIOD_MAX };
        match self.engine.staging.next_due() {
            Some(due) if due > now => due.min(longest).max(self.next_look),
            Some(_) => (now + LOOK_PERIOD_MAX).max(self.next_look),
            None => longest,
        }
    }

    /// Starts what may run now.
    fn start(&mut self) {
        let mut begun = Vec::new();
        for (seq, event) in &self.due {
            if self.running.len() - self.early.len() >= RUNNING_MAX && self.early.len() >= EARLY_MAX {
                break;
            }
            let is_early =
                matches!(event.action, Action::Put { .. }) && put::is_early(&self.engine, event.size_bytes);
            let has_room = match is_early {
                true => self.early.len() < EARLY_MAX,
                false => self.running.len() - self.early.len() < RUNNING_MAX,
            };
            if !has_room || !(is_early || self.engine.staging.may_publish(*seq)) {
                continue;
            }
            begun.push(*seq);
            // Gone in the meantime, or a worker has it.
            if let Ok(event) = self.engine.staging.take(*seq) {
                self.running.insert(*seq);
                if is_early {
                    self.early.insert(*seq);
                }
                self.workers.spawn(work(Arc::clone(&self.engine), event));
            }
        }
        for seq in begun {
            self.due.remove(&seq);
        }
    }

    fn ended(&mut self, ended: Result<EventSeq, tokio::task::JoinError>) {
        match ended {
            Ok(seq) => {
                self.running.remove(&seq);
                self.early.remove(&seq);
            }
            Err(error) => {
                tracing::error!(%error, "a worker of write-back ended badly; its event waits for a restart")
            }
        }
        self.engine.event_ended();
    }
}

/// Publishes one event, or gives it back.
async fn work(engine: Arc<Engine>, event: EventView) -> EventSeq {
    let seq = event.seq;
    let done = match &event.action {
        Action::Put { .. } => put::run(&engine, &event).await,
        Action::Remove { below } => remove::run(&engine, &event, below).await,
    };
    match done {
        Ok(()) => engine.failures.ended(seq),
        // Nobody wants it any more: removed, or renamed into another event.
        Err(Failure::Stage(StageError::NoEvent { .. })) => {
            engine.failures.ended(seq);
            if let Err(failure) = multipart::abort(&engine, seq).await {
                tracing::warn!(%failure, "an upload that is not wanted any more stays until the next start");
            }
        }
        Err(failure) => {
            let pause = engine.failures.failed(seq, &event.path, &failure);
            engine.staging.give_back(seq, pause);
        }
    }
    seq
}
