//! A store to test on, rooted at an empty place of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use s3_server::{Options, Server};
use tempfile::TempDir;
use ufs::s3::Credentials;
use ufs::{
    Attributes, ByteRange, Entry, Key, ListDepth, ListPage, ListRequest, Location, Meta, PutCondition,
    Settings, Ufs, Version,
};

pub(crate) const BUCKET: &str = "behaviour";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    InProcess,
    /// In process, behind TLS, with an authority that only `ca_file` names.
    Tls,
    Endpoint,
}

pub(crate) struct Fixture {
    pub(crate) kind: Kind,
    pub(crate) store: Arc<dyn Ufs>,
    pub(crate) location: Location,
    pub(crate) settings: Settings,
    _directory: Option<TempDir>,
    _server: Option<Server>,
}

impl Fixture {
    /// `None`, with the reason printed, when the store of this kind is not at hand.
    pub(crate) async fn start(kind: Kind) -> Option<Self> {
        match kind {
            Kind::File => Some(Self::file().await),
            Kind::InProcess => Some(Self::in_process(kind).await),
            Kind::Tls => Some(Self::in_process(kind).await),
            Kind::Endpoint => Self::endpoint().await,
        }
    }

    async fn file() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let location = Location::File { root: directory.path().to_owned() };
        Self::connect(Kind::File, location, Settings::default(), Some(directory), None).await
    }

    async fn in_process(kind: Kind) -> Self {
        let options = Options { tls: kind == Kind::Tls, ..Options::default() };
        let server = Server::start(options.clone()).await.expect("a free port");
        server.create_bucket(BUCKET);
        let mut settings = settings(server.endpoint(), &options.access_key, &options.secret_key);
        let directory = server.authority().map(|authority| {
            let directory = TempDir::new().expect("a temporary directory");
            let file = directory.path().join("ca.pem");
            std::fs::write(&file, authority).expect("write the authority's certificate");
            settings.s3.ca_file = Some(file);
            directory
        });
        let location = Location::S3 { bucket: BUCKET.into(), prefix: "pre fix+/".into() };
        Self::connect(kind, location, settings, directory, Some(server)).await
    }

    async fn endpoint() -> Option<Self> {
        let variable = |name: &str| std::env::var(format!("FOREBAY_TEST_S3_{name}")).ok();
        let (Some(endpoint), Some(access_key), Some(secret_key)) =
            (variable("ENDPOINT"), variable("ACCESS_KEY"), variable("SECRET_KEY"))
        else {
            println!("SKIP: FOREBAY_TEST_S3_ENDPOINT, _ACCESS_KEY and _SECRET_KEY name no S3 endpoint");
            return None;
        };
        make_bucket(&endpoint, &access_key, &secret_key).await;
        let location =
            Location::S3 { bucket: BUCKET.into(), prefix: format!("run {:016x}/", rand::random::<u64>()) };
        let settings = settings(endpoint, &access_key, &secret_key);
        Some(Self::connect(Kind::Endpoint, location, settings, None, None).await)
    }

    async fn connect(
        kind: Kind,
        location: Location,
        settings: Settings,
        directory: Option<TempDir>,
        server: Option<Server>,
    ) -> Self {
        let store = ufs::connect(&location, &settings).await.expect("the store answers");
        Self { kind, store, location, settings, _directory: directory, _server: server }
    }

    /// Leaves nothing on an endpoint that is not ours.
    pub(crate) async fn clean(self) {
        if self.kind == Kind::Endpoint {
            let keys = self.list_all("", ListDepth::Recursive).await;
            futures::stream::iter(keys)
                .for_each_concurrent(32, |key| {
                    let store = self.store.clone();
                    async move { store.delete(&self::key(&key), None).await.expect("deleted") }
                })
                .await;
        }
    }

    pub(crate) fn is_s3(&self) -> bool {
        self.kind != Kind::File
    }

    pub(crate) async fn put(&self, name: &str, data: impl Into<Bytes>) -> Meta {
        let put =
            self.store.put(&key(name), data.into(), &Attributes::default(), &PutCondition::Always).await;
        put.unwrap_or_else(|error| panic!("put {name:?}: {error:?}"))
    }

    pub(crate) async fn put_all(&self, names: impl IntoIterator<Item = String>) {
        let puts = names.into_iter().map(|name| async move { self.put(&name, name.clone()).await });
        futures::stream::iter(puts).buffer_unordered(32).collect::<Vec<_>>().await;
    }

    pub(crate) async fn read(
        &self,
        name: &str,
        version: Option<&Version>,
        start: u64,
        end: u64,
    ) -> ufs::Result<Bytes> {
        let body = self.store.read(&key(name), version, ByteRange::new(start..end)).await?;
        let chunks: Vec<Bytes> = body.try_collect().await?;
        Ok(chunks.concat().into())
    }

    pub(crate) async fn page(&self, request: &ListRequest) -> ListPage {
        self.store.list(request).await.unwrap_or_else(|error| panic!("{request:?}: {error:?}"))
    }

    pub(crate) async fn entries(&self, request: ListRequest) -> Vec<Entry> {
        let mut request = request;
        let mut entries = Vec::new();
        loop {
            let page = self.page(&request).await;
            entries.extend(page.entries);
            request.continuation = page.next;
            if request.continuation.is_none() {
                return entries;
            }
        }
    }

    pub(crate) async fn list_all(&self, directory: &str, depth: ListDepth) -> Vec<String> {
        let entries = self.entries(request(directory, depth)).await;
        entries.iter().map(|entry| entry.key().as_str().to_owned()).collect()
    }
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).expect("a short key")
}

pub(crate) fn request(directory: &str, depth: ListDepth) -> ListRequest {
    ListRequest { directory: key(directory), depth, start_after: None, continuation: None }
}

/// Bytes that differ at every offset and for every seed.
pub(crate) fn pattern(seed: u64, len: usize) -> Bytes {
    s3_server::synthetic_bytes(seed, 0..len as u64)
}

fn settings(endpoint: String, access_key: &str, secret_key: &str) -> Settings {
    let mut settings = Settings::default();
    settings.s3.endpoint = Some(endpoint);
    settings.s3.credentials = Credentials::Static {
        access_key: access_key.into(),
        secret_key: secret_key.into(),
        session_token: None,
    };
    settings.calls.attempt_timeout = Duration::from_secs(20);
    settings
}

async fn make_bucket(endpoint: &str, access_key: &str, secret_key: &str) {
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        .build();
    let created = aws_sdk_s3::Client::from_conf(config).create_bucket().bucket(BUCKET).send().await;
    // Another test may have made it; whether it is there is what `connect` finds out.
    if let Err(error) = created {
        println!("bucket {BUCKET}: {error}");
    }
}
