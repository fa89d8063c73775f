//! Where keys, region and endpoint come from: the settings first, then the environment and the profile files.
//!
//! With given keys or none nothing of the environment is read. The slim SDK has no SSO and no `credential_process`.

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::SharedHttpClient;

use super::settings::{Credentials, Settings};
use super::target::Place;

/// AWS's own default; stores of other makers ignore the region or take this one.
const REGION_DEFAULT: &str = "us-east-1";

/// Who asks and where.
pub(super) struct Resolved {
    /// `None`: requests are not signed.
    pub(super) provider: Option<SharedCredentialsProvider>,
    pub(super) place: Place,
}

/// Reads profile files and the environment where the settings ask for it. Asks no server: keys are fetched by the
/// provider when the first request is signed.
pub(super) async fn resolve(settings: &Settings, http: SharedHttpClient) -> Resolved {
    match &settings.credentials {
        Credentials::Chain => from_environment(settings, None, http).await,
        Credentials::Profile(name) => from_environment(settings, Some(name), http).await,
        Credentials::Static { access_key, secret_key, session_token } => {
            let keys = Keys::new(access_key, secret_key, session_token.clone(), None, "settings");
            Resolved { provider: Some(SharedCredentialsProvider::new(keys)), place: given(settings) }
        }
        Credentials::Anonymous => Resolved { provider: None, place: given(settings) },
    }
}

fn given(settings: &Settings) -> Place {
    Place {
        endpoint: settings.endpoint.clone(),
        path_style: settings.path_style,
        region: settings.region.clone().unwrap_or_else(|| REGION_DEFAULT.to_owned()),
    }
}

async fn from_environment(settings: &Settings, profile: Option<&str>, http: SharedHttpClient) -> Resolved {
    let mut profile_region = ProfileFileRegionProvider::builder();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    if let Some(name) = profile {
        profile_region = profile_region.profile_name(name);
        // By itself, so that neither keys in the environment nor an instance's role come before a named profile.
        let sources = ProviderConfig::default().with_http_client(http);
        let keys = ProfileFileCredentialsProvider::builder().configure(&sources).profile_name(name).build();
        loader = loader.profile_name(name).credentials_provider(keys);
    }
    // Not the instance's metadata service: outside of EC2 that costs seconds of waiting.
    let region = RegionProviderChain::first_try(settings.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile_region.build())
        .or_else(Region::from_static(REGION_DEFAULT));
    let config = loader.region(region).load().await;
    let place = given(settings);
    Resolved {
        provider: config.credentials_provider(),
        place: Place {
            endpoint: place.endpoint.or_else(|| config.endpoint_url().map(str::to_owned)),
            region: config.region().map_or(place.region, |region| region.as_ref().to_owned()),
            ..place
        },
    }
}
