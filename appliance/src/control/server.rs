//! [`Server`]: accepts connections on the socket, a bounded number at a time, one request each.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::socket::{self, BoundSocket, SocketError, SocketFile};
use super::{ControlTarget, routes};

/// Connections that are served at once; more wait in the socket's backlog.
const CONNECTIONS_MAX: usize = 64;
/// A request's head must be here after this long.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Requests in flight may end within this time when the server stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// Pause after accept(2) failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A control socket that is bound and, once [`serve`](Self::serve) was called, answers.
#[derive(Debug)]
pub struct Server {
    socket: BoundSocket,
}

/// A serving socket; [`stop`](Self::stop) ends it and removes the file.
#[derive(Debug)]
pub struct Serving {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _file: SocketFile,
}

impl Server {
    /// Binds the socket with mode 0660 in a directory with mode 0755, replacing the socket of a dead daemon. Must run
    /// inside a tokio runtime.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        Ok(Self { socket: socket::bind(path)? })
    }

    /// Begins to answer.
    pub fn serve(self, target: Arc<dyn ControlTarget>) -> Serving {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept_loop(self.socket.listener, routes::router(target), stopped));
        Serving { stop, task, _file: self.socket.file }
    }
}

impl Serving {
    /// Takes no more requests, gives those in flight two seconds to end, and removes the socket.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the control server ended badly");
        }
    }
}

async fn accept_loop(listener: UnixListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, slot)
        };
        tokio::select! {
            _ = stopped.changed() => break,
            Some(ended) = connections.join_next() => note_end(ended),
            (accepted, slot) = accepted => match accepted {
                Ok((stream, _)) => {
                    let connection = serve_one(stream, router.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIME_MAX, drained).await.is_err() {
        tracing::warn!(requests = connections.len(), "control requests were cut off by the shutdown");
    }
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a control request ended badly");
    }
}

async fn serve_one(stream: UnixStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a control connection broke");
    }
}
