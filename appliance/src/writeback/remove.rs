//! One removal.

use staging::{Base, EventView, Turn};
use ufs::Version;

use super::engine::Engine;
use super::failures::Failure;
use super::reconcile::{self, Found};
use super::{content, multipart};
use crate::namespace::Installed;

/// Publishes a removal whose turn it is. The event is gone from the staged tree when this is `Ok`.
pub(super) async fn run(engine: &Engine, event: &EventView, below: &Base) -> Result<(), Failure> {
    loop {
        match engine.staging.begin_publish(event.seq, below)? {
            Turn::Now { .. } => break,
            Turn::FillFirst(files) => content::bring_here(engine, &files).await?,
            Turn::Wait | Turn::Changed => return Err(Failure::Changed),
        }
    }
    multipart::abort(engine, event.seq).await?;
    match delete(engine, below).await {
        Ok(()) => {
            engine.below.install(&event.path, Installed::Nothing).await;
            Ok(engine.staging.removed(event.seq)?)
        }
        Err(Failure::Store(ufs::Error::PreconditionFailed { .. })) => {
            Ok(engine.conflict(event.seq, &event.path).await?)
        }
        Err(failure) => Err(failure),
    }
}

async fn delete(engine: &Engine, below: &Base) -> Result<(), Failure> {
    let target = engine.below.target_of(below).ok_or(Failure::NoTarget)?;
    let _place = engine.transfers.place(target.index).await;
    let ufs = &target.store.ufs;
    if below.is_directory() {
        return match ufs.delete(&target.key, None).await {
            // A real directory in which somebody else has made something stays.
            Err(ufs::Error::Io { source, .. }) if source.raw_os_error() == Some(libc::ENOTEMPTY) => Ok(()),
            deleted => Ok(deleted?),
        };
    }
    let version = match &below.version {
        Some(version) => Version::new(version.clone()),
        None => match reconcile::look(engine, &target).await? {
            Found::Ours(meta) => meta.version,
            Found::Nothing | Found::Foreign => return Ok(()),
        },
    };
    Ok(ufs.delete(&target.key, Some(&version)).await?)
}
