//! [`Worker`]: the loop of a session thread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use nix::errno::Errno as OsErrno;

use super::SessionError;
use super::channel::Channel;
use super::dispatch::{Next, Origin, serve};
use crate::FileSystem;
use crate::decode::Request;
use crate::notify;
use crate::reply::Responder;
use crate::sys::buffer::PageBuffer;
use crate::sys::device;

pub(super) struct Worker<F: FileSystem> {
    pub(super) fs: Arc<F>,
    pub(super) channel: Arc<Channel>,
    pub(super) index: usize,
    pub(super) buffer_bytes: usize,
}

impl<F: FileSystem> Worker<F> {
    /// Serves until the connection ends. Tells `ready` once whether it serves.
    pub(super) fn run(self, ready: Sender<Result<(), SessionError>>) -> Result<(), SessionError> {
        let state = self.state();
        let (report, state) = match state {
            Ok(state) => (Ok(()), Some(state)),
            Err(error) => (Err(error), None),
        };
        if ready.send(report).is_err() {
            // The start was given up: the connection ends, and so does the loop.
            tracing::debug!(thread = self.index, "nobody waits for the start");
        }
        // Whoever starts the session waits until every sender is gone.
        drop(ready);
        state.map_or(Ok(()), |state| self.serve_all(state))
    }

    fn state(&self) -> Result<F::Worker, SessionError> {
        self.fs.worker(self.index).map_err(|source| SessionError::Worker { index: self.index, source })
    }

    fn serve_all(&self, mut state: F::Worker) -> Result<(), SessionError> {
        let _on_session_thread = notify::mark_session_thread();
        let mut buffer = PageBuffer::new(self.buffer_bytes);
        let responder: Arc<dyn Responder> = Arc::<Channel>::clone(&self.channel);
        let origin = Origin { responder: &responder, counters: self.channel.counters() };
        while let Some(length) = self.read(&mut buffer)? {
            let request = Request::decode(&buffer[..length]);
            match catch_unwind(AssertUnwindSafe(|| serve(&*self.fs, &mut state, &origin, request))) {
                Ok(Next::Go) => {}
                Ok(Next::End) => return Ok(()),
                // Its reply was dropped by the unwinding, which answered EIO.
                Err(_) => {
                    self.channel.counters().panics.add(1);
                    tracing::error!(thread = self.index, "a request panicked in the file system");
                    state = self.state()?;
                }
            }
        }
        Ok(())
    }

    /// The next request; `None` at the end of the connection.
    fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, SessionError> {
        loop {
            match device::read(self.channel.fd(), buffer) {
                Ok(0) | Err(OsErrno::ENODEV | OsErrno::ECONNABORTED) => return Ok(None),
                Ok(length) => return Ok(Some(length)),
                // A request that was interrupted before it was read, or a signal: there is none for us.
                Err(OsErrno::ENOENT | OsErrno::EINTR | OsErrno::EAGAIN) => {}
                Err(errno) => return Err(SessionError::Device(io::Error::from(errno))),
            }
        }
    }
}
