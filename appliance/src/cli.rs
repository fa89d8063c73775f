//! The command line: parses, runs one command, and turns its end into an exit code.
//!
//! [`args`] holds every clap type; nothing outside of this module sees one. `mount` and `run` become a daemon
//! ([`serve`]); `status`, `warm`, `sync`, `flush` and `umount` ask one through [`crate::control`]; `doctor` looks at the host.
//!
//! What a command has to say goes to stdout, logs and errors to stderr, so that `--json` output is never mixed. An
//! error is one line, `forebay: CAUSE; FIX`.

mod args;
mod ask;
mod background;
mod doctor;
mod error;
mod flush;
mod log;
mod mount;
mod notify;
mod output;
mod progress;
mod serve;
mod status;
mod syslog;
#[cfg(test)]
mod tests;
mod umount;
mod warm;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::Parser;

use crate::config::Config;
use args::{Cli, Command};
use error::CliError;

/// Runs the command that the arguments name. The exit codes are those of docs/CONFIGURATION.md: 0 done, 1 failed,
/// 2 wrong use or configuration, 3 no daemon.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error),
    };
    match execute(cli) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            error.exit_code()
        }
    }
}

/// `--help` and `--version` end up here too, and go to stdout.
fn not_parsed(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match output::print(&error.render().to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => error.exit_code(),
        };
    }
    let error = CliError::Usage(error::usage_line(error));
    output::complain(&error);
    error.exit_code()
}

fn execute(cli: Cli) -> Result<ExitCode, CliError> {
    let is_daemon = matches!(cli.command, Command::Mount(_) | Command::Run(_));
    let in_background = matches!(&cli.command, Command::Mount(args) if args.background_child);
    log::start(&cli.log, is_daemon, in_background)?;
    match cli.command {
        Command::Mount(args) if args.background => background::start(),
        Command::Mount(args) => {
            let ready = if args.background_child { serve::Ready::Parent } else { serve::Ready::Systemd };
            serve::serve(mount::config(args)?, ready).map(|()| ExitCode::SUCCESS)
        }
        Command::Run(args) => {
            serve::serve(Config::load(&args.config)?, serve::Ready::Systemd).map(|()| ExitCode::SUCCESS)
        }
        Command::Status(args) => block_on(status::run(args)),
        Command::Warm(args) => block_on(warm::run(args)),
        Command::Sync(args) => block_on(ask::sync(args)),
        Command::Flush(args) => block_on(flush::run(args)),
        Command::Umount(args) => block_on(umount::run(args)),
        Command::Doctor(args) => block_on(doctor::run(args)),
    }
}

/// Runs a short command on this thread.
fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| CliError::Runtime { source })?.block_on(command)
}
