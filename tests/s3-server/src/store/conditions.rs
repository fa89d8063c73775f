//! Conditional requests: RFC 9110 section 13.2.2 for reads, and S3's rules for writes.
//!
//! S3 differs from the RFC in one point that matters here: a write with `If-Match` on a key that does not exist is
//! 404, not 412 (Amazon S3 User Guide, "Conditional writes").

use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use std::time::SystemTime;

use super::version::Version;

/// The conditions of one request; absent ones hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Conditions of a write, which are on entity tags alone.
    pub(crate) fn of_write(if_match: Option<ETagCondition>, if_none_match: Option<ETagCondition>) -> Self {
        Self { if_match, if_none_match, ..Self::default() }
    }

    /// Judges a GET or HEAD of `version`: 412 `PreconditionFailed`, or 304 `NotModified` with its entity tag.
    pub(crate) fn check_read(&self, version: &Version) -> S3Result<()> {
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !matches_strongly(condition, version) => {
                return Err(precondition_failed());
            }
            (None, Some(since)) if is_modified_since(version, since) => return Err(precondition_failed()),
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) if matches_weakly(condition, version) => Err(not_modified(version)),
            (None, Some(since)) if !is_modified_since(version, since) => Err(not_modified(version)),
            _ => Ok(()),
        }
    }

    /// As [`Conditions::check_read`] for the source of a copy, where every failure is 412.
    pub(crate) fn check_copy_source(&self, version: &Version) -> S3Result<()> {
        self.check_read(version).map_err(|_| precondition_failed())
    }

    /// Judges a write over `current` (`None`: the key is free).
    pub(crate) fn check_write(&self, current: Option<&Version>) -> S3Result<()> {
        match (&self.if_match, current) {
            (Some(_), None) => return Err(s3_error!(NoSuchKey, "If-Match on a key that does not exist")),
            (Some(condition), Some(version)) if !matches_strongly(condition, version) => {
                return Err(precondition_failed());
            }
            _ => {}
        }
        match (&self.if_none_match, current) {
            (Some(condition), Some(version)) if matches_weakly(condition, version) => {
                Err(precondition_failed())
            }
            _ => Ok(()),
        }
    }
}

fn matches_strongly(condition: &ETagCondition, version: &Version) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => wanted.as_strong().is_some_and(|tag| version.tag.is(tag)),
    }
}

fn matches_weakly(condition: &ETagCondition, version: &Version) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => version.tag.is(wanted.value()),
    }
}

/// HTTP dates have whole seconds: fractions of the stored time are cut before the comparison.
fn is_modified_since(version: &Version, since: &Timestamp) -> bool {
    let modified = version.modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let whole_seconds = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(modified);
    Timestamp::from(whole_seconds) > *since
}

fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

fn not_modified(version: &Version) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    error.set_status_code(StatusCode::NOT_MODIFIED);
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", version.tag)) {
        error.set_headers(HeaderMap::from_iter([(header::ETAG, tag)]));
    }
    error
}
