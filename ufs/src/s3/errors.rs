//! From answers and transport failures of an S3 endpoint to [`Error`], for our own requests and for the SDK's.
//!
//! Codes: "Error responses" in the Amazon S3 API reference; Ceph RGW and SeaweedFS send a subset of them.

use std::error::Error as StdError;
use std::time::Duration;

use super::target::Target;
use crate::{CopySource, Error, Key, Version};

/// A refusal, taken apart.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `<Code>` of the body; empty when there is none, as after a HEAD.
    pub(super) code: String,
    /// `<Message>` of the body.
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    /// `x-amz-bucket-region`.
    pub(super) region: Option<String>,
}

/// What was asked: decides what a 404, a 412 or a 416 means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    Bucket,
    Object(&'a Key),
    /// A read of a range, bound to a version or not.
    Range {
        key: &'a Key,
        version: Option<&'a Version>,
        start: u64,
        end: u64,
    },
}

impl CopySource {
    /// A copy is a read of the source, bound to its version: a 412 says that it has changed.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject::Range { key: &self.key, version: Some(&self.version), start: 0, end: 0 }
    }
}

impl Subject<'_> {
    fn key(&self) -> &str {
        match self {
            Self::Bucket => "",
            Self::Object(key) | Self::Range { key, .. } => key.as_str(),
        }
    }
}

/// The one place where statuses and codes get their meaning.
pub(super) fn from_answer(target: &Target, subject: Subject<'_>, answer: Answer) -> Error {
    let url = target.url.clone();
    let key = subject.key().to_owned();
    match (answer.status, answer.code.as_str()) {
        (_, "NoSuchBucket") => Error::NoSuchStore { url },
        (404, _) => match subject {
            Subject::Bucket => Error::NoSuchStore { url },
            Subject::Object(_) | Subject::Range { .. } => Error::NotFound { url, key },
        },
        (301 | 307, _) | (400, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            wrong_region(target, &answer)
        }
        (412, _) | (409, "ConditionalRequestConflict") => condition_failed(url, subject),
        (416, _) => match subject {
            Subject::Range { start, end, .. } => Error::InvalidRange { url, key, start, end },
            Subject::Bucket | Subject::Object(_) => refused(url, &answer),
        },
        (429, _)
        | (_, "SlowDown" | "SlowDownRead" | "SlowDownWrite" | "TooManyRequests" | "RequestLimitExceeded") => {
            Error::Throttled { url, retry_after: answer.retry_after }
        }
        (503, _) if answer.retry_after.is_some() => Error::Throttled { url, retry_after: answer.retry_after },
        (507, _) | (_, "QuotaExceeded" | "EntityTooLargeForQuota" | "XMinioStorageFull") => {
            Error::NoSpace { url }
        }
        (501, _) => refused(url, &answer),
        (_, "RequestTimeout" | "InternalError") | (408, _) | (500..=599, _) => unavailable(url, &answer),
        (401 | 403, _)
        | (400, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "RequestTimeTooSkewed") => {
            Error::Denied { url, setting: hint(&answer.code), reason: words(&answer) }
        }
        (400, "BadDigest") => Error::Protocol { url, reason: words(&answer), source: None },
        _ => refused(url, &answer),
    }
}

fn condition_failed(url: String, subject: Subject<'_>) -> Error {
    let key = subject.key().to_owned();
    match subject {
        Subject::Range { version: Some(version), .. } => Error::Changed { url, key, wanted: version.clone() },
        Subject::Bucket | Subject::Object(_) | Subject::Range { version: None, .. } => {
            Error::PreconditionFailed { url, key }
        }
    }
}

fn wrong_region(target: &Target, answer: &Answer) -> Error {
    let reason = match &answer.region {
        Some(region) => {
            format!("the bucket is in region {region:?}, not {:?}; set region = {region:?}", target.region)
        }
        None => format!(
            "the endpoint redirects ({}); check the region {:?} and the endpoint {:?}",
            words(answer),
            target.region,
            target.endpoint
        ),
    };
    Error::Config { url: target.url.clone(), reason }
}

fn hint(code: &str) -> &'static str {
    match code {
        "InvalidAccessKeyId" => "check the access key (AWS_ACCESS_KEY_ID, the profile, or the settings)",
        "SignatureDoesNotMatch" => {
            "check the secret key (AWS_SECRET_ACCESS_KEY, the profile, or the settings)"
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            "renew the session token (AWS_SESSION_TOKEN)"
        }
        "RequestTimeTooSkewed" => "set this host's clock: it differs too much from the store's",
        _ => "check the credentials and what the bucket's policy allows them",
    }
}

fn unavailable(url: String, answer: &Answer) -> Error {
    Error::Unavailable { url, reason: words(answer), source: None }
}

fn refused(url: String, answer: &Answer) -> Error {
    Error::Config { url, reason: format!("the store refuses the request: {}", words(answer)) }
}

/// The store's own words, on one line of bounded length.
fn words(answer: &Answer) -> String {
    let code = if answer.code.is_empty() { reason_phrase(answer.status) } else { &answer.code };
    let message: String =
        answer.message.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if message.is_empty() {
        format!("{} {code}", answer.status)
    } else {
        format!("{} {code}: {message}", answer.status)
    }
}

fn reason_phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("unknown status")
}

/// Chains of causes are short; the bound guards against one that loops.
pub(super) const CHAIN_MAX: usize = 16;

/// No answer: refused or broken connection, unknown host, broken TLS.
pub(super) fn from_transport(target: &Target, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    let source = source.into();
    if let Some(refusal) = certificate_refusal(&*source) {
        let endpoint = &target.endpoint;
        let reason =
            format!("{endpoint}: {refusal}; set ca_file to the authority that signed its certificate");
        return Error::Config { url: target.url.clone(), reason };
    }
    let reason = format!("{}: {}", target.endpoint, innermost(&*source));
    Error::Unavailable { url: target.url.clone(), reason, source: Some(source) }
}

/// What TLS finds wrong with the endpoint's certificate: asking again gives the same one.
fn certificate_refusal<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    for _ in 0..CHAIN_MAX {
        let error = next?;
        if let Some(refusal @ rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return Some(refusal);
        }
        // An I/O error shows the cause of what it wraps as its own, and so hides the error itself.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

/// The last cause of a chain says most, such as "Connection refused (os error 111)".
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    for _ in 0..CHAIN_MAX {
        match last.source() {
            Some(source) => last = source,
            None => break,
        }
    }
    last.to_string()
}

/// `Retry-After` in seconds; the other form, a date, is not used by S3 servers.
pub(super) fn retry_after(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(Duration::from_secs)
}

/// An answer that breaks the protocol.
pub(super) fn protocol(target: &Target, reason: impl Into<String>) -> Error {
    Error::Protocol { url: target.url.clone(), reason: reason.into(), source: None }
}

#[cfg(test)]
mod tests {
    use super::super::target::Place;
    use super::*;

    fn target() -> Target {
        let place =
            Place { endpoint: Some("http://s3.lan".into()), path_style: None, region: "us-east-1".into() };
        Target::new("b", "", place).expect("valid")
    }

    fn error(status: u16, code: &str) -> Error {
        let key = Key::new("k").expect("short");
        let answer = Answer { status, code: code.into(), ..Answer::default() };
        from_answer(&target(), Subject::Object(&key), answer)
    }

    /// Statuses and codes as the "List of error codes" of the Amazon S3 API reference pairs them.
    #[test]
    fn codes_get_their_meaning() {
        assert!(matches!(error(404, "NoSuchKey"), Error::NotFound { .. }));
        assert!(matches!(error(404, "NoSuchUpload"), Error::NotFound { .. }));
        assert!(matches!(error(404, ""), Error::NotFound { .. }));
        assert!(matches!(error(404, "NoSuchBucket"), Error::NoSuchStore { .. }));
        assert!(matches!(error(412, "PreconditionFailed"), Error::PreconditionFailed { .. }));
        assert!(matches!(error(409, "ConditionalRequestConflict"), Error::PreconditionFailed { .. }));
        assert!(matches!(error(507, ""), Error::NoSpace { .. }));
        assert!(matches!(error(403, "QuotaExceeded"), Error::NoSpace { .. }));
        for (status, code) in [(503, "SlowDown"), (429, ""), (503, "SlowDownRead"), (429, "TooManyRequests")]
        {
            assert!(matches!(error(status, code), Error::Throttled { .. }), "{status} {code}");
        }
        for (status, code) in
            [(500, "InternalError"), (503, "ServiceUnavailable"), (502, ""), (400, "RequestTimeout")]
        {
            assert!(matches!(error(status, code), Error::Unavailable { .. }), "{status} {code}");
        }
        for (status, code) in
            [(400, "KeyTooLongError"), (400, ""), (405, "MethodNotAllowed"), (501, "NotImplemented")]
        {
            assert!(matches!(error(status, code), Error::Config { .. }), "{status} {code}");
        }
    }

    #[test]
    fn denials_name_what_to_check() {
        let cases = [
            (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
            (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
            (403, "RequestTimeTooSkewed", "clock"),
            (400, "ExpiredToken", "AWS_SESSION_TOKEN"),
            (403, "AccessDenied", "policy"),
            (403, "", "policy"),
        ];
        for (status, code, hint) in cases {
            let error = error(status, code);
            assert!(matches!(error, Error::Denied { .. }) && !error.is_retryable(), "{error:?}");
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn another_region_is_named() {
        let answer = Answer { status: 301, region: Some("eu-west-3".into()), ..Answer::default() };
        let error = from_answer(&target(), Subject::Bucket, answer);
        assert!(matches!(error, Error::Config { .. }));
        assert!(error.to_string().contains("set region = \"eu-west-3\""), "{error}");
    }

    #[test]
    fn a_failed_condition_of_a_read_is_a_changed_object() {
        let (key, version) = (Key::new("k").expect("short"), Version::new("v"));
        let subject = Subject::Range { key: &key, version: Some(&version), start: 3, end: 9 };
        let answer = |status| Answer { status, ..Answer::default() };
        assert!(
            matches!(from_answer(&target(), subject, answer(412)), Error::Changed { wanted, .. } if wanted == version)
        );
        let outside = from_answer(&target(), subject, answer(416));
        assert!(matches!(outside, Error::InvalidRange { start: 3, end: 9, .. }));
    }

    #[test]
    fn a_pause_is_kept_and_long_messages_stay_on_one_short_line() {
        let pause = Some(Duration::from_secs(7));
        let answer = Answer { status: 503, retry_after: pause, ..Answer::default() };
        let error = from_answer(&target(), Subject::Bucket, answer);
        assert!(matches!(error, Error::Throttled { retry_after, .. } if retry_after == pause));
        let answer = Answer { status: 500, message: "line\n".repeat(1000), ..Answer::default() };
        let text = from_answer(&target(), Subject::Bucket, answer).to_string();
        assert!(text.len() < 400 && !text.contains('\n'), "{text}");
    }
}
