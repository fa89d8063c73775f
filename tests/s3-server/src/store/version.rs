//! One immutable version of an object.

use std::fmt;
use std::time::SystemTime;

use s3s::crypto::{Checksum, Md5};
use s3s::dto::{ETag, Metadata};

use super::content::Content;
use crate::synthetic::SyntheticObject;

/// What a GET of a key serves. Never changed after it was made.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) content: Content,
    pub(crate) tag: EntityTag,
    pub(crate) modified: SystemTime,
    pub(crate) attributes: Attributes,
}

impl Version {
    pub(crate) fn new(content: Content, tag: EntityTag, attributes: Attributes) -> Self {
        Self { content, tag, modified: SystemTime::now(), attributes }
    }
}

/// What a client may attach to an object. Boxed: objects without are most of a large bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes(Option<Box<(Option<String>, Option<Metadata>)>>);

impl Attributes {
    pub(crate) fn new(content_type: Option<String>, metadata: Option<Metadata>) -> Self {
        if content_type.is_none() && metadata.is_none() {
            return Self(None);
        }
        Self(Some(Box::new((content_type, metadata))))
    }

    pub(crate) fn content_type(&self) -> Option<String> {
        let stored = self.0.as_ref().and_then(|both| both.0.clone());
        Some(stored.unwrap_or_else(|| "binary/octet-stream".to_owned()))
    }

    pub(crate) fn metadata(&self) -> Option<Metadata> {
        self.0.as_ref().and_then(|both| both.1.clone())
    }
}

/// The entity tag: MD5 of the bytes, or for a multipart upload MD5 of the MD5s of its parts and their count, as S3.
/// A synthetic object has a digest of its seed and size, since equal ones have equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag {
    digest: [u8; 16],
    /// 0: not a multipart upload.
    parts: u32,
}

impl EntityTag {
    pub(crate) fn of_md5(digest: [u8; 16]) -> Self {
        Self { digest, parts: 0 }
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self::of_md5(Md5::checksum(bytes))
    }

    pub(crate) fn of_synthetic(object: SyntheticObject) -> Self {
        let mut identity = *b"synthetic\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        identity[9..17].copy_from_slice(&object.seed.to_le_bytes());
        identity[17..25].copy_from_slice(&object.size_bytes.to_le_bytes());
        Self::of_bytes(&identity)
    }

    pub(crate) fn of_parts(tags: impl Iterator<Item = EntityTag>) -> Self {
        let mut md5 = Md5::new();
        let mut parts = 0;
        for tag in tags {
            md5.update(&tag.digest);
            parts += 1;
        }
        Self { digest: md5.finalize(), parts }
    }

    /// Whether `text` (without quotes) is this tag.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.to_string() == text
    }

    pub(crate) fn to_header(self) -> ETag {
        ETag::Strong(self.to_string())
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.digest) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)?;
        if self.parts > 0 {
            write!(f, "-{}", self.parts)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_bytes_is_their_md5() {
        // RFC 1321, appendix A.5
        assert_eq!(EntityTag::of_bytes(b"").to_string(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(EntityTag::of_bytes(b"abc").to_string(), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn the_tag_of_parts_counts_them() {
        // md5 of the two raw digests of "abc" and "", made with: (printf abc | openssl md5 -binary; printf '' |
        // openssl md5 -binary) | md5sum
        let tag = EntityTag::of_parts([b"abc".as_slice(), b""].into_iter().map(EntityTag::of_bytes));
        assert_eq!(tag.to_string(), "fdf1fdf1567f6942ffe1743f1e72301e-2");
    }
}
