//! [`Http`]: signed requests without a body over a bounded pool of HTTP/1.1 connections.
//!
//! Reads and listings go this way and not through the SDK, because a request costs a fraction of the CPU time: see
//! `docs/decisions/004-small-object-get.md`. TLS is rustls with ring, as in the SDK.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Method, Response};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::errors::{self, Answer, Subject};
use super::roots::Roots;
use super::sign::{self, Signer};
use super::target::Target;
use super::xml;
use crate::{Error, Result};

/// Of the body of an error answer; more is not read.
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;
/// An idle connection is closed after this; most servers wait for a minute and more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// One store's connections.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    connections: Arc<Semaphore>,
    pub(super) signer: Signer,
    pub(super) target: Target,
}

/// A request for [`Http::send`].
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Encoded.
    pub(super) path: &'a str,
    /// Encoded, names in ascending order.
    pub(super) query: &'a str,
    /// Beside those that authorize it.
    pub(super) headers: HeaderMap,
    pub(super) subject: Subject<'a>,
}

/// A good answer. The connection counts as used until this, or its body, is dropped.
pub(super) struct Reply {
    pub(super) headers: HeaderMap,
    pub(super) status: u16,
    pub(super) body: Incoming,
    pub(super) connection: OwnedSemaphorePermit,
}

impl Http {
    pub(super) fn new(target: Target, signer: Signer, roots: &Roots, connections_max: usize) -> Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = tls_config(&target, roots)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(connections_max)
            .build(connector.wrap_connector(tcp));
        let connections = Arc::new(Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Self { client, connections, signer, target })
    }

    /// Waits for a place among the connections. The SDK's requests take theirs here too.
    pub(super) async fn connection(&self) -> OwnedSemaphorePermit {
        self.connections.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Sends a request and gives back an answer of status 2xx; any other is an error.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Reply> {
        let Request { method, path, query, mut headers, subject } = request;
        let host = self.target.host();
        let connection =
            self.connections.clone().acquire_owned().await.expect("the semaphore is never closed");
        self.signer.sign(&sign::Request { method: method.as_str(), host, path, query }, &mut headers).await?;
        let mut outgoing = http::Request::new(Empty::new());
        *outgoing.method_mut() = method;
        *outgoing.uri_mut() = self.target.uri(path, query)?;
        *outgoing.headers_mut() = headers;
        let answer = self
            .client
            .request(outgoing)
            .await
            .map_err(|error| errors::from_transport(&self.target, error))?;
        if !answer.status().is_success() {
            return Err(self.refusal(subject, answer).await);
        }
        let (parts, body) = answer.into_parts();
        Ok(Reply { headers: parts.headers, status: parts.status.as_u16(), body, connection })
    }

    /// Takes an error answer apart. The body may be missing (HEAD) or be no XML (a proxy's page).
    async fn refusal(&self, subject: Subject<'_>, answer: Response<Incoming>) -> Error {
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ERROR_BODY_BYTES_MAX).collect().await;
        let text = body.map(|body| body.to_bytes()).unwrap_or_default();
        let parsed = xml::parse_error(&text);
        let header =
            |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let retry_after = header(RETRY_AFTER.as_str()).as_deref().and_then(errors::retry_after);
        if matches!(parsed.code.as_str(), "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") {
            self.signer.forget_keys();
        }
        let answer = Answer {
            status: parts.status.as_u16(),
            code: parsed.code,
            message: parsed.message,
            retry_after,
            region: header("x-amz-bucket-region").or(parsed.region),
        };
        errors::from_answer(&self.target, subject, answer)
    }

    /// The whole body of an answer of at most `limit_bytes`.
    pub(super) async fn collect(&self, reply: Reply, limit_bytes: usize) -> Result<Bytes> {
        let mut body = reply.body;
        let mut collected = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| errors::from_transport(&self.target, error))?;
            let Ok(data) = frame.into_data() else { continue };
            if collected.len() + data.len() > limit_bytes {
                let reason = format!("an answer of more than {limit_bytes} bytes");
                return Err(errors::protocol(&self.target, reason));
            }
            collected.extend_from_slice(&data);
        }
        Ok(collected.freeze())
    }
}

/// Plain HTTP needs no roots.
fn tls_config(target: &Target, roots: &Roots) -> Result<ClientConfig> {
    let unusable = |error: &dyn std::fmt::Display| Error::Config {
        url: target.url.clone(),
        reason: format!(
            "no usable root certificates for {}: {error}; install ca-certificates or set ca_file",
            target.endpoint
        ),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let builder = match roots {
        Roots::File { store, .. } => builder.with_root_certificates(store.clone()),
        Roots::System if target.is_https() => {
            builder.with_native_roots().map_err(|error| unusable(&error))?
        }
        Roots::System => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}
