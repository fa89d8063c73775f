//! The session: threads that read requests of one connection and hand them to a file system.
//!
//! Parts: `config`; `init` agrees with the kernel; `channel` is one descriptor, its answers and its counters; `worker`
//! is the loop of a thread on it; `ring` is the other transport, over io_uring; `dispatch` calls the method that a
//! request asks for; `running` counts the threads; `stats` adds up.
//!
//! Flow: [`Session::start`] makes the rings if there shall be some, answers INIT, and starts the threads: one for each ring
//! and one for the device, or as many as are set for the device, each with a clone of the descriptor. These block in
//! read(2), decode the request in a buffer of their own, and call the file system. The threads end when the kernel says
//! that the connection is gone, which is what an unmount or an abort leads to.
//!
//! Trade: on the device a thread serves one request at a time, so concurrency of synchronous handlers is the count of threads; work
//! that waits must take its reply elsewhere. Blocking reads cost a switch per request when idle, and no poll loop.

mod channel;
mod config;
mod dispatch;
mod error;
pub(crate) mod init;
mod ring;
mod running;
mod stats;
mod stop;
mod worker;

use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) use channel::Channel;
pub use config::{SessionConfig, Transport};
pub use error::SessionError;
pub use ring::{RingRefusal, RingShape};
pub use stats::{SessionStats, StatsHandle};
pub use stop::Stopper;

use crate::FileSystem;
use crate::mount::FuseDevice;
use crate::negotiate::{Capability, ConnectionInfo};
use crate::notify::Notifier;
use crate::passthrough::BackingFiles;
use ring::{Engine, Inbox, Rings, Start, Unstarted};
use running::Running;
use stats::Counters;

/// Time that dropping a session gives open files before the connection is aborted.
const DROP_GRACE: Duration = Duration::from_secs(1);

/// A served mount. Dropping it unmounts; [`wait`](Self::wait) serves until somebody else does.
pub struct Session<F: FileSystem> {
    fs: Arc<F>,
    info: ConnectionInfo,
    /// One per thread, or a single one that all threads share when the device can't be cloned.
    channels: Vec<Arc<Channel>>,
    /// One per ring; none when requests go through /dev/fuse.
    rings: Vec<RingHandle>,
    threads: Vec<JoinHandle<Result<(), SessionError>>>,
    stopper: Stopper,
}

/// What the session keeps of a ring.
struct RingHandle {
    inbox: Arc<Inbox>,
    counters: Arc<Counters>,
}

impl RingHandle {
    fn of(ring: &Unstarted) -> RingHandle {
        RingHandle { inbox: Arc::clone(&ring.inbox), counters: Arc::clone(&ring.counters) }
    }
}

impl<F: FileSystem> Session<F> {
    /// Answers INIT and starts the threads. Returns when the mount works. On an error nothing stays mounted.
    pub fn start(device: FuseDevice, fs: Arc<F>, config: SessionConfig) -> Result<Session<F>, SessionError> {
        let FuseDevice { fd, mount, read_bytes_max } = device;
        let config = config.checked()?;
        let mut rings = match config.transport {
            Transport::Device => Err(RingRefusal::NotWanted),
            Transport::Auto | Transport::Ring => Rings::prepare(&config, fd.as_fd(), &fs.devices()),
        };
        let shape = rings.as_ref().map(|rings| rings.shape).map_err(|refusal| *refusal);
        let info = init::answer(&fd, &config, read_bytes_max, shape)?;
        if let Some(mount) = &mount
            && let Err(error) = mount.set_readahead(config.readahead_bytes_max)
        {
            tracing::info!(%error, granted = info.readahead_bytes_max, "read-ahead stays as the kernel granted it");
        }
        if let Err(refusal) = info.ring {
            tracing::info!(%refusal, "requests go through /dev/fuse");
            rings = Err(refusal);
        }
        let channels = channel::first(fd);
        fs.connected(&info);
        if info.has(Capability::Passthrough) {
            fs.passthrough(BackingFiles::new(&channels[0]));
        }
        let stopper = Stopper::new(mount, Running::default());
        let mut session = Session { fs, info, channels, rings: Vec::new(), threads: Vec::new(), stopper };
        let is_served = rings.map_or(Ok(false), |rings| session.start_engines(rings, &config))?;
        // Beside rings, FORGET and INTERRUPT alone arrive on the device.
        let threads = if is_served { 1 } else { config.threads };
        channel::clone_up_to(&mut session.channels, threads);
        session.start_workers(threads, &config)?;
        Ok(session)
    }

    /// Starts the threads of the rings; false when the kernel did not take their entries, and goes on with /dev/fuse.
    fn start_engines(&mut self, rings: Rings, config: &SessionConfig) -> Result<bool, SessionError> {
        let shape = rings.shape;
        let (report, started) = std::sync::mpsc::channel();
        for (unstarted, index) in rings.into_rings().into_iter().zip(0..) {
            self.rings.push(RingHandle::of(&unstarted));
            let engine = Engine::new(Arc::clone(&self.fs), index, shape, unstarted);
            let report = report.clone();
            self.spawn(format!("fuse-ring-{index}"), move || engine.run(shape, report))?;
        }
        drop(report);
        let starts: Vec<Start> = started.iter().collect::<Result<_, _>>()?;
        if starts.iter().all(|start| matches!(start, Start::Serving)) {
            return Ok(true);
        }
        let refusal = RingRefusal::RegistrationFailed;
        if config.transport == Transport::Ring {
            return Err(SessionError::NoRing(refusal));
        }
        self.info.fall_back(refusal);
        Ok(false)
    }

    fn start_workers(&mut self, count: usize, config: &SessionConfig) -> Result<(), SessionError> {
        let buffer_bytes = config.buffer_bytes();
        let (ready, started) = std::sync::mpsc::channel();
        let inboxes: Arc<[Arc<Inbox>]> = self.rings.iter().map(|ring| Arc::clone(&ring.inbox)).collect();
        for index in 0..count {
            let channel = &self.channels[index % self.channels.len()];
            let worker = worker::Worker {
                fs: Arc::clone(&self.fs),
                channel: Arc::clone(channel),
                index: self.rings.len() + index,
                buffer_bytes,
            };
            let (ready, inboxes) = (ready.clone(), Arc::clone(&inboxes));
            self.spawn(format!("fuse-{index}"), move || {
                let ended = worker.run(ready);
                if ended.is_ok() {
                    inboxes.iter().for_each(|inbox| inbox.close());
                }
                ended
            })?;
        }
        drop(ready);
        started.iter().collect()
    }

    fn spawn(
        &mut self,
        name: String,
        run: impl FnOnce() -> Result<(), SessionError> + Send + 'static,
    ) -> Result<(), SessionError> {
        let running = self.stopper.running().register();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let _running = running;
            run()
        });
        self.threads.push(thread.map_err(SessionError::Thread)?);
        Ok(())
    }

    /// What was agreed with the kernel.
    pub fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// Tells the kernel what to forget. Works until the session ends.
    pub fn notifier(&self) -> Notifier {
        Notifier::new(&self.channels[0])
    }

    /// Counters since the start.
    pub fn stats(&self) -> SessionStats {
        self.stats_handle().read()
    }

    /// Reads the counters from other threads, also while [`wait`](Self::wait) has the session.
    pub fn stats_handle(&self) -> StatsHandle {
        let channels = self.channels.iter().map(|channel| channel.counters());
        let rings = self.rings.iter().map(|ring| &ring.counters);
        StatsHandle { counters: channels.chain(rings).cloned().collect() }
    }

    /// Ends the session from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Serves until the mount is gone: unmounted, or aborted. An error of the device or of a thread is returned.
    pub fn wait(mut self) -> Result<(), SessionError> {
        self.join()
    }

    /// Unmounts and waits for the threads: see [`Stopper::stop`].
    pub fn shutdown(mut self, grace: Duration) -> Result<(), SessionError> {
        self.stopper.stop(grace)?;
        self.join()
    }

    fn join(&mut self) -> Result<(), SessionError> {
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            let ended = thread.join().unwrap_or(Err(SessionError::ThreadPanicked));
            result = result.and(ended);
        }
        self.stopper.forget_mount();
        self.fs.destroyed();
        result
    }
}

impl<F: FileSystem> fmt::Debug for Session<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("threads", &self.threads.len())
            .field("stopper", &self.stopper)
            .finish()
    }
}

impl<F: FileSystem> Drop for Session<F> {
    fn drop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        match self.stopper.stop(DROP_GRACE).and_then(|()| self.join()) {
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "a dropped session did not end well"),
        }
    }
}

#[cfg(test)]
mod tests;
