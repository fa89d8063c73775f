//! The server in process: listener, threads, and the handle that tests hold.
//!
//! Connections are tasks of a runtime of the server's own (so that a test may block its thread), or of the caller's.

mod body;
mod connection;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::access::{OneKey, SignedUnless};
use crate::api::Api;
use crate::faults::Faults;
use crate::stats::Stats;
use crate::store::conditions::Conditions;
use crate::store::content::Content;
use crate::store::version::{Attributes, EntityTag, Version};
use crate::store::{Change, Store};
use crate::synthetic::SyntheticObject;
use connection::Shared;
use tls::Authority;

/// Connections served at a time; further ones wait in the listen queue.
const CONNECTIONS_MAX: usize = 4096;
/// How long `shutdown` lets requests in progress end.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// How to run a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The one access key that may sign.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Requests without a signature are served too.
    pub anonymous: bool,
    /// Threads of the server's own runtime; 0 runs it on the caller's.
    pub threads: usize,
    /// Speaks TLS, with a certificate of an authority that is made for this server: see [`Server::authority`].
    pub tls: bool,
    /// Least size of a part but the last at CompleteMultipartUpload; S3's is 5 MiB.
    pub part_bytes_min: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key: "testaccess".to_owned(),
            secret_key: "testsecret".to_owned(),
            anonymous: false,
            threads: 1,
            tls: false,
            part_bytes_min: 5 << 20,
        }
    }
}

/// A running server. Dropping it ends it at once; [`Server::shutdown`] lets requests in progress end.
pub struct Server {
    shared: Arc<Shared>,
    store: Arc<Store>,
    address: SocketAddr,
    authority: Option<Box<Authority>>,
    stop: watch::Sender<bool>,
    accepting: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl Server {
    /// Binds the address and begins to serve an empty store. Fails when the address is taken or threads cannot be had.
    pub async fn start(options: Options) -> anyhow::Result<Server> {
        let store = Arc::new(Store::default());
        let authority = options.tls.then(Authority::new).transpose()?.map(Box::new);
        let shared = Arc::new(Shared {
            s3: s3_service(&options, &store),
            faults: Faults::default(),
            counters: Arc::default(),
            tls: authority.as_deref().map(Authority::acceptor).transpose()?,
        });
        let runtime = own_runtime(options.threads)?;
        let handle = runtime.as_ref().map_or_else(Handle::current, |own| own.handle().clone());
        let bound = handle.spawn(TcpListener::bind(options.listen)).await?;
        let listener = bound.with_context(|| format!("listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let accepting = handle.spawn(accept(listener, Arc::clone(&shared), stopped));
        Ok(Server { shared, store, address, authority, stop, accepting: Some(accepting), runtime })
    }

    /// The URL to give to clients, with path-style addressing.
    pub fn endpoint(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate of the authority that signed this server's, in PEM; `None` without TLS.
    pub fn authority(&self) -> Option<String> {
        self.authority.as_deref().map(Authority::pem)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a bucket, if there is none of this name.
    pub fn create_bucket(&self, name: &str) {
        self.store.bucket_or_new(name);
    }

    /// Stores an object without HTTP, in a bucket that is made if need be. Returns its ETag without quotes.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let tag = EntityTag::of_bytes(&bytes);
        self.insert(bucket, key, Content::from(bytes), tag)
    }

    /// Stores an object whose bytes are made while they are served. Returns its ETag without quotes.
    pub fn put_synthetic(&self, bucket: &str, key: &str, object: SyntheticObject) -> String {
        self.insert(bucket, key, Content::from(object), EntityTag::of_synthetic(object))
    }

    /// Removes an object; says whether there was one.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        let no_conditions = Conditions::default();
        self.store.bucket(bucket).and_then(|bucket| bucket.remove(key, &no_conditions)).unwrap_or(false)
    }

    /// The stored bytes of an object, without HTTP; `None` if there is none.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let version = self.store.bucket(bucket).and_then(|bucket| bucket.get(key)).ok()?;
        Some(version.content.fold(Vec::new(), |all, chunk| all.extend_from_slice(chunk)).into())
    }

    /// What became visible or was removed since the last call, in order. Recording begins with the first call.
    pub fn take_changes(&self) -> Vec<Change> {
        self.store.take_changes()
    }

    /// Unfinished multipart uploads of a bucket, as (key, upload id).
    pub fn uploads(&self, bucket: &str) -> Vec<(String, String)> {
        self.store.uploads.lock().of_bucket(bucket)
    }

    /// Number of objects in a bucket; 0 if there is no such bucket.
    pub fn object_count(&self, bucket: &str) -> usize {
        self.store.bucket(bucket).map_or(0, |bucket| bucket.len())
    }

    /// The fault knobs.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What has been asked and sent since the start or the last reset.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// Counts from zero again.
    pub fn reset_stats(&self) {
        self.shared.counters.reset();
    }

    /// Stops listening, lets requests in progress end within a second, and ends the threads.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(accepting) = self.accepting.take()
            && let Err(error) = accepting.await
        {
            tracing::warn!(%error, "the S3 server's accept task failed");
        }
    }

    fn insert(&self, bucket: &str, key: &str, content: Content, tag: EntityTag) -> String {
        let version = Version::new(content, tag, Attributes::default());
        let inserted = self.store.bucket_or_new(bucket).insert(key, version, &Conditions::default());
        inserted.expect("an insert without conditions has none that fails");
        tag.to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        // A runtime must not be waited for within another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn s3_service(options: &Options, store: &Arc<Store>) -> s3s::service::S3Service {
    let mut builder = S3ServiceBuilder::new(Api::new(Arc::clone(store), options.part_bytes_min));
    builder.set_auth(OneKey::new(&options.access_key, &options.secret_key));
    builder.set_access(SignedUnless { anonymous: options.anonymous });
    builder.build()
}

fn own_runtime(threads: usize) -> anyhow::Result<Option<Runtime>> {
    if threads == 0 {
        return Ok(None);
    }
    let mut builder = Builder::new_multi_thread();
    let built = builder.worker_threads(threads).thread_name("s3-server").enable_all().build();
    built.map(Some).context("start the S3 server's threads")
}

/// Accepts until told to stop, then waits for the connections, but not for ever.
async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let stopped = stop.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection::serve(Arc::clone(&shared), stream, stopped.clone()));
                }
                // out of descriptors, or the client is gone already; neither ends the server
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stop.changed() => break,
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIME, drained).await.is_err() {
        connections.shutdown().await;
    }
}
