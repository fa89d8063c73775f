//! Settings of an `s3://` store.

use std::fmt;
use std::path::PathBuf;

/// How to reach the endpoint and as whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://host:port` or `https://host`; `None` is AWS itself, in `region`.
    pub endpoint: Option<String>,
    /// `None`: from `AWS_REGION` or the profile, else `us-east-1`.
    pub region: Option<String>,
    /// `http://host/bucket/key` instead of `http://bucket.host/key`. `None`: on when an endpoint is set.
    pub path_style: Option<bool>,
    /// PEM file of the authorities that may sign the endpoint's certificate, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Who asks.
    pub credentials: Credentials,
    /// Requests under way at one time, bodies that are still read included; more than that wait for a place.
    pub connections_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            path_style: None,
            ca_file: None,
            credentials: Credentials::Chain,
            connections_max: 128,
        }
    }
}

/// Where credentials come from. `Debug` shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// The environment, then the default profile, then the container's or instance's role.
    #[default]
    Chain,
    /// A named profile of `~/.aws/config` and `~/.aws/credentials`.
    Profile(String),
    /// Given keys.
    Static {
        /// The public half.
        access_key: String,
        /// The secret half.
        secret_key: String,
        /// Set for temporary credentials.
        session_token: Option<String>,
    },
    /// Unsigned requests, for public buckets.
    Anonymous,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain => f.write_str("Chain"),
            Self::Profile(name) => f.debug_tuple("Profile").field(name).finish(),
            Self::Static { access_key, .. } => {
                f.debug_struct("Static").field("access_key", access_key).finish_non_exhaustive()
            }
            Self::Anonymous => f.write_str("Anonymous"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_secret() {
        let credentials = Credentials::Static {
            access_key: "public".into(),
            secret_key: "hush-secret".into(),
            session_token: Some("hush-token".into()),
        };
        let text = format!("{:?}", Settings { credentials, ..Settings::default() });
        assert!(text.contains("public"));
        assert!(!text.contains("hush"), "{text}");
    }
}
