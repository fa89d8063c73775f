//! [`PackedVersion`]: a store's version text in fewer bytes.
//!
//! An S3 ETag is the hexadecimal of 16 bytes, with `-` and the number of parts behind it after a multipart upload. Half
//! of a known file's memory would be that text, so it is kept as the bytes that it stands for.

use ufs::Version;

const RAW: u8 = 0;
const MD5: u8 = 1;
const MD5_PARTS: u8 = 2;

/// A version, packed; equal versions are equal packed. The first byte says which form follows:
/// 0 the text itself; 1 the 16 bytes of 32 lower-case hexadecimal digits; 2 the same, then the decimal number that
/// came behind a `-`, as 4 bytes, low first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PackedVersion(Box<[u8]>);

impl PackedVersion {
    pub(super) fn new(version: &Version) -> Self {
        let text = version.as_str();
        Self(pack_etag(text).unwrap_or_else(|| [&[RAW], text.as_bytes()].concat().into()))
    }

    /// Takes bytes that [`as_bytes`](Self::as_bytes) gave; `None` when they cannot be such.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let valid = match bytes.split_first()? {
            (&RAW, text) => std::str::from_utf8(text).is_ok(),
            (&MD5, rest) => rest.len() == 16,
            (&MD5_PARTS, rest) => rest.len() == 20,
            _ => false,
        };
        valid.then(|| Self(bytes.into()))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn unpack(&self) -> Version {
        match self.0.split_first() {
            Some((&MD5, digest)) => Version::new(hex(digest)),
            Some((&MD5_PARTS, rest)) => {
                let (digest, parts) = rest.split_at(16);
                let parts = parts.iter().rev().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
                Version::new(format!("{}-{parts}", hex(digest)))
            }
            Some((_, text)) => Version::new(String::from_utf8_lossy(text)),
            None => Version::new(""),
        }
    }
}

fn pack_etag(text: &str) -> Option<Box<[u8]>> {
    let (digits, parts) = match text.split_once('-') {
        Some((digits, parts)) => (digits, Some(canonical_decimal(parts)?)),
        None => (text, None),
    };
    if digits.len() != 32 {
        return None;
    }
    let mut packed = [0; 21];
    packed[0] = if parts.is_some() { MD5_PARTS } else { MD5 };
    for (byte, pair) in packed[1..17].iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    let Some(parts) = parts else { return Some(packed[..17].into()) };
    packed[17..].copy_from_slice(&parts.to_le_bytes());
    Some(packed.into())
}

/// The number, if it is written as Rust would write it.
fn canonical_decimal(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed_len(text: &str) -> usize {
        let packed = PackedVersion::new(&Version::new(text));
        assert_eq!(packed.unpack().as_str(), text);
        assert_eq!(PackedVersion::from_bytes(packed.as_bytes()), Some(packed.clone()));
        packed.as_bytes().len()
    }

    #[test]
    fn etags_take_half_and_all_texts_come_back() {
        assert_eq!(packed_len("d41d8cd98f00b204e9800998ecf8427e"), 17);
        assert_eq!(packed_len("d41d8cd98f00b204e9800998ecf8427e-10000"), 21);
        for raw in ["", "-", "D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e-01", "ü-1"]
        {
            assert_eq!(packed_len(raw), raw.len() + 1);
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        for bytes in [&[][..], &[1, 2], &[2; 17], &[3], &[0, 0xff]] {
            assert_eq!(PackedVersion::from_bytes(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "[0-9a-f]{30,33}(-[0-9]{0,11})?|.{0,40}") {
            packed_len(&text);
        }
    }
}
