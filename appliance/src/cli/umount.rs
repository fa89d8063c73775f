//! `forebay umount`: through the daemon, so that it can end its work; directly when none answers.

use std::process::ExitCode;

use super::args::UmountArgs;
use super::ask;
use super::error::CliError;
use super::mount::absolute;
use crate::control::ClientError;

/// With `--lazy` the kernel is asked at once: the daemon sees the end of the session when the last file is closed.
pub(super) async fn run(args: UmountArgs) -> Result<ExitCode, CliError> {
    if !args.lazy {
        match ask::daemon_of(&args.mountpoint, &args.control).await {
            Ok(asked) => {
                asked.client.unmount(&asked.path).await?;
                return Ok(ExitCode::SUCCESS);
            }
            Err(
                error @ (CliError::NoDaemonFor { .. } | CliError::Client(ClientError::Unreachable { .. })),
            ) => {
                tracing::debug!(%error, "unmounting directly");
            }
            Err(error) => return Err(error),
        }
    }
    let mountpoint = absolute(&args.mountpoint)?;
    fuse_fast::mount::unmount(&mountpoint, args.lazy)?;
    Ok(ExitCode::SUCCESS)
}
