//! [`Key`]: the name of an object inside its store.

use std::borrow::Borrow;
use std::fmt;

/// The name of an object, or of a directory when it ends in `/`, relative to the store's root.
///
/// UTF-8, at most 1,024 bytes (the S3 limit). It may hold anything that a store may hold, such as `a//b`, `..` or
/// a leading `/`: whether a key can be shown as a file name is the namespace's decision, not the store's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

/// Why a text is no key.
#[derive(Debug, thiserror::Error)]
#[error("a key has at most {limit} bytes; this one has {len}", limit = Key::LEN_BYTES_MAX)]
pub struct InvalidKey {
    len: usize,
}

impl Key {
    /// The longest key.
    pub const LEN_BYTES_MAX: usize = 1024;

    /// Checks and wraps a key. The empty key is the root directory.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidKey> {
        let text = text.into();
        if text.len() > Self::LEN_BYTES_MAX {
            return Err(InvalidKey { len: text.len() });
        }
        Ok(Self(text))
    }

    /// The root directory: the empty key.
    pub fn root() -> Self {
        Self("".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this names a directory: the root, or a text that ends in `/`.
    pub fn is_directory(&self) -> bool {
        self.0.is_empty() || self.0.ends_with('/')
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
