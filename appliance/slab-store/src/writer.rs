//! The writer thread: writes segments, seals slabs, evicts ahead of need.
//!
//! It is the only writer of the device once the store is open. A write that fails costs its slab; a flush that fails
//! costs the store, since nobody can know what it left behind; a panic of the thread does too.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::device::{IoQueue, WRITE_QUEUE, WriteOp, flush, write_all};
use crate::format::footer::QueueKind;
use crate::geometry::{SLABS_MIN, SlabId};
use crate::log_state::{Job, LogState, SegmentWrite};
use crate::shared::Shared;

mod evict;
mod seal;

/// Slabs below which the store cannot go on.
const SLABS_WORKING_MIN: u32 = 6;
const _: () = assert!(SLABS_WORKING_MIN <= SLABS_MIN);
/// Segments written at once.
const BATCH_MAX: usize = 8;

/// Starts the thread.
pub(crate) fn spawn(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let queue = shared.device.queue(WRITE_QUEUE)?;
    let unit = shared.device.alignment().offset_bytes as usize;
    std::thread::Builder::new().name("slab-writer".into()).spawn(move || {
        let guard = FailOnPanic(Arc::clone(&shared));
        Writer { shared, queue, unit }.run();
        drop(guard);
    })
}

/// A panicked writer has failed the store; nobody waits for it.
struct FailOnPanic(Arc<Shared>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    queue: Box<dyn IoQueue>,
    /// Unit of direct I/O in bytes.
    unit: usize,
}

/// The next thing to do.
enum Task {
    Write(Vec<SegmentWrite>),
    Seal(Box<crate::log_state::Seal>),
    Invalidate(Vec<SlabId>),
    Evict,
    Stop,
}

impl Writer {
    fn run(mut self) {
        loop {
            match self.next_task() {
                Task::Stop => return,
                Task::Evict => self.evict(),
                task => self.perform(task),
            }
            self.shared.space.wake_all();
        }
    }

    /// Waits for something to do.
    fn next_task(&self) -> Task {
        let mut state = self.shared.lock();
        loop {
            if self.shared.is_failed() {
                state.jobs.clear();
                return Task::Stop;
            }
            if !state.unsound.is_empty() {
                return Task::Invalidate(std::mem::take(&mut state.unsound));
            }
            if self.must_evict_first(&state) {
                return Task::Evict;
            }
            if let Some(task) = take_job(&mut state) {
                return task;
            }
            if state.closing {
                if !state.has_open() {
                    return Task::Stop;
                }
                self.seal_open(&mut state);
                continue;
            }
            if self.wants_eviction(&state) {
                return Task::Evict;
            }
            self.shared.work.wait(&mut state);
        }
    }

    /// Ends both open slabs. No seal is under way when there are no jobs, so this cannot be refused.
    fn seal_open(&self, state: &mut LogState) {
        for queue in [QueueKind::Small, QueueKind::Main] {
            if let Err(refused) = state.begin_seal(queue) {
                tracing::error!(?queue, ?refused, "an open slab could not be sealed");
            }
        }
    }

    /// Carries out a job that is not an eviction.
    fn perform(&mut self, task: Task) {
        let result = match task {
            Task::Write(writes) => self.write(writes),
            Task::Seal(seal) => self.seal(*seal),
            Task::Invalidate(slabs) => self.invalidate(slabs),
            Task::Evict | Task::Stop => Ok(()),
        };
        if let Err(error) = result {
            self.shared.counters.device_errors.add(1);
            tracing::error!(%error, "the cache device failed a flush");
            self.shared.fail();
        }
    }

    /// Does the queued jobs; false when there were none. For eviction, which needs segments and slabs itself.
    fn drain_jobs(&mut self) -> bool {
        let mut worked = false;
        while let Some(task) = { take_job(&mut self.shared.lock()) } {
            self.perform(task);
            self.shared.space.wake_all();
            worked = true;
        }
        worked
    }

    fn write(&mut self, writes: Vec<SegmentWrite>) -> io::Result<()> {
        let ops = writes.iter().map(|write| WriteOp {
            data: Arc::clone(&write.data),
            start: 0,
            len: write.len as usize,
            device_offset: self.shared.geometry.slab_offset(write.slab) + u64::from(write.start),
        });
        let results = write_all(&mut *self.queue, self.unit, ops.collect())?;
        for (write, result) in writes.into_iter().zip(results) {
            let SegmentWrite { slab, start, len, data } = write;
            drop(data);
            match result {
                Ok(()) => self.written(slab, start, len),
                Err(error) => self.lose_slab(slab, "write a segment", &error),
            }
        }
        Ok(())
    }

    /// The segment is on the device: readers go there, and the one before it is no longer needed.
    fn written(&self, slab: SlabId, start: u32, len: u32) {
        self.shared.health.success();
        self.shared.slabs.set_written(slab, start + len);
        self.shared.lock().segments.release(slab, start);
    }

    /// A slab that cannot be written is given up, and not used again until the cache is opened anew.
    fn lose_slab(&self, slab: SlabId, action: &'static str, error: &io::Error) {
        self.shared.device_error(action, error);
        {
            let mut state = self.shared.lock();
            state.abandon(slab);
            // Under the lock: nothing is appended to the slab after this.
            let bytes = self.shared.index.remove_slab(slab);
            self.shared.used_bytes.sub(bytes);
        }
        self.shared.slabs.bump_epoch(slab);
        self.fail_if_too_few();
    }

    /// With fewer slabs than it takes to keep two open, two being sealed and one in reserve, inserts would wait
    /// for ever.
    fn fail_if_too_few(&self) {
        let lost = self.shared.lock().lost_slabs;
        if self.shared.geometry.slab_count - lost < SLABS_WORKING_MIN {
            self.shared.fail();
        }
    }

    /// Clears the trailers of slabs and flushes; only then may they be written.
    fn invalidate(&mut self, slabs: Vec<SlabId>) -> io::Result<()> {
        let slabs = if self.skips_invalidation() { slabs } else { self.clear_trailers(slabs)? };
        self.shared.lock().free.extend(slabs);
        Ok(())
    }

    #[cfg(feature = "sim")]
    fn skips_invalidation(&self) -> bool {
        self.shared.is_planted(crate::options::Planted::SkipInvalidation)
    }

    #[cfg(not(feature = "sim"))]
    fn skips_invalidation(&self) -> bool {
        false
    }

    /// Gives back the slabs whose trailer could be cleared.
    fn clear_trailers(&mut self, slabs: Vec<SlabId>) -> io::Result<Vec<SlabId>> {
        let geometry = self.shared.geometry;
        let blank = Arc::new(crate::sys::AlignedBuf::new(crate::geometry::TRAILER_BYTES as usize));
        let mut cleared = Vec::with_capacity(slabs.len());
        for batch in slabs.chunks(WRITE_QUEUE.depth as usize) {
            let ops = batch.iter().map(|slab| WriteOp {
                data: Arc::clone(&blank),
                start: 0,
                len: blank.len(),
                device_offset: geometry.slab_offset(*slab) + u64::from(geometry.trailer_start()),
            });
            let results = write_all(&mut *self.queue, self.unit, ops.collect())?;
            for (slab, result) in batch.iter().zip(results) {
                match result {
                    Ok(()) => cleared.push(*slab),
                    Err(error) => {
                        self.shared.device_error("invalidate a footer", &error);
                        self.shared.lock().lost_slabs += 1;
                    }
                }
            }
        }
        self.fail_if_too_few();
        flush(&mut *self.queue)?;
        Ok(cleared)
    }
}

/// Takes a run of writes, or a seal.
fn take_job(state: &mut LogState) -> Option<Task> {
    let mut writes = Vec::new();
    while writes.len() < BATCH_MAX {
        match state.jobs.pop_front() {
            Some(Job::Write(write)) => writes.push(write),
            Some(Job::Seal(seal)) if writes.is_empty() => return Some(Task::Seal(seal)),
            Some(seal) => {
                state.jobs.push_front(seal);
                break;
            }
            None => break,
        }
    }
    (!writes.is_empty()).then_some(Task::Write(writes))
}
