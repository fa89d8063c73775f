//! One accepted connection: requests are counted and judged here, before the S3 service sees them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::S3Service;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::body::ResponseBody;
use crate::faults::{Answer, BodyFault, Faults, Verdict};
use crate::stats::{Counters, Operation};

/// What connections share.
pub(crate) struct Shared {
    pub(crate) s3: S3Service,
    pub(crate) faults: Faults,
    pub(crate) counters: Arc<Counters>,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves a connection until the client leaves, a fault resets it or `stop` says so.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, stop: watch::Receiver<bool>) {
    shared.counters.connections.fetch_add(1, Ordering::Relaxed);
    let reset = Arc::new(AtomicBool::new(shared.faults.is_down()));
    let wire = Wire { stream, reset: Arc::clone(&reset) };
    if reset.load(Ordering::Relaxed) || wire.stream.set_nodelay(true).is_err() {
        return;
    }
    match &shared.tls {
        None => serve_http(&shared, &reset, wire, stop).await,
        Some(tls) => match tls.accept(wire).await {
            Ok(stream) => serve_http(&shared, &reset, stream, stop).await,
            Err(error) => tracing::debug!(%error, "no TLS"),
        },
    }
}

async fn serve_http(
    shared: &Arc<Shared>,
    reset: &Arc<AtomicBool>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(|request| answer(Arc::clone(shared), Arc::clone(reset), request));
    let mut http = hyper::server::conn::http1::Builder::new();
    // an idle connection stays open: whether a client survives its closing is for the fault knobs to ask
    http.timer(TokioTimer::new()).header_read_timeout(None).half_close(false);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

async fn answer(
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
    request: http::Request<Incoming>,
) -> io::Result<Response<ResponseBody>> {
    let (parts, body) = request.into_parts();
    let operation = Operation::of(&parts);
    shared.counters.count(operation);
    shared.counters.received(content_length(&parts));
    let verdict = shared.faults.judge(operation);
    if !verdict.delay.is_zero() {
        tokio::time::sleep(verdict.delay).await;
    }
    if let Some(spoiled) = spoil(&shared, &reset, verdict)? {
        return Ok(spoiled);
    }
    let request = http::Request::from_parts(parts, s3s::Body::from(body));
    let response = shared.s3.call(request).await.map_err(|error| io::Error::other(format!("{error:?}")))?;
    let counters = Arc::clone(&shared.counters);
    Ok(response.map(|body| ResponseBody::new(body, counters, verdict.body)))
}

fn content_length(request: &http::request::Parts) -> u64 {
    let length = request.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// The answer of a fault instead of S3's; an error makes hyper drop the connection.
fn spoil(
    shared: &Shared,
    reset: &AtomicBool,
    verdict: Verdict,
) -> io::Result<Option<Response<ResponseBody>>> {
    let (status, code) = match verdict.answer {
        Answer::Serve => return Ok(None),
        Answer::SlowDown => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Answer::InternalError => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        Answer::AccessDenied => (StatusCode::FORBIDDEN, "AccessDenied"),
        Answer::QuotaExceeded => (StatusCode::FORBIDDEN, "QuotaExceeded"),
        Answer::Reset => {
            shared.counters.faults.fetch_add(1, Ordering::Relaxed);
            reset.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
    };
    shared.counters.faults.fetch_add(1, Ordering::Relaxed);
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>injected</Message></Error>"
    );
    let body = ResponseBody::new(xml.into(), Arc::clone(&shared.counters), BodyFault::default());
    let response =
        Response::builder().status(status).header(header::CONTENT_TYPE, "application/xml").body(body);
    response.map(Some).map_err(io::Error::other)
}

/// The socket; with `reset` set, dropping it sends RST instead of FIN.
struct Wire {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "a connection is closed instead of reset");
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
