//! [`Signer`]: Signature Version 4 for requests without a body, with the signing key kept for the day.
//!
//! `aws_sigv4::http_request::sign` derives the key anew and builds general-purpose header lists for every request; here
//! the set of headers is fixed, and only two hashes are left to do. Source: "Create a signed AWS API request".

use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_types::date_time::{DateTime, Format};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

const SERVICE: &str = "s3";
/// SHA-256 of nothing.
const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Keys that end sooner than this are fetched anew.
const EXPIRY_MARGIN: Duration = Duration::from_secs(5 * 60);

const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Signs requests of one store.
pub(super) struct Signer {
    url: String,
    region: String,
    /// `None`: requests are not signed.
    provider: Option<SharedCredentialsProvider>,
    current: RwLock<Option<Arc<DayKey>>>,
    /// Held while keys are fetched, so that one request asks and the others wait.
    fetching: tokio::sync::Mutex<()>,
}

/// A signing key, good for one day and one set of credentials.
struct DayKey {
    keys: Keys,
    /// `YYYYMMDD`.
    day: String,
    /// `YYYYMMDD/region/s3/aws4_request`.
    scope: String,
    signing_key: Vec<u8>,
}

impl DayKey {
    fn new(keys: Keys, day: &str, region: &str, now: SystemTime) -> Self {
        let signing_key =
            generate_signing_key(keys.secret_access_key(), now, region, SERVICE).as_ref().to_vec();
        let scope = format!("{day}/{region}/{SERVICE}/aws4_request");
        Self { keys, day: day.to_owned(), scope, signing_key }
    }

    fn serves(&self, day: &str, now: SystemTime) -> bool {
        self.day == day && self.keys.expiry().is_none_or(|expiry| now + EXPIRY_MARGIN < expiry)
    }
}

/// What a signature covers.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    /// Encoded path.
    pub(super) path: &'a str,
    /// Encoded query in ascending order of names.
    pub(super) query: &'a str,
}

impl Signer {
    pub(super) fn new(url: &str, region: &str, provider: Option<SharedCredentialsProvider>) -> Self {
        Self {
            url: url.to_owned(),
            region: region.to_owned(),
            provider,
            current: RwLock::new(None),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// Adds the headers that authorize a request; none when the store is anonymous.
    pub(super) async fn sign(&self, request: &Request<'_>, headers: &mut HeaderMap) -> Result<()> {
        let Some(provider) = &self.provider else { return Ok(()) };
        let now = SystemTime::now();
        let stamp = basic_timestamp(now);
        let key = self.day_key(provider, &stamp[..8], now).await?;
        self.add_headers(request, &key, &stamp, headers)
    }

    /// Forgets the keys, because the store calls them expired.
    pub(super) fn forget_keys(&self) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn kept(&self, day: &str, now: SystemTime) -> Option<Arc<DayKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|key| key.serves(day, now)).cloned()
    }

    async fn day_key(
        &self,
        provider: &SharedCredentialsProvider,
        day: &str,
        now: SystemTime,
    ) -> Result<Arc<DayKey>> {
        if let Some(key) = self.kept(day, now) {
            return Ok(key);
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(key) = self.kept(day, now) {
            return Ok(key);
        }
        let keys = provider.provide_credentials().await.map_err(|error| no_keys(&self.url, &error))?;
        let key = Arc::new(DayKey::new(keys, day, &self.region, now));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        Ok(key)
    }

    fn add_headers(
        &self,
        request: &Request<'_>,
        key: &DayKey,
        stamp: &str,
        headers: &mut HeaderMap,
    ) -> Result<()> {
        headers.insert(X_AMZ_CONTENT_SHA256, HeaderValue::from_static(EMPTY_HASH));
        headers.insert(X_AMZ_DATE, self.value(stamp)?);
        let token = key.keys.session_token();
        if let Some(token) = token {
            let mut value = self.value(token)?;
            value.set_sensitive(true);
            headers.insert(X_AMZ_SECURITY_TOKEN, value);
        }
        let mut value = self.value(&authorization(request, key, stamp, token))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    fn value(&self, text: &str) -> Result<HeaderValue> {
        HeaderValue::from_str(text).map_err(|_| Error::Denied {
            url: self.url.clone(),
            reason: "the credentials hold characters that no header may have".into(),
            setting: "check the access key and the session token",
        })
    }
}

fn authorization(request: &Request<'_>, key: &DayKey, stamp: &str, token: Option<&str>) -> String {
    let mut canonical = String::with_capacity(512);
    let Request { method, path, query, host } = request;
    let (token_line, token_name) = match token {
        Some(token) => (format!("x-amz-security-token:{token}\n"), ";x-amz-security-token"),
        None => (String::new(), ""),
    };
    let signed = format!("host;x-amz-content-sha256;x-amz-date{token_name}");
    write!(
        canonical,
        "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{EMPTY_HASH}\nx-amz-date:{stamp}\n\
         {token_line}\n{signed}\n{EMPTY_HASH}"
    )
    .expect("a String takes all text");
    let mut to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{}\n", key.scope);
    push_hex(&mut to_sign, &Sha256::digest(canonical.as_bytes()));
    let signature = calculate_signature(&key.signing_key, to_sign.as_bytes());
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={signed}, Signature={signature}",
        key.keys.access_key_id(),
        key.scope
    )
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(out, "{byte:02x}").expect("a String takes all text");
    }
}

/// `YYYYMMDDTHHMMSSZ`.
fn basic_timestamp(now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let extended = DateTime::from_secs(i64::try_from(seconds).unwrap_or(0)).fmt(Format::DateTime);
    extended.unwrap_or_default().replace(['-', ':'], "")
}

pub(super) fn no_keys(url: &str, error: &CredentialsError) -> Error {
    let url = url.to_owned();
    match error {
        CredentialsError::CredentialsNotLoaded(_) => Error::Denied {
            url,
            reason: format!("no credentials found: {}", last_cause(error)),
            setting: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or anonymous access",
        },
        CredentialsError::InvalidConfiguration(_) => Error::Denied {
            url,
            reason: last_cause(error),
            setting: "check the profile in ~/.aws/config and ~/.aws/credentials",
        },
        _ => Error::Unavailable {
            url,
            reason: format!("fetching credentials: {}", last_cause(error)),
            source: None,
        },
    }
}

fn last_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), last_cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example_key() -> DayKey {
        let keys =
            Keys::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        DayKey::new(keys, "20130524", "us-east-1", now)
    }

    /// The "GET Bucket (List Objects)" example of "Signature Calculations for the Authorization Header" in the
    /// Amazon S3 API reference; it signs exactly the headers that we sign.
    #[test]
    fn the_signature_of_the_s3_reference_comes_out() {
        let request = Request {
            method: "GET",
            host: "examplebucket.s3.amazonaws.com",
            path: "/",
            query: "max-keys=2&prefix=J",
        };
        let value = authorization(&request, &example_key(), "20130524T000000Z", None);
        assert_eq!(
            value,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn timestamps_are_in_basic_format() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_369_353_605, 999);
        assert_eq!(basic_timestamp(time), "20130524T000005Z");
    }

    #[test]
    fn a_key_serves_its_day_and_until_its_credentials_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        assert!(example_key().serves("20130524", now));
        assert!(!example_key().serves("20130525", now));
        let ending = Keys::new("a", "s", None, Some(now + Duration::from_secs(60)), "test");
        assert!(!DayKey::new(ending, "20130524", "us-east-1", now).serves("20130524", now));
    }

    #[test]
    fn secrets_stay_out_of_header_debug_output() {
        let keys = Keys::new("public", "hush-secret", Some("hush-token".into()), None, "test");
        let key = DayKey::new(keys, "20130524", "us-east-1", SystemTime::UNIX_EPOCH);
        let signer = Signer::new("s3://b/", "us-east-1", None);
        let mut headers = HeaderMap::new();
        let request = Request { method: "GET", host: "h", path: "/", query: "" };
        signer.add_headers(&request, &key, "20130524T000000Z", &mut headers).expect("plain ASCII");
        assert_eq!(headers.len(), 4);
        assert!(!format!("{headers:?}").contains("hush"));
    }
}
