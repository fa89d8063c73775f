//! The daemon as the control socket sees it.

use std::path::PathBuf;

use super::Daemon;
use crate::control::{ApiError, ControlTarget, UnmountReport};
use crate::namespace::RefreshReport;
use crate::status::Status;
use crate::warm;
use crate::writeback::{FlushProgress, FlushRequest};

#[async_trait::async_trait]
impl ControlTarget for Daemon {
    fn status(&self) -> Status {
        Self::status(self)
    }

    async fn warm(&self, request: warm::Request) -> Result<warm::JobId, ApiError> {
        Ok(Self::warm(self, request).await?)
    }

    fn warm_progress(&self, job: warm::JobId) -> Option<warm::Progress> {
        Self::warm_progress(self, job)
    }

    async fn sync(&self, path: PathBuf) -> Result<RefreshReport, ApiError> {
        Ok(Self::sync(self, path).await?)
    }

    async fn flush(&self, request: FlushRequest) -> Result<FlushProgress, ApiError> {
        Ok(Self::flush(self, request).await?)
    }

    async fn unmount(&self, mountpoint: PathBuf) -> Result<UnmountReport, ApiError> {
        Ok(UnmountReport { daemon_ends: Self::unmount(self, mountpoint).await? })
    }
}
