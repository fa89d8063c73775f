//! [`Location`]: where a store is, as written in a mount's URL.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Error, Key};

/// The place of one store. `Display` gives the URL back; it never holds credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// A local or NFS directory: `file:///path`.
    File {
        /// Absolute path of the root directory.
        root: PathBuf,
    },
    /// A bucket, or the part of it below a prefix: `s3://bucket/prefix`.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// Empty, or a text that ends in `/`; every key of the store is relative to it.
        prefix: String,
    },
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(rest) = text.strip_prefix("s3://") {
            parse_s3(text, rest)
        } else if let Some(path) = text.strip_prefix("file://") {
            parse_file(text, path)
        } else {
            Err(invalid(text, "a store is written s3://bucket/prefix or file:///directory"))
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { root } => write!(f, "file://{}", root.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

fn parse_s3(text: &str, rest: &str) -> Result<Location, Error> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') {
        let reason = "credentials do not belong into the URL; use the environment, a profile or the settings";
        return Err(Error::Config { url: "s3://(redacted)".into(), reason: reason.into() });
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // Ceph allows up to 255 bytes, capitals and underscores where AWS stops at 63 bytes.
    if bucket.is_empty() || bucket.len() > 255 || !bucket.chars().all(plain) || bucket.starts_with('.') {
        return Err(invalid(text, "a bucket has 1 to 255 of the characters a-z A-Z 0-9 . - _"));
    }
    let mut prefix = prefix.to_owned();
    if !prefix.is_empty() && !prefix.ends_with('/') {
        prefix.push('/');
    }
    if prefix.len() >= Key::LEN_BYTES_MAX {
        return Err(invalid(text, "a prefix is shorter than 1,024 bytes"));
    }
    Ok(Location::S3 { bucket: bucket.to_owned(), prefix })
}

fn parse_file(text: &str, path: &str) -> Result<Location, Error> {
    if !Path::new(path).is_absolute() {
        return Err(invalid(text, "a directory is written with its absolute path: file:///directory"));
    }
    Ok(Location::File { root: PathBuf::from(path) })
}

fn invalid(text: &str, reason: &str) -> Error {
    Error::Config { url: text.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(bucket: &str, prefix: &str) -> Location {
        Location::S3 { bucket: bucket.into(), prefix: prefix.into() }
    }

    #[test]
    fn urls_become_locations_and_back() {
        let cases = [
            ("s3://data", s3("data", ""), "s3://data/"),
            ("s3://data/", s3("data", ""), "s3://data/"),
            ("s3://data/train", s3("data", "train/"), "s3://data/train/"),
            ("s3://data/train/a b/", s3("data", "train/a b/"), "s3://data/train/a b/"),
            ("s3://data//odd", s3("data", "/odd/"), "s3://data//odd/"),
            ("file:///srv/nfs", Location::File { root: "/srv/nfs".into() }, "file:///srv/nfs"),
        ];
        for (text, location, shown) in cases {
            assert_eq!(text.parse::<Location>().expect(text), location);
            assert_eq!(location.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_location_is_refused_with_its_form() {
        for text in
            ["", "data", "gs://x/y", "s3://", "s3:///key", "s3://a b/c", "file://relative/x", "file://"]
        {
            let error = text.parse::<Location>().expect_err(text);
            assert!(matches!(error, Error::Config { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_repeated() {
        let error = "s3://AKIA:hush@bucket/x".parse::<Location>().expect_err("has credentials");
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}
