//! [`Settings`]: what [`connect`](crate::connect) needs to know beside the location.

use crate::{retry, s3};

/// Settings of one store. The default serves AWS with the usual credential chain.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Endpoint and credentials; read for `s3://` locations only.
    pub s3: s3::Settings,
    /// Time limits and retries of every call.
    pub calls: retry::Limits,
}
