//! The requests and their answers; sizes and times are bounded here, in front of every handler.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::api::{ApiError, ApiErrorKind, PathRequest, SyncReport, UnmountReport};
use super::{ControlTarget, REQUEST_BYTES_MAX, SYNC_TIME_MAX};
use crate::status::Status;
use crate::warm::{self, JobId, Progress};
use crate::writeback::{FlushProgress, FlushRequest};

/// A body must be here after this long.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Every request but `sync` is answered after this long.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

type Target = State<Arc<dyn ControlTarget>>;
type Answer<T> = Result<Json<T>, Refusal>;

/// All routes over one target.
pub(super) fn router(target: Arc<dyn ControlTarget>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/warm", post(start_warm))
        .route("/v1/warm/{id}", get(warm_progress))
        .route("/v1/sync", post(sync))
        .route("/v1/flush", post(flush))
        .route("/v1/unmount", post(unmount))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(middleware::from_fn(bounded))
        .with_state(target)
}

/// An [`ApiError`] as an HTTP answer.
struct Refusal(ApiError);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            ApiErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ApiErrorKind::NotFound => StatusCode::NOT_FOUND,
            ApiErrorKind::Busy => StatusCode::CONFLICT,
            ApiErrorKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}

/// Takes in the whole body within its limits, so that no handler can be held open by a slow or endless one, and cuts
/// off a handler that takes too long.
async fn bounded(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let limit = REQUEST_BYTES_MAX;
    if body.size_hint().lower() > limit as u64 {
        let error =
            ApiError::invalid("the request's body is too long", format!("send at most {limit} bytes"));
        return Refusal(error).into_response();
    }
    let bytes = match tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => {
            let cause = format!("the request's body cannot be read: {error}");
            return Refusal(ApiError::invalid(cause, format!("send at most {limit} bytes"))).into_response();
        }
        Err(_) => {
            let error =
                ApiError::invalid("the request's body is late", format!("send it within {BODY_TIME_MAX:?}"));
            return Refusal(error).into_response();
        }
    };
    let time_max = if parts.uri.path() == "/v1/sync" { SYNC_TIME_MAX } else { ANSWER_TIME_MAX };
    let answer = next.run(Request::from_parts(parts, Body::from(bytes)));
    tokio::time::timeout(time_max, answer).await.unwrap_or_else(|_| {
        let cause = format!("no result after {time_max:?}");
        Refusal(ApiError::failed(cause, "see the daemon's log; a smaller path takes less time"))
            .into_response()
    })
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal(ApiError::invalid(
            format!("the body is not what this request takes: {error}"),
            "see docs/decisions/006",
        ))
    })
}

fn absolute(request: PathRequest) -> Result<std::path::PathBuf, Refusal> {
    if request.path.is_absolute() {
        return Ok(request.path);
    }
    let cause = format!("{:?} is not absolute", request.path);
    Err(Refusal(ApiError::invalid(cause, "send a path that begins with /")))
}

async fn status(State(target): Target) -> Json<Status> {
    Json(target.status())
}

async fn start_warm(State(target): Target, body: Bytes) -> Answer<JobId> {
    let request: warm::Request = parse(&body)?;
    target.warm(request).await.map(Json).map_err(Refusal)
}

async fn warm_progress(State(target): Target, Path(id): Path<u64>) -> Answer<Progress> {
    let unknown = || {
        let cause = format!("no warm-up has the number {id}");
        Refusal(ApiError::not_found(cause, "forebay status lists them; they end with the daemon"))
    };
    target.warm_progress(JobId(id)).map(Json).ok_or_else(unknown)
}

async fn sync(State(target): Target, body: Bytes) -> Answer<SyncReport> {
    let path = absolute(parse(&body)?)?;
    target.sync(path).await.map(|report| Json(report.into())).map_err(Refusal)
}

async fn flush(State(target): Target, body: Bytes) -> Answer<FlushProgress> {
    let request: FlushRequest = parse(&body)?;
    let path = absolute(PathRequest { path: request.path })?;
    target.flush(FlushRequest { path, until: request.until }).await.map(Json).map_err(Refusal)
}

async fn unmount(State(target): Target, body: Bytes) -> Answer<UnmountReport> {
    let path = absolute(parse(&body)?)?;
    target.unmount(path).await.map(Json).map_err(Refusal)
}

async fn unknown(request: Request) -> Response {
    let cause = format!("this daemon has no {} {}", request.method(), request.uri().path());
    Refusal(ApiError::not_found(cause, "use the forebay command of the daemon's version")).into_response()
}
