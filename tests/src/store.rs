//! [`S3`]: the S3 server of the tests, with one bucket.

use std::ops::Deref;

use bytes::Bytes;
use s3_server::{Options, Server, SyntheticObject};

/// An S3 server in this process, with the bucket `data`. Its fault knobs and counters are those of the
/// [`Server`] that it derefs to.
pub struct S3 {
    server: Server,
}

impl S3 {
    /// The bucket.
    pub const BUCKET: &str = "data";

    /// Starts a server with an empty bucket.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("start a runtime of one thread");
        let server = runtime.block_on(Server::start(Options::default())).expect("start the S3 server");
        server.create_bucket(Self::BUCKET);
        Self { server }
    }

    /// URL of the bucket, or of a prefix in it.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", Self::BUCKET)
    }

    /// Puts an object into the bucket.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.server.put(Self::BUCKET, key, bytes);
    }

    /// Puts an object of computed bytes into the bucket.
    pub fn put_synthetic(&self, key: &str, seed: u64, size_bytes: u64) {
        self.server.put_synthetic(Self::BUCKET, key, SyntheticObject { seed, size_bytes });
    }

    /// Removes an object from the bucket.
    pub fn remove(&self, key: &str) {
        assert!(self.server.remove(Self::BUCKET, key), "no object {key:?}");
    }

    /// Name and value of the environment variables that give a daemon access.
    pub fn credentials(&self) -> [(&'static str, String); 2] {
        let Options { access_key, secret_key, .. } = Options::default();
        [("AWS_ACCESS_KEY_ID", access_key), ("AWS_SECRET_ACCESS_KEY", secret_key)]
    }
}

impl Deref for S3 {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
