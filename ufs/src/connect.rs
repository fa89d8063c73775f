//! [`connect`]: from a location to a store that is known to answer.

use std::sync::Arc;

use crate::{Error, Location, Result, Settings, Ufs};

/// Connects to a store and checks that its root can be listed, so that wrong credentials, a missing bucket or
/// directory and an endpoint that is down are errors here. Every call of the store has the time limits and retries of
/// `settings.calls`.
pub async fn connect(location: &Location, _settings: &Settings) -> Result<Arc<dyn Ufs>> {
    Err(Error::Unsupported { url: location.to_string(), operation: "connect" })
}
