//! `--background`: the command starts itself again without a terminal and returns when that process is ready.
//!
//! A fork of a process with threads is not safe, so the second process is a fresh one: it gets the same arguments with
//! `--background-child`, its errors go to this terminal until it is ready, and it says `ready` through its stdout.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use super::error::CliError;

const READY: &str = "ready";

/// Starts the second process, waits until it is ready or has failed, and passes its exit code on.
pub(super) fn start() -> Result<ExitCode, CliError> {
    run_child().map_err(|source| CliError::Background { source })
}

fn run_child() -> io::Result<ExitCode> {
    let args = std::env::args_os().skip(1).map(|arg| match arg.to_str() {
        Some("--background") => "--background-child".into(),
        _ => arg,
    });
    let mut child = Command::new("/proc/self/exe")
        .arg0("forebay")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.trim_end() == READY {
        return Ok(ExitCode::SUCCESS);
    }
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// In the second process, before anything else: leaves the terminal's session, so that closing it ends nothing.
pub(super) fn leave_session() -> Result<(), CliError> {
    nix::unistd::setsid().map(drop).map_err(|errno| CliError::Background { source: errno.into() })
}

/// In the second process, once everything is mounted: lets the first one return, and lets go of the terminal.
pub(super) fn release_parent() -> Result<(), CliError> {
    detach().map_err(|source| CliError::Background { source })
}

fn detach() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    std::env::set_current_dir("/")?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{READY}")?;
    stdout.flush()?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}
