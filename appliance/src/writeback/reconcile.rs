//! The store has something else than expected: ours from a try whose answer was lost, nothing, or somebody else's.

use ufs::PutCondition;

use super::below::Target;
use super::engine::Engine;
use super::failures::Failure;
use super::put::Put;

/// What is at a place.
pub(super) enum Found {
    /// An object that this mount put there.
    Ours(ufs::Meta),
    /// Nothing.
    Nothing,
    /// An object that somebody else put there.
    Foreign,
}

/// Looks who made what is at a place. Events of one place are published in their order, so what is ours is older than
/// what is about to be sent.
pub(super) async fn look(engine: &Engine, target: &Target) -> Result<Found, Failure> {
    match target.store.ufs.describe(&target.key).await {
        Ok((meta, attributes)) if attributes.write_id == Some(engine.write_id(target)) => {
            Ok(Found::Ours(meta))
        }
        Ok(_) => Ok(Found::Foreign),
        Err(ufs::Error::NotFound { .. }) => Ok(Found::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// The condition under which a put overwrites nothing of somebody else.
pub(super) async fn condition(engine: &Engine, put: &Put) -> Result<PutCondition, Failure> {
    match look(engine, &put.target).await? {
        Found::Ours(meta) => Ok(PutCondition::IfVersion(meta.version)),
        Found::Nothing => Ok(PutCondition::IfAbsent),
        Found::Foreign => Err(Failure::Store(ufs::Error::PreconditionFailed {
            url: put.target.store.ufs.url().to_owned(),
            key: put.target.key.as_str().to_owned(),
        })),
    }
}
