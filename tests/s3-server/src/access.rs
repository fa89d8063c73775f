//! Who may ask: one key that signs with SigV4, and optionally everybody.

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

/// The one key pair of a server.
pub(crate) struct OneKey {
    access_key: String,
    secret_key: SecretKey,
}

impl OneKey {
    pub(crate) fn new(access_key: &str, secret_key: &str) -> Self {
        Self { access_key: access_key.to_owned(), secret_key: SecretKey::from(secret_key.to_owned()) }
    }
}

#[async_trait::async_trait]
impl S3Auth for OneKey {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access_key {
            return Ok(self.secret_key.clone());
        }
        Err(s3_error!(
            InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records."
        ))
    }
}

/// Refuses requests without a signature, unless the server is open to all.
pub(crate) struct SignedUnless {
    pub(crate) anonymous: bool,
}

#[async_trait::async_trait]
impl S3Access for SignedUnless {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if self.anonymous || context.credentials().is_some() {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "Access Denied"))
    }
}
