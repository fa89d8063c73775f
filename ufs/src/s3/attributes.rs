//! [`Attributes`] as the user metadata of an object.

use std::collections::HashMap;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::S3Store;
use crate::{Attributes, Error, Result};

/// The beginning of the headers that carry user metadata.
const USER: &str = "x-amz-meta-";

/// User metadata by name, without `x-amz-meta-`.
pub(super) type Metadata = HashMap<String, String>;

/// The metadata that an answer's headers tell of.
pub(super) fn from_headers(headers: &HeaderMap) -> Attributes {
    let ours =
        user(headers).filter_map(|(name, value)| Some((name.strip_prefix(Attributes::PREFIX)?, value)));
    Attributes::from_pairs(ours)
}

/// What others have attached to an object: a copy that changes our attributes keeps theirs.
pub(super) fn foreign(headers: &HeaderMap) -> (Option<String>, Metadata) {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let theirs = user(headers).filter(|(name, _)| !name.starts_with(Attributes::PREFIX));
    (content_type, theirs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn user(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix(USER)?, value.to_str().ok()?)))
}

impl S3Store {
    /// Refused here when it is too long, because servers differ in how they refuse it.
    pub(super) fn metadata(&self, attributes: &Attributes) -> Result<Metadata> {
        if attributes.len_bytes() > Attributes::LEN_BYTES_MAX {
            return Err(Error::Config {
                url: self.target().url.clone(),
                reason: format!(
                    "{} bytes of mode, owner, times and extended attributes; an object can have {}",
                    attributes.len_bytes(),
                    Attributes::LEN_BYTES_MAX
                ),
            });
        }
        let pairs = attributes.to_pairs().into_iter();
        Ok(pairs.map(|(name, value)| (format!("{}{name}", Attributes::PREFIX), value)).collect())
    }
}
