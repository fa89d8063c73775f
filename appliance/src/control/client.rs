//! [`Client`]: one request after the other to one daemon.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::api::{ApiError, PathRequest, SyncReport, UnmountReport};
use super::peer::Peer;
use super::{REQUEST_BYTES_MAX, SYNC_TIME_MAX};
use crate::status::Status;
use crate::warm::{self, JobId, Progress};
use crate::writeback::{FlushProgress, FlushRequest};

/// The longest answer that is taken in.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// A status must be here after this long, so that one hung daemon does not hold up a look at all of them.
const STATUS_TIME_MAX: Duration = Duration::from_secs(5);
/// Longer than the server's own limit, so that its words arrive.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(75);
/// Time for a daemon without mounts to write its last slabs and to end.
const END_TIME_MAX: Duration = Duration::from_secs(60);

/// Why a request got no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers.
    #[error(
        "no daemon answers on {socket:?} ({source}); start one with forebay mount or run, or set --control-socket"
    )]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The daemon said no.
    #[error(transparent)]
    Refused(#[from] ApiError),
    /// No answer in time.
    #[error("{socket:?}: the daemon gave no answer within {limit:?}; see its log")]
    Late {
        /// The socket.
        socket: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// The last mount is gone and the daemon is not.
    #[error("{socket:?}: unmounted, but the daemon has not ended within {limit:?}; see its log")]
    StillEnding {
        /// The socket.
        socket: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("{socket:?}: the connection to the daemon broke ({source}); see its log")]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not what this version of the command knows.
    #[error("{socket:?}: unknown answer ({source}); use the forebay command of the daemon's version")]
    Unknown {
        /// The socket.
        socket: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The request is longer than a daemon takes.
    #[error("the request has {bytes} bytes, more than the {limit} that a daemon takes; name fewer paths", limit = REQUEST_BYTES_MAX)]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
}

/// Talks to the daemon behind one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    socket: PathBuf,
    status_time_max: Duration,
}

impl Client {
    /// A client of a socket. Connects anew for every request.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), status_time_max: STATUS_TIME_MAX }
    }

    /// The same client with another limit for `status`.
    #[cfg(test)]
    pub(super) fn with_status_time_max(self, status_time_max: Duration) -> Self {
        Self { status_time_max, ..self }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The daemon's figures.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.call::<(), _>(Method::GET, "/v1/status", None, self.status_time_max).await
    }

    /// Begins a warm-up.
    pub async fn warm(&self, request: &warm::Request) -> Result<JobId, ClientError> {
        self.call(Method::POST, "/v1/warm", Some(request), ANSWER_TIME_MAX).await
    }

    /// How far a warm-up is.
    pub async fn warm_progress(&self, job: JobId) -> Result<Progress, ClientError> {
        self.call::<(), _>(Method::GET, &format!("/v1/warm/{}", job.0), None, ANSWER_TIME_MAX).await
    }

    /// Refreshes everything at and below a path.
    pub async fn sync(&self, path: &Path) -> Result<SyncReport, ClientError> {
        let request = PathRequest { path: path.to_owned() };
        self.call(Method::POST, "/v1/sync", Some(&request), SYNC_TIME_MAX + Duration::from_secs(15)).await
    }

    /// Sends what is at and below a path to its store, and says how far that is.
    pub async fn flush(&self, request: &FlushRequest) -> Result<FlushProgress, ClientError> {
        self.call(Method::POST, "/v1/flush", Some(request), ANSWER_TIME_MAX).await
    }

    /// Unmounts a mountpoint. When it was the daemon's last one, returns after the daemon has ended: its socket and its
    /// cache can be used again.
    pub async fn unmount(&self, mountpoint: &Path) -> Result<(), ClientError> {
        let daemon = Peer::of(&self.connect().await?);
        let request = PathRequest { path: mountpoint.to_owned() };
        let report: UnmountReport =
            self.call(Method::POST, "/v1/unmount", Some(&request), ANSWER_TIME_MAX).await?;
        match daemon {
            Ok(daemon) if report.daemon_ends => self.wait_for_end(daemon).await,
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "the daemon's process is out of sight: its end is not awaited");
                Ok(())
            }
        }
    }

    async fn wait_for_end(&self, daemon: Peer) -> Result<(), ClientError> {
        let waited = tokio::task::spawn_blocking(move || daemon.wait_for_end(END_TIME_MAX)).await;
        let has_ended = waited.map_err(|error| self.broken(error))?.map_err(|error| self.broken(error))?;
        if has_ended {
            return Ok(());
        }
        Err(ClientError::StillEnding { socket: self.socket.clone(), limit: END_TIME_MAX })
    }

    async fn call<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        limit: Duration,
    ) -> Result<T, ClientError> {
        let unknown = |source| ClientError::Unknown { socket: self.socket.clone(), source };
        let body = body.map(serde_json::to_vec).transpose().map_err(unknown)?.unwrap_or_default();
        if body.len() > REQUEST_BYTES_MAX {
            return Err(ClientError::TooLarge { bytes: body.len() });
        }
        let exchange = self.exchange(method, path, body.into());
        let (status, answer) = tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| ClientError::Late { socket: self.socket.clone(), limit })??;
        if status.is_success() {
            return serde_json::from_slice(&answer).map_err(unknown);
        }
        Err(serde_json::from_slice::<ApiError>(&answer).map_or_else(unknown, ClientError::Refused))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = self.connect().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "forebay")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(error))?;
        let answered = async {
            let answer = sender.send_request(request).await.map_err(|error| self.broken(error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| self.broken(error))?.to_bytes()))
        };
        tokio::pin!(answered);
        tokio::select! {
            result = &mut answered => result,
            driven = connection => match driven {
                // The connection may end just before the answer is looked at.
                Ok(()) => answered.await,
                Err(error) => Err(self.broken(error)),
            },
        }
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        let unreachable = |source| ClientError::Unreachable { socket: self.socket.clone(), source };
        tokio::time::timeout(CONNECT_TIME_MAX, UnixStream::connect(&self.socket))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(unreachable)
    }

    fn broken(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Broken { socket: self.socket.clone(), source: source.into() }
    }
}
