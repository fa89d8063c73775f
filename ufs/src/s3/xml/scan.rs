//! A page of a listing in the form in which servers write it, read without a general parser.
//!
//! A page has 14 tags a key, so a listing of a million keys is mostly XML. The scanner goes from `<` to `>` and borrows the
//! texts from the body: a tenth of the general parser's time. It knows tags, texts and the five named entities;
//! whatever else XML has (comments, CDATA, further declarations, broken nesting, ..) it leaves to the general
//! parser by giving `None`. A property test holds one against the other.

use std::borrow::Cow;

use memchr::memchr;
use quick_xml::escape::unescape;

use super::{ListBuilder, ListText};

/// Elements inside each other; a listing has four.
const DEPTH_MAX: usize = 16;

/// Reads a page; `None` when it is not in the plain form.
pub(super) fn scan(body: &[u8]) -> Option<ListText<'_>> {
    let mut scanner = Scanner::new(std::str::from_utf8(body).ok()?);
    let mut builder = ListBuilder::default();
    while let Some(tag) = scanner.next_tag()? {
        match tag {
            Tag::Start(name) => builder.enter(name.as_bytes()),
            Tag::End(name, text) => builder.leave(name.as_bytes(), text),
            Tag::Empty(name) => {
                builder.enter(name.as_bytes());
                builder.leave(name.as_bytes(), Cow::Borrowed(""));
            }
        }
    }
    builder.finish().ok()
}

/// With the name behind its namespace's prefix.
enum Tag<'a> {
    Start(&'a str),
    /// With the text since the last tag.
    End(&'a str, Cow<'a, str>),
    Empty(&'a str),
}

struct Scanner<'a> {
    rest: &'a str,
    /// Whole names of the elements around.
    open: [&'a str; DEPTH_MAX],
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn new(body: &'a str) -> Self {
        let body = body.strip_prefix('\u{feff}').unwrap_or(body);
        let declared = body.strip_prefix("<?xml ").and_then(|rest| rest.split_once("?>"));
        Self { rest: declared.map_or(body, |(_, rest)| rest), open: [""; DEPTH_MAX], depth: 0 }
    }

    /// `Some(None)` at the end, `None` where only the general parser can tell what this is.
    fn next_tag(&mut self) -> Option<Option<Tag<'a>>> {
        let Some(start) = memchr(b'<', self.rest.as_bytes()) else {
            unescaped(self.rest)?;
            return (self.depth == 0).then_some(None);
        };
        let (text, tag) = (&self.rest[..start], &self.rest[start + 1..]);
        let end = memchr(b'>', tag.as_bytes())?;
        self.rest = &tag[end + 1..];
        let tag = &tag[..end];
        match tag.strip_prefix('/') {
            Some(name) => self.leave(name, text).map(Some),
            None => {
                unescaped(text)?;
                self.enter(tag).map(Some)
            }
        }
    }

    fn leave(&mut self, name: &'a str, text: &'a str) -> Option<Tag<'a>> {
        self.depth = self.depth.checked_sub(1)?;
        if self.open[self.depth] != name {
            return None;
        }
        let name = local(name);
        let quoted = (name == "ETag").then(|| quoted_by_entities(text)).flatten();
        let text = quoted.map_or_else(|| unescaped(text), |bare| Some(Cow::Borrowed(bare)))?;
        Some(Tag::End(name, text))
    }

    fn enter(&mut self, tag: &'a str) -> Option<Tag<'a>> {
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split_once(is_space).map_or(tag, |(name, attributes)| {
            // A `>` inside a value would have ended the tag early, and left a quote open.
            let is_closed = !attributes.contains('\'') && attributes.matches('"').count() % 2 == 0;
            if is_closed { name } else { "" }
        });
        if name.is_empty() || !name.bytes().all(is_name) {
            return None;
        }
        if !is_empty {
            *self.open.get_mut(self.depth)? = name;
            self.depth += 1;
        }
        Some(if is_empty { Tag::Empty(local(name)) } else { Tag::Start(local(name)) })
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// Names that S3 uses; others may be right in XML too.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-' | b'.')
}

fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

/// The inner part of an ETag as servers write it: `&quot;..&quot;`. Its quotes are dropped anyway.
fn quoted_by_entities(text: &str) -> Option<&str> {
    let bare = text.strip_prefix("&quot;")?.strip_suffix("&quot;")?;
    bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-').then_some(bare)
}

/// Most texts hold no entity.
fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if memchr(b'&', text.as_bytes()).is_none() { Some(Cow::Borrowed(text)) } else { unescape(text).ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse_generally;
    use super::*;

    /// Pieces of which pages are made, right ones and wrong ones.
    fn piece() -> impl Strategy<Value = String> {
        let text = prop_oneof![
            "[a-z%/.0-9 \"'\\]-]{0,12}",
            Just("&quot;70ee1738b6b21e2c8a43f3a5ab0eee71-3&quot;".to_owned()),
            Just("a&amp;b&#x26;&lt;&#65;".to_owned()),
            Just("&nope;".to_owned()),
            Just("a & b > c".to_owned()),
            Just("\u{fc}\u{1f600}".to_owned()),
        ];
        let name = prop::sample::select(vec![
            "Contents",
            "Key",
            "Size",
            "ETag",
            "LastModified",
            "Owner",
            "CommonPrefixes",
            "Prefix",
            "s3:Key",
            "IsTruncated",
            "NextContinuationToken",
            "EncodingType",
            "ListBucketResult",
        ]);
        prop_oneof![
            8 => (name.clone(), text.clone()).prop_map(|(name, text)| format!("<{name}>{text}</{name}>")),
            4 => (name.clone(), name.clone(), text.clone()).prop_map(|(outer, inner, text)| {
                format!("<{outer}><{inner}>{text}</{inner}>x</{outer}>")
            }),
            1 => name.clone().prop_map(|name| format!("<{name}/>")),
            1 => name.clone().prop_map(|name| format!("<{name} a=\"b>c\" d=\"/\">")),
            1 => name.clone().prop_map(|name| format!("<{name} a='b\"c'/>")),
            1 => name.clone().prop_map(|name| format!("<{name}>")),
            1 => name.prop_map(|name| format!("</{name} >")),
            1 => text,
            1 => Just("<!-- <Key>no</Key> -->".to_owned()),
            1 => Just("<![CDATA[<Key>&amp;]]>".to_owned()),
            1 => Just("<?php ?>".to_owned()),
        ]
    }

    fn page() -> impl Strategy<Value = String> {
        let start =
            prop::sample::select(vec!["", "\u{feff}", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"]);
        (start, prop::collection::vec(piece(), 0..12)).prop_map(|(start, pieces)| {
            format!("{start}<ListBucketResult>{}</ListBucketResult>", pieces.concat())
        })
    }

    proptest! {
        #[test]
        fn what_is_scanned_is_what_the_general_parser_reads(page in page(), cut in any::<prop::sample::Index>()) {
            for body in [page.as_bytes(), &page.as_bytes()[..cut.index(page.len() + 1)]] {
                if let Some(scanned) = scan(body) {
                    let general = parse_generally(body);
                    prop_assert!(general.is_ok(), "{:?} in {:?}", general, String::from_utf8_lossy(body));
                    prop_assert_eq!(scanned, general.expect("checked"));
                }
            }
        }

        #[test]
        fn any_bytes_end_well(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(scanned) = scan(&body) {
                prop_assert_eq!(Some(scanned), parse_generally(&body).ok());
            }
        }
    }

    #[test]
    fn pages_of_real_servers_are_in_the_plain_form() {
        let amazon = super::super::tests::LIST;
        let ceph = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Name>b</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents>\
            <Key>a</Key><LastModified>2026-11-30T00:00:00.000Z</LastModified><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag>\
            <Size>0</Size><StorageClass>STANDARD</StorageClass><Owner><ID>x</ID><DisplayName>y</DisplayName></Owner>\
            <Type>Normal</Type></Contents><Marker></Marker></ListBucketResult>";
        for page in [amazon, ceph] {
            let scanned = scan(page.as_bytes()).expect("plain");
            assert_eq!(scanned, parse_generally(page.as_bytes()).expect("well-formed"));
        }
    }
}
