//! ListObjectsV2: one page from an ordered map.
//!
//! With a delimiter, all keys below a common prefix are stepped over at once: a page costs O(entries x log keys), never
//! a walk over what it folds. A continuation token holds the last entry of the page in hex, so it stays valid when
//! keys come and go.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use s3s::{S3Result, s3_error};

use super::version::Version;

/// S3's limit of a page.
pub(crate) const PAGE_KEYS_MAX: usize = 1000;

/// What to list.
#[derive(Debug, Default)]
pub(crate) struct ListQuery<'a> {
    pub(crate) prefix: &'a str,
    /// Empty: no folding.
    pub(crate) delimiter: &'a str,
    pub(crate) after: Option<Position>,
    pub(crate) keys_max: usize,
}

/// Where a page begins: behind a key, or behind everything below a common prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Key(String),
    CommonPrefix(String),
}

impl Position {
    pub(crate) fn to_token(&self) -> String {
        let (kind, text) = match self {
            Position::Key(text) => ('k', text),
            Position::CommonPrefix(text) => ('p', text),
        };
        text.bytes().fold(String::from(kind), |mut token, byte| {
            token.extend(
                [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')),
            );
            token
        })
    }

    pub(crate) fn from_token(token: &str) -> S3Result<Position> {
        Self::parse_token(token)
            .ok_or_else(|| s3_error!(InvalidArgument, "not a continuation token: {token}"))
    }

    fn parse_token(token: &str) -> Option<Position> {
        let hex = token.get(1..)?.as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let bytes: Option<Vec<u8>> =
            hex.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
        let text = String::from_utf8(bytes?).ok()?;
        match token.as_bytes()[0] {
            b'k' => Some(Position::Key(text)),
            b'p' => Some(Position::CommonPrefix(text)),
            _ => None,
        }
    }

    /// The key or prefix itself.
    pub(crate) fn into_text(self) -> String {
        match self {
            Position::Key(text) | Position::CommonPrefix(text) => text,
        }
    }

    fn lower_bound(&self) -> Bound<String> {
        match self {
            Position::Key(key) => Bound::Excluded(key.clone()),
            Position::CommonPrefix(prefix) => successor(prefix).map_or(Bound::Unbounded, Bound::Included),
        }
    }

    /// Whether nothing can come behind this position.
    fn is_end(&self) -> bool {
        matches!(self, Position::CommonPrefix(prefix) if successor(prefix).is_none())
    }
}

/// One page: keys and common prefixes, each in order, and where the next page begins if there is one.
#[derive(Debug, Default)]
pub(crate) struct ListPage {
    pub(crate) keys: Vec<(String, Arc<Version>)>,
    pub(crate) common_prefixes: Vec<String>,
    pub(crate) next: Option<Position>,
}

impl ListPage {
    pub(crate) fn len(&self) -> usize {
        self.keys.len() + self.common_prefixes.len()
    }
}

/// The page of `objects` that `query` asks for.
pub(crate) fn page(objects: &BTreeMap<Box<str>, Arc<Version>>, query: &ListQuery<'_>) -> ListPage {
    let mut page = ListPage::default();
    let mut last: Option<Position> = None;
    let mut start = first_bound(query);
    'ranges: loop {
        let range = (start.as_ref().map(String::as_str), Bound::Unbounded);
        for (key, version) in objects.range::<str, _>(range) {
            if !key.starts_with(query.prefix) {
                break 'ranges;
            }
            if page.len() == query.keys_max {
                page.next = last;
                break 'ranges;
            }
            if let Some(folded) = common_prefix(key, query) {
                let position = Position::CommonPrefix(folded.to_owned());
                if position.is_end() {
                    page.common_prefixes.push(folded.to_owned());
                    break 'ranges;
                }
                start = position.lower_bound();
                page.common_prefixes.push(folded.to_owned());
                last = Some(position);
                continue 'ranges;
            }
            page.keys.push((key.to_string(), Arc::clone(version)));
            last = Some(Position::Key(key.to_string()));
        }
        break;
    }
    page
}

/// The later of the query's start and its prefix.
fn first_bound(query: &ListQuery<'_>) -> Bound<String> {
    let prefix = Bound::Included(query.prefix.to_owned());
    let Some(after) = &query.after else { return prefix };
    // start-after within a group that a delimiter folds still reports the group, as S3 does
    match after.lower_bound() {
        Bound::Included(text) | Bound::Excluded(text) if text.as_str() < query.prefix => prefix,
        bound => bound,
    }
}

/// `prefix..=delimiter` of a key that the query folds.
fn common_prefix<'k>(key: &'k str, query: &ListQuery<'_>) -> Option<&'k str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = &key[query.prefix.len()..];
    rest.find(query.delimiter).map(|at| &key[..query.prefix.len() + at + query.delimiter.len()])
}

/// The least string above all that begin with `prefix`; UTF-8 orders strings as their code points.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::content::Content;
    use crate::store::version::{Attributes, EntityTag};
    use bytes::Bytes;

    fn objects(keys: &[&str]) -> BTreeMap<Box<str>, Arc<Version>> {
        let version = || {
            Arc::new(Version::new(
                Content::from(Bytes::new()),
                EntityTag::of_bytes(b""),
                Attributes::default(),
            ))
        };
        keys.iter().map(|key| (Box::from(*key), version())).collect()
    }

    /// All pages of `keys_max` entries each, as one list.
    fn walk(keys: &[&str], prefix: &str, delimiter: &str, keys_max: usize) -> (Vec<String>, Vec<String>) {
        let objects = objects(keys);
        let (mut all_keys, mut all_prefixes) = (Vec::new(), Vec::new());
        let mut after = None;
        for _ in 0..=keys.len() {
            let got = page(&objects, &ListQuery { prefix, delimiter, after, keys_max });
            assert!(got.len() <= keys_max);
            all_keys.extend(got.keys.into_iter().map(|(key, _)| key));
            all_prefixes.extend(got.common_prefixes);
            let Some(next) = got.next else { return (all_keys, all_prefixes) };
            after = Some(Position::from_token(&next.to_token()).unwrap());
        }
        panic!("the listing does not end");
    }

    #[test]
    fn pages_of_any_size_give_the_same_listing() {
        let keys = ["a", "b/1", "b/2", "b0", "c/", "c/d/e", "z\u{10ffff}", "z\u{10ffff}/x", "\u{10ffff}/y"];
        for keys_max in 1..12 {
            assert_eq!(walk(&keys, "", "", keys_max), (keys.map(String::from).to_vec(), vec![]));
            let (found, folded) = walk(&keys, "", "/", keys_max);
            assert_eq!(found, ["a", "b0", "z\u{10ffff}"]);
            assert_eq!(folded, ["b/", "c/", "z\u{10ffff}/", "\u{10ffff}/"]);
            let (found, folded) = walk(&keys, "c/", "/", keys_max);
            assert_eq!((found, folded), (vec!["c/".to_owned()], vec!["c/d/".to_owned()]));
        }
    }

    #[test]
    fn a_last_full_page_is_not_truncated() {
        let objects = objects(&["a", "b"]);
        let got = page(&objects, &ListQuery { keys_max: 2, ..ListQuery::default() });
        assert_eq!((got.len(), got.next), (2, None));
    }

    #[test]
    fn a_foreign_token_is_refused() {
        for token in ["", "k6", "x61", "k6g", "kff", "€61"] {
            assert!(Position::from_token(token).is_err(), "{token:?}");
        }
    }
}
