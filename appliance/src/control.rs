//! The control socket: how `forebay status`, `warm`, `sync` and `umount` talk to a daemon.
//!
//! HTTP/1.1 with JSON over a unix socket, so that `curl --unix-socket` works too (docs/decisions/006-control-socket.md):
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /v1/status` | [`crate::status::Status`] |
//! | `POST /v1/warm` with [`crate::warm::Request`] | [`crate::warm::JobId`] |
//! | `GET /v1/warm/{id}` | [`crate::warm::Progress`] |
//! | `POST /v1/sync` with [`api::PathRequest`] | [`api::SyncReport`] |
//! | `POST /v1/flush` with [`crate::writeback::FlushRequest`] | [`crate::writeback::FlushProgress`] |
//! | `POST /v1/unmount` with [`api::PathRequest`] | [`api::UnmountReport`] |
//!
//! A refusal is an [`ApiError`] with a fitting HTTP status. [`Server`] serves a [`ControlTarget`]: the daemon, or a
//! stand-in in tests. [`Client`] talks to one socket; [`find`] looks through a directory of sockets for the daemon that
//! has a path. Who may open the socket may control the daemon: mode 0660, no other check.

pub mod api;
pub mod find;

mod client;
mod peer;
mod routes;
mod server;
mod socket;
#[cfg(test)]
mod tests;

pub use api::{ApiError, ApiErrorKind, UnmountReport};
pub use client::{Client, ClientError};
pub use server::{Server, Serving};
pub use socket::SocketError;

use std::path::PathBuf;
use std::time::Duration;

use crate::namespace::RefreshReport;
use crate::status::Status;
use crate::warm;
use crate::writeback::{FlushProgress, FlushRequest};

/// The longest body of a request.
pub const REQUEST_BYTES_MAX: usize = 16 << 20;
/// The longest time that a `sync` may take: it lists a whole subtree.
const SYNC_TIME_MAX: Duration = Duration::from_secs(3600);

/// What the socket controls.
#[async_trait::async_trait]
pub trait ControlTarget: Send + Sync + 'static {
    /// A snapshot of all figures.
    fn status(&self) -> Status;

    /// Begins a warm-up.
    async fn warm(&self, request: warm::Request) -> Result<warm::JobId, ApiError>;

    /// How far a warm-up is; `None` for one that the daemon does not know.
    fn warm_progress(&self, job: warm::JobId) -> Option<warm::Progress>;

    /// Asks the stores again for everything at and below an absolute path, and tells the kernel.
    async fn sync(&self, path: PathBuf) -> Result<RefreshReport, ApiError>;

    /// Sends what is at and below a path to its store, and says how far that is.
    async fn flush(&self, request: FlushRequest) -> Result<FlushProgress, ApiError>;

    /// Unmounts one mountpoint.
    async fn unmount(&self, mountpoint: PathBuf) -> Result<UnmountReport, ApiError>;
}
