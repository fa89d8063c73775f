//! Logs: to stderr, or to syslog when the daemon has no terminal.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::args::{LogArgs, LogFormat};
use super::error::CliError;
use super::syslog::Syslog;

/// The AWS SDK tells every credential source that it tried and missed; the one line of our own error has the cause.
const DAEMON_LEVELS: &str = "info,aws_config=error";
const COMMAND_LEVELS: &str = "warn,aws_config=error";

/// Starts logging. `RUST_LOG` holds where no level was given; the default is quieter for commands that print.
pub(super) fn start(args: &LogArgs, is_daemon: bool, in_background: bool) -> Result<(), CliError> {
    let fallback = if is_daemon { DAEMON_LEVELS } else { COMMAND_LEVELS };
    let directives =
        args.log_level.clone().or_else(|| std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty()));
    let filter = EnvFilter::builder()
        .parse(directives.as_deref().unwrap_or(fallback))
        .map_err(|source| CliError::LogLevel { source })?;
    let writer = match in_background.then(Syslog::connect).flatten() {
        Some(syslog) => BoxMakeWriter::new(syslog),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    let started = match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // Only a second start in one process fails, as in tests; the first one's settings hold.
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "a thread of forebay panicked; please report this");
    }));
    Ok(())
}
