//! [`Target`]: the URLs of one bucket and prefix at one endpoint.

use http::Uri;
use http::uri::{Authority, Scheme};

use super::encode;
use crate::{Error, Key, Result};

/// Where the requests of one store go.
#[derive(Debug)]
pub(super) struct Target {
    /// `s3://bucket/prefix`, for errors and logs.
    pub(super) url: String,
    pub(super) bucket: String,
    /// Empty, or ends in `/`.
    pub(super) prefix: String,
    pub(super) region: String,
    /// Without a bucket; for the SDK.
    pub(super) endpoint: String,
    pub(super) path_style: bool,
    scheme: Scheme,
    /// With the bucket in front in virtual-hosted style.
    host: Authority,
    /// Encoded path of the bucket: `/bucket` or empty, after the endpoint's own path.
    base_path: String,
}

/// What the settings and the environment say about the endpoint.
pub(super) struct Place {
    pub(super) endpoint: Option<String>,
    pub(super) path_style: Option<bool>,
    pub(super) region: String,
}

impl Target {
    pub(super) fn new(bucket: &str, prefix: &str, place: Place) -> Result<Self> {
        let url = format!("s3://{bucket}/{prefix}");
        let region = place.region;
        // A name with dots does not match the wildcard certificate, one with capitals is no host name.
        let needs_path =
            bucket.contains('.') || bucket.contains('_') || bucket.chars().any(|c| c.is_ascii_uppercase());
        let path_style = place.path_style.unwrap_or(place.endpoint.is_some() || needs_path);
        let endpoint = place.endpoint.unwrap_or_else(|| aws_endpoint(&region));
        let uri = parse_endpoint(&url, &endpoint)?;
        let host = if path_style { uri.authority.to_string() } else { format!("{bucket}.{}", uri.authority) };
        let host =
            host.parse().map_err(|_| config(&url, format!("{host:?} is no host name; set path_style")))?;
        let base_path = if path_style { format!("{}/{bucket}", uri.path) } else { uri.path };
        Ok(Self {
            url,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            region,
            endpoint,
            path_style,
            scheme: uri.scheme,
            host,
            base_path,
        })
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    pub(super) fn host(&self) -> &str {
        self.host.as_str()
    }

    /// The key as the bucket has it.
    pub(super) fn full_key(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Encoded path of an object.
    pub(super) fn object_path(&self, key: &Key) -> String {
        let mut path =
            String::with_capacity(self.base_path.len() + self.prefix.len() + key.as_str().len() + 16);
        path.push_str(&self.base_path);
        path.push('/');
        encode::push_path(&mut path, &self.prefix);
        encode::push_path(&mut path, key.as_str());
        path
    }

    /// Encoded path of the bucket.
    pub(super) fn bucket_path(&self) -> &str {
        if self.base_path.is_empty() { "/" } else { &self.base_path }
    }

    /// The whole URI of an encoded path and query.
    pub(super) fn uri(&self, path: &str, query: &str) -> Result<Uri> {
        let path_and_query = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.host.clone())
            .path_and_query(path_and_query)
            .build()
            .map_err(|error| config(&self.url, format!("{path:?} makes no URI: {error}")))
    }
}

fn aws_endpoint(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://s3.{region}.{domain}")
}

struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    path: String,
}

fn parse_endpoint(url: &str, endpoint: &str) -> Result<Endpoint> {
    let form = || config(url, format!("the endpoint {endpoint:?} is not of the form http(s)://host[:port]"));
    let parts = endpoint.parse::<Uri>().map_err(|_| form())?.into_parts();
    let scheme = parts.scheme.filter(|s| *s == Scheme::HTTP || *s == Scheme::HTTPS).ok_or_else(form)?;
    let authority = parts.authority.ok_or_else(form)?;
    let path_and_query = parts.path_and_query;
    if authority.as_str().contains('@') || path_and_query.as_ref().is_some_and(|p| p.query().is_some()) {
        return Err(config(url, "the endpoint must have no user and no query".into()));
    }
    let path = path_and_query.map(|p| p.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    let authority = without_default_port(&scheme, authority);
    Ok(Endpoint { scheme, authority, path })
}

/// Servers leave the default port out of the host that they verify the signature with.
fn without_default_port(scheme: &Scheme, authority: Authority) -> Authority {
    let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    match authority.port_u16() {
        Some(port) if port == default => authority.host().parse().unwrap_or(authority),
        _ => authority,
    }
}

fn config(url: &str, reason: String) -> Error {
    Error::Config { url: url.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(bucket: &str, endpoint: Option<&str>, path_style: Option<bool>) -> Target {
        let place = Place { endpoint: endpoint.map(str::to_owned), path_style, region: "eu-west-1".into() };
        Target::new(bucket, "p q/", place).expect("valid place")
    }

    fn uri(target: &Target) -> String {
        let key = Key::new("a+b").expect("short");
        target.uri(&target.object_path(&key), "").expect("valid").to_string()
    }

    #[test]
    fn object_uris_follow_the_addressing_style() {
        let cases = [
            (target("data", None, None), "https://data.s3.eu-west-1.amazonaws.com/p%20q/a%2Bb"),
            (target("my.data", None, None), "https://s3.eu-west-1.amazonaws.com/my.data/p%20q/a%2Bb"),
            (target("data", Some("http://127.0.0.1:9000"), None), "http://127.0.0.1:9000/data/p%20q/a%2Bb"),
            (target("data", Some("http://s3.lan/"), Some(false)), "http://data.s3.lan/p%20q/a%2Bb"),
            (target("data", Some("https://s3.lan:443/gw/"), None), "https://s3.lan/gw/data/p%20q/a%2Bb"),
        ];
        for (target, expected) in cases {
            assert_eq!(uri(&target), expected);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for endpoint in
            ["", "s3.lan", "ftp://s3.lan", "http://", "http://user:hush@s3.lan", "http://s3.lan/?x"]
        {
            let place = Place { endpoint: Some(endpoint.into()), path_style: None, region: "r".into() };
            let error = Target::new("b", "", place).expect_err(endpoint);
            assert!(matches!(error, Error::Config { .. }), "{endpoint}: {error}");
        }
    }
}
