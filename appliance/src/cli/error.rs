//! [`CliError`]: how a command can end badly, and with which exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::control::{ClientError, SocketError};
use crate::daemon::StartError;

/// A command failed. Every text is one line, `CAUSE; FIX`.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("--log-level: {source}; such as info, or forebay=debug,info")]
    LogLevel {
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("{path:?} cannot be made absolute ({source}); name it from /")]
    Path {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path:?}: {source}; check --manifest")]
    Manifest {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path:?} has no path in it; write one a line, or check --manifest")]
    ManifestEmpty { path: PathBuf },
    #[error("{paths} paths do not fit into one request of {limit}; use --wait, which sends them in parts")]
    ManifestNeedsWait { paths: usize, limit: usize },
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("stopped by a signal before the mounts were ready; start again")]
    Interrupted,
    #[error("stopped by a second signal before everything was unmounted; see forebay umount --lazy")]
    Killed,
    #[error("the operating system gives no threads or timers ({source}); check ulimit -u and -n")]
    Runtime {
        #[source]
        source: std::io::Error,
    },
    #[error("the background process cannot be started ({source}); leave out --background")]
    Background {
        #[source]
        source: std::io::Error,
    },
    #[error(
        "{path:?}: {changes} changes with {bytes} are not in the store after {waited}: {reason}; they stay on this host"
    )]
    NotFlushed { path: PathBuf, changes: u64, bytes: String, waited: String, reason: String },
    #[error(transparent)]
    Client(ClientError),
    #[error(
        "{path:?} is in no mount of a running daemon (looked in {directory:?}); see forebay status, or set --control-socket"
    )]
    NoDaemonFor { path: PathBuf, directory: PathBuf },
    #[error(
        "no daemon answers (looked in {directory:?}); start one with forebay mount or run, or set --control-socket"
    )]
    NoDaemon { directory: PathBuf },
    #[error(transparent)]
    Unmount(#[from] fuse_fast::mount::MountError),
    #[error("stdout cannot be written ({source}); check where it leads")]
    Output {
        #[source]
        source: std::io::Error,
    },
    #[error("the answer cannot be shown as JSON ({source}); leave out --json")]
    Json {
        #[source]
        source: serde_json::Error,
    },
}

impl CliError {
    /// 1 failed, 2 wrong use or configuration, 3 no daemon.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Config(_)
            | Self::LogLevel { .. }
            | Self::Path { .. }
            | Self::Manifest { .. }
            | Self::ManifestEmpty { .. }
            | Self::ManifestNeedsWait { .. } => 2,
            Self::Client(ClientError::Unreachable { .. })
            | Self::NoDaemonFor { .. }
            | Self::NoDaemon { .. } => 3,
            Self::Socket(_)
            | Self::Start(_)
            | Self::Interrupted
            | Self::Killed
            | Self::Runtime { .. }
            | Self::Background { .. }
            | Self::NotFlushed { .. }
            | Self::Client(_)
            | Self::Unmount(_)
            | Self::Output { .. }
            | Self::Json { .. } => 1,
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// clap's message in one line: its first paragraph, its tips, and where to read on.
pub(super) fn usage_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut paragraphs = text.split("\n\n");
    let words = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = words(paragraphs.next().unwrap_or(text));
    for tip in paragraphs.filter_map(|paragraph| paragraph.trim_start().strip_prefix("tip: ")) {
        line.push_str("; ");
        line.push_str(&words(tip));
    }
    line.push_str("; see forebay --help");
    line
}
