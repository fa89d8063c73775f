//! The session: threads that read requests of one connection and hand them to a file system.
//!
//! Parts: `config`; `init` agrees with the kernel; `channel` is one descriptor, its answers and its counters; `worker`
//! is the loop of a thread; `dispatch` calls the method that a request asks for; `running` counts the threads;
//! `stats` adds up.
//!
//! Flow: [`Session::start`] answers INIT, clones the descriptor once per thread and starts the threads. Each blocks in
//! read(2) on its own descriptor, decodes the request in its own buffer, and calls the file system. The threads end when
//! the kernel says that the connection is gone, which is what an unmount or an abort leads to.
//!
//! Trade: a thread serves one request at a time, so concurrency of synchronous handlers is the count of threads; work
//! that waits must take its reply elsewhere. Blocking reads cost a switch per request when idle, and no poll loop.

mod channel;
mod config;
mod dispatch;
mod error;
mod init;
mod running;
mod stats;
mod stop;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) use channel::Channel;
pub use config::SessionConfig;
pub use error::SessionError;
pub use stats::{SessionStats, StatsHandle};
pub use stop::Stopper;

use crate::FileSystem;
use crate::mount::FuseDevice;
use crate::negotiate::{Capability, ConnectionInfo};
use crate::notify::Notifier;
use crate::passthrough::BackingFiles;
use running::Running;

/// Time that dropping a session gives open files before the connection is aborted.
const DROP_GRACE: Duration = Duration::from_secs(1);

/// A served mount. Dropping it unmounts; [`wait`](Self::wait) serves until somebody else does.
pub struct Session<F: FileSystem> {
    fs: Arc<F>,
    info: ConnectionInfo,
    /// One per thread, or a single one that all threads share when the device can't be cloned.
    channels: Vec<Arc<Channel>>,
    threads: Vec<JoinHandle<Result<(), SessionError>>>,
    stopper: Stopper,
}

impl<F: FileSystem> Session<F> {
    /// Answers INIT and starts the threads. Returns when the mount works. On an error nothing stays mounted.
    pub fn start(device: FuseDevice, fs: Arc<F>, config: SessionConfig) -> Result<Session<F>, SessionError> {
        let FuseDevice { fd, mount, read_bytes_max } = device;
        let config = config.checked()?;
        let info = init::answer(&fd, &config, read_bytes_max)?;
        if let Some(mount) = &mount
            && let Err(error) = mount.set_readahead(config.readahead_bytes_max)
        {
            tracing::info!(%error, granted = info.readahead_bytes_max, "read-ahead stays as the kernel granted it");
        }
        let channels = channel::open_all(fd, config.threads);
        fs.connected(&info);
        if info.has(Capability::Passthrough) {
            fs.passthrough(BackingFiles::new(&channels[0]));
        }
        let stopper = Stopper::new(mount, Running::default());
        let mut session = Session { fs, info, channels, threads: Vec::new(), stopper };
        session.start_threads(&config)?;
        Ok(session)
    }

    fn start_threads(&mut self, config: &SessionConfig) -> Result<(), SessionError> {
        let buffer_bytes = config.buffer_bytes();
        let (ready, started) = std::sync::mpsc::channel();
        for index in 0..config.threads {
            let channel = &self.channels[index % self.channels.len()];
            let worker = worker::Worker {
                fs: Arc::clone(&self.fs),
                channel: Arc::clone(channel),
                index,
                buffer_bytes,
            };
            let (ready, running) = (ready.clone(), self.stopper.running().register());
            let thread = std::thread::Builder::new()
                .name(format!("fuse-{index}"))
                .spawn(move || {
                    let _running = running;
                    worker.run(ready)
                })
                .map_err(SessionError::Thread)?;
            self.threads.push(thread);
        }
        drop(ready);
        started.iter().collect()
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
        stats::sum(self.channels.iter().map(|channel| channel.counters()))
    }

    /// Reads the counters from other threads, also while [`wait`](Self::wait) has the session.
    pub fn stats_handle(&self) -> StatsHandle {
        StatsHandle { channels: self.channels.iter().map(Arc::downgrade).collect() }
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
