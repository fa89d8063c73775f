//! The SDK's client in its slim configuration, and what its errors mean.
//!
//! Slim: rustls with ring, no legacy hyper 0.14 stack, no aws-lc. Retries, timeouts and stalled-stream protection are
//! off, because [`crate::retry`] does that work for all stores.

use std::error::Error as StdError;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, HttpClient, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::errors::{self, Answer, Subject};
use super::roots::Roots;
use super::sign;
use super::target::Target;
use crate::Error;

/// Used for S3 itself and, with the system's roots, by the credential chain.
pub(super) fn http_client(roots: &Roots) -> SharedHttpClient {
    let builder = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    SharedHttpClient::new(builder.tls_context(roots.context()).build_https())
}

pub(super) fn client(
    target: &Target,
    http: impl HttpClient + 'static,
    provider: Option<SharedCredentialsProvider>,
) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(&target.endpoint)
        .force_path_style(target.path_style)
        .region(Region::new(target.region.clone()))
        // The default, a CRC in a trailer, gets 400 from Ceph 16.2, Garage and old MinIO.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let config = match provider {
        Some(provider) => config.credentials_provider(provider),
        None => config.allow_no_auth(),
    };
    Client::from_conf(config.build())
}

/// The meaning of a failed call of the SDK.
pub(super) fn error<E>(target: &Target, subject: Subject<'_>, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    if let SdkError::ServiceError(service) = &error {
        return errors::from_answer(target, subject, answer(service.err(), service.raw()));
    }
    if let SdkError::ResponseError(response) = &error
        && !response.raw().status().is_success()
    {
        return errors::from_answer(target, subject, bare_answer(response.raw()));
    }
    if let Some(credentials) = credentials_error(&error) {
        return sign::no_keys(&target.url, credentials);
    }
    match error {
        SdkError::ConstructionFailure(_) => Error::Config {
            url: target.url.clone(),
            reason: format!("no request can be built: {}", errors::innermost(&error)),
        },
        SdkError::ResponseError(_) => Error::Protocol {
            url: target.url.clone(),
            reason: errors::innermost(&error),
            source: Some(error.into()),
        },
        // The enum is open: what is neither an answer nor a mistake of ours is a failure of the transport.
        error => errors::from_transport(target, error),
    }
}

fn answer<E: ProvideErrorMetadata>(error: &E, response: &HttpResponse) -> Answer {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Answer { code: text(error.code()), message: text(error.message()), ..bare_answer(response) }
}

fn bare_answer(response: &HttpResponse) -> Answer {
    let header = |name: &str| response.headers().get(name);
    Answer {
        status: response.status().as_u16(),
        retry_after: header("retry-after").and_then(errors::retry_after),
        region: header("x-amz-bucket-region").map(str::to_owned),
        ..Answer::default()
    }
}

fn credentials_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a CredentialsError> {
    let mut chain =
        std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
            .take(errors::CHAIN_MAX);
    chain.find_map(|error| error.downcast_ref())
}
