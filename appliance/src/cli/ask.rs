//! Finding the daemon that a command is about, and the commands that are one question to it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{ControlArgs, PathArgs};
use super::error::CliError;
use super::mount::absolute;
use super::output;
use crate::config::runtime_dir;
use crate::control::{Client, find};

/// A daemon and the path as that daemon knows it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) client: Client,
    pub(super) path: PathBuf,
}

/// The daemon to ask about a path: the one behind `--control-socket`, or the one whose mount holds the path.
pub(super) async fn daemon_of(path: &Path, control: &ControlArgs) -> Result<Asked, CliError> {
    let path = absolute(path)?;
    if let Some(socket) = &control.control_socket {
        return Ok(Asked { client: Client::new(absolute(socket)?), path });
    }
    let directory = runtime_dir();
    let daemons = find::daemons(&directory).await;
    if let Some((found, _)) = daemons.holding(&path) {
        return Ok(Asked { client: found.client.clone(), path });
    }
    // Only now is the file system asked for links: the path may lie in a mount that hangs.
    if let Ok(real) = path.canonicalize()
        && let Some((found, _)) = daemons.holding(&real)
    {
        return Ok(Asked { client: found.client.clone(), path: real });
    }
    match daemons.failed.into_iter().next() {
        Some(error) => Err(error.into()),
        None => Err(CliError::NoDaemonFor { path, directory }),
    }
}

/// `forebay sync`.
pub(super) async fn sync(args: PathArgs) -> Result<ExitCode, CliError> {
    let asked = daemon_of(&args.path, &args.control).await?;
    let report = asked.client.sync(&asked.path).await?;
    output::print(&format!(
        "{} objects in {} directories: {} added, {} changed, {} removed, {} hidden\n",
        report.objects, report.directories, report.added, report.changed, report.removed, report.hidden
    ))?;
    Ok(ExitCode::SUCCESS)
}
