//! `forebay mount` and `forebay run` after their settings are known: be a daemon until a signal or the last unmount.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CliError;
use super::{background, notify};
use crate::config::Config;
use crate::control::Server;
use crate::daemon::Daemon;

/// Who wants to know that everything is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// The service manager, if there is one.
    Systemd,
    /// The process that `--background` was given to.
    Parent,
}

/// Serves until SIGINT, SIGTERM or SIGHUP, or until everything was unmounted from outside. A second signal ends the
/// process without waiting.
pub(super) fn serve(config: Config, ready: Ready) -> Result<(), CliError> {
    if ready == Ready::Parent {
        background::leave_session()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.io_threads)
        .thread_name("forebay-io")
        .enable_all()
        .build()
        .map_err(|source| CliError::Runtime { source })?;
    runtime.block_on(run(config, ready))
}

async fn run(config: Config, ready: Ready) -> Result<(), CliError> {
    let mut signals = Signals::new()?;
    // First, because it finds out at once that the same daemon runs already.
    let server = Server::bind(&config.control_socket)?;
    if config.cache.is_none() {
        tracing::warn!("there is no cache: every read goes to its store; set --cache-dir or [cache]");
    }
    let daemon = tokio::select! {
        started = Daemon::start(config) => started?,
        () = signals.next() => return Err(CliError::Interrupted),
    };
    let serving = server.serve(daemon.clone());
    tell_ready(ready)?;
    tokio::select! {
        () = daemon.wait_unmounted() => tracing::info!("everything is unmounted"),
        () = signals.next() => tracing::info!("stopping after a signal"),
    }
    notify::notify(notify::STOPPING);
    let ended = stop(&daemon, &mut signals).await;
    serving.stop().await;
    ended
}

fn tell_ready(ready: Ready) -> Result<(), CliError> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    match ready {
        Ready::Systemd => notify::notify(notify::READY),
        Ready::Parent => background::release_parent()?,
    }
    Ok(())
}

async fn stop(daemon: &Arc<Daemon>, signals: &mut Signals) -> Result<(), CliError> {
    tokio::select! {
        () = daemon.shutdown() => Ok(()),
        () = signals.next() => Err(CliError::Killed),
    }
}

/// The signals that end a daemon.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(|source| CliError::Runtime { source });
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
