//! [`Attributes`]: what a file has beside its bytes, and the text form in which stores keep it.
//!
//! The text form is a short list of names and values: S3 has them as user metadata (`x-amz-meta-forebay-NAME`), an upload
//! of `file://` as lines of a file. Values are printable ASCII, so that they are header values.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// Extended attributes by name, such as `user.note`.
pub type Xattrs = BTreeMap<Box<str>, Box<[u8]>>;

/// What a store keeps beside an object's bytes. A field that is `None` or empty is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, `0o7777` at most.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// The time of the last change that the file shows. [`crate::Meta::modified`] is the store's.
    pub modified: Option<SystemTime>,
    /// The object's bytes are the target of a symbolic link.
    pub is_symlink: bool,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Names the write that made the object: a writer which lost the answer finds its own work by it.
    pub write_id: Option<Box<str>>,
}

impl Attributes {
    /// "The user-defined metadata is limited to 2 KB in size", names included: "Working with object metadata" in the
    /// Amazon S3 user guide.
    pub const LEN_BYTES_MAX: usize = 2 << 10;
    /// In front of the names of the text form on S3.
    pub(crate) const PREFIX: &str = "forebay-";

    /// Length of the text form as S3 counts it; more than [`Self::LEN_BYTES_MAX`] is refused by the store.
    pub fn len_bytes(&self) -> usize {
        self.to_pairs().iter().map(|(name, value)| Self::PREFIX.len() + name.len() + value.len()).sum()
    }

    /// The text form.
    pub(crate) fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.mode.map(|mode| ("mode", format!("{mode:o}"))));
        pairs.extend(self.uid.map(|uid| ("uid", uid.to_string())));
        pairs.extend(self.gid.map(|gid| ("gid", gid.to_string())));
        pairs.extend(self.modified.map(|time| ("mtime", time_text(time))));
        if self.is_symlink {
            pairs.push(("type", "symlink".to_owned()));
        }
        if !self.xattrs.is_empty() {
            pairs.push(("xattrs", xattrs_text(&self.xattrs)));
        }
        pairs.extend(self.write_id.as_ref().map(|id| ("write", id.to_string())));
        pairs
    }

    /// Reads the text form. What is unknown or broken counts as absent: others may write to the store too.
    pub(crate) fn from_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut attributes = Self::default();
        for (name, value) in pairs {
            match name {
                "mode" => attributes.mode = u32::from_str_radix(value, 8).ok().map(|mode| mode & 0o7777),
                "uid" => attributes.uid = value.parse().ok(),
                "gid" => attributes.gid = value.parse().ok(),
                "mtime" => attributes.modified = parse_time(value),
                "type" => attributes.is_symlink = value == "symlink",
                "xattrs" => attributes.xattrs = parse_xattrs(value),
                "write" => attributes.write_id = Some(value.into()),
                _ => {}
            }
        }
        attributes
    }
}

/// Seconds since 1970, with a sign before it, and nine digits of nanoseconds counted upwards.
fn time_text(time: SystemTime) -> String {
    let (seconds, nanoseconds) = seconds_and_nanoseconds(time);
    format!("{seconds}.{nanoseconds:09}")
}

/// As `timespec` has them: the nanoseconds count upwards also before 1970.
pub(crate) fn seconds_and_nanoseconds(time: SystemTime) -> (i64, u32) {
    let whole = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (whole(since.as_secs()), since.subsec_nanos()),
        Err(before) => match before.duration() {
            before if before.subsec_nanos() == 0 => (-whole(before.as_secs()), 0),
            before => (-whole(before.as_secs()) - 1, 1_000_000_000 - before.subsec_nanos()),
        },
    }
}

fn parse_time(text: &str) -> Option<SystemTime> {
    let (seconds, nanoseconds) = text.split_once('.')?;
    let nanoseconds: u32 = nanoseconds.parse().ok().filter(|_| nanoseconds.len() == 9)?;
    let seconds: i64 = seconds.parse().ok()?;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let whole = match seconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance)?,
        false => SystemTime::UNIX_EPOCH.checked_add(distance)?,
    };
    whole.checked_add(Duration::from_nanos(nanoseconds.into()))
}

/// `name=value&name=value`, percent-encoded.
fn xattrs_text(xattrs: &Xattrs) -> String {
    let mut text = String::new();
    for (name, value) in xattrs {
        if !text.is_empty() {
            text.push('&');
        }
        push_encoded(&mut text, name.as_bytes());
        text.push('=');
        push_encoded(&mut text, value);
    }
    text
}

fn parse_xattrs(text: &str) -> Xattrs {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((String::from_utf8(decoded(name)?).ok()?.into(), decoded(value)?.into()))
    };
    text.split('&').filter_map(pair).collect()
}

fn push_encoded(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(*byte));
            }
            byte => write!(text, "%{byte:02X}").expect("a String takes all text"),
        }
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through_text(attributes: &Attributes) -> Attributes {
        let pairs = attributes.to_pairs();
        assert!(pairs.iter().all(|(_, value)| value.bytes().all(|byte| byte.is_ascii_graphic())));
        Attributes::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())))
    }

    proptest! {
        #[test]
        fn attributes_survive_their_text_form(
            mode in proptest::option::of(0u32..0o10000),
            uid in proptest::option::of(any::<u32>()),
            seconds in -5_000_000_000i64..5_000_000_000,
            nanoseconds in 0u32..1_000_000_000,
            is_symlink in any::<bool>(),
            xattrs in proptest::collection::btree_map("user[.].{1,9}", proptest::collection::vec(any::<u8>(), 0..9), 0..4),
        ) {
            let modified = parse_time(&format!("{seconds}.{nanoseconds:09}"));
            prop_assert!(modified.is_some());
            let xattrs = xattrs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            let write_id = Some("host-1".into());
            let attributes = Attributes { mode, uid, gid: uid, modified, is_symlink, xattrs, write_id };
            prop_assert_eq!(through_text(&attributes), attributes);
        }
    }

    #[test]
    fn broken_text_counts_as_absent() {
        let pairs = [("mode", "9"), ("uid", "-1"), ("mtime", "1.5"), ("xattrs", "a=%zz&b=1"), ("new", "x")];
        let read = Attributes::from_pairs(pairs.into_iter());
        let xattrs = [("b".into(), b"1"[..].into())].into();
        assert_eq!(read, Attributes { xattrs, ..Attributes::default() });
    }

    #[test]
    fn nothing_has_no_length() {
        assert_eq!(Attributes::default().len_bytes(), 0);
        let mode = Attributes { mode: Some(0o644), ..Attributes::default() };
        assert_eq!(mode.len_bytes(), "forebay-mode644".len());
    }
}
