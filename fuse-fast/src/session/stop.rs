//! [`Stopper`]: ends a session from outside of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::SessionError;
use super::running::Running;
use crate::mount::{AttachedMount, MountError};

/// Time for the threads to leave the file system once the connection is aborted.
const ABORT_LIMIT: Duration = Duration::from_secs(5);

/// Time between two tries to unmount while files are open: the kernel does not tell when the last one is closed.
const RETRY_PERIOD: Duration = Duration::from_millis(20);

/// Unmounts a session's mount from any thread. Does nothing once the session ended.
#[derive(Debug, Clone)]
pub struct Stopper {
    /// `None` when this process did not mount, and after the end.
    mount: Arc<Mutex<Option<AttachedMount>>>,
    running: Running,
}

impl Stopper {
    pub(super) fn new(mount: Option<AttachedMount>, running: Running) -> Stopper {
        Stopper { mount: Arc::new(Mutex::new(mount)), running }
    }

    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    /// Unmounts. [`MountError::InUse`] when files are open and it is not `lazy`; a lazy one ends the session when the last
    /// of them is closed.
    pub fn unmount(&self, lazy: bool) -> Result<(), MountError> {
        self.mount.lock().as_ref().map_or(Ok(()), |mount| mount.unmount(lazy))
    }

    /// Aborts the connection: every waiting and later call on the mount fails, and the session ends.
    pub fn abort(&self) -> Result<(), MountError> {
        self.mount.lock().as_ref().map_or(Ok(()), AttachedMount::abort)
    }

    /// Unmounts, trying for `grace` while files are open, then aborts the connection. Fails when a thread is still inside
    /// the file system five seconds after that.
    pub fn stop(&self, grace: Duration) -> Result<(), SessionError> {
        let deadline = Instant::now() + grace;
        loop {
            let in_use = match self.unmount(false) {
                Ok(()) => false,
                Err(MountError::InUse { .. }) => true,
                Err(error) => return Err(error.into()),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if self.running.wait(if in_use { left.min(RETRY_PERIOD) } else { left }) == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        tracing::warn!(?grace, "files on the mount are still open: aborting the connection");
        // Attached: where there is no fusectl, only an attached mount can be aborted.
        self.abort()?;
        self.unmount(true)?;
        match self.running.wait(ABORT_LIMIT) {
            0 => Ok(()),
            threads => Err(SessionError::StillRunning { threads }),
        }
    }

    /// The session ended: what is left of the mount after an abort goes too.
    pub(super) fn forget_mount(&self) {
        drop(self.mount.lock().take());
    }
}
