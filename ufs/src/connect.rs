//! [`connect`]: from a location to a store that is known to answer.

use std::sync::Arc;

use crate::file::FileStore;
use crate::retry::Retrying;
use crate::s3::S3Store;
use crate::{Key, ListDepth, ListRequest, Location, Result, Settings, Ufs};

/// Connects to a store and checks that its root can be listed, so that wrong credentials, a missing bucket or
/// directory and an endpoint that is down are errors here. Every call of the store has the time limits and retries of
/// `settings.calls`.
pub async fn connect(location: &Location, settings: &Settings) -> Result<Arc<dyn Ufs>> {
    match location {
        Location::File { root } => checked(FileStore::open(root).await?, settings).await,
        Location::S3 { bucket, prefix } => {
            checked(S3Store::new(bucket, prefix, &settings.s3).await?, settings).await
        }
    }
}

async fn checked(store: impl Ufs, settings: &Settings) -> Result<Arc<dyn Ufs>> {
    let store = Retrying::new(store, settings.calls.clone());
    let request = ListRequest {
        directory: Key::root(),
        depth: ListDepth::Children,
        start_after: None,
        continuation: None,
    };
    store.list(&request).await?;
    Ok(Arc::new(store))
}
