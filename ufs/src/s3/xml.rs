//! The two XML answers that we read ourselves: a page of a listing and an error.
//!
//! A listing is read by a scanner ([`scan`]) if it is in the plain form that servers write; a pull parser over the body in
//! memory reads all else. Both look at element names without their namespace.
//! Source: `ListObjectsV2` and "Error responses" of the Amazon S3 API reference.

mod scan;

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use super::read::bare_etag;

/// `<Error>`; fields are empty when absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorText {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) region: Option<String>,
}

/// `<ListBucketResult>`, not yet decoded from `encoding-type=url`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListText<'a> {
    pub(super) objects: Vec<ObjectText<'a>>,
    pub(super) prefixes: Vec<Cow<'a, str>>,
    pub(super) truncated: bool,
    pub(super) next: Option<Cow<'a, str>>,
    pub(super) url_encoded: bool,
}

/// `<Contents>`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ObjectText<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) modified: Cow<'a, str>,
    /// Without its quotes.
    pub(super) etag: Cow<'a, str>,
    pub(super) size: Cow<'a, str>,
}

/// Why a listing cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum XmlError {
    #[error("broken XML")]
    Broken(#[from] quick_xml::Error),
    #[error("text that is not UTF-8")]
    Encoding(#[from] quick_xml::encoding::EncodingError),
    #[error("unknown entity {0:?}")]
    Entity(String),
    #[error("the answer is no list of objects")]
    NotAList,
}

/// Reads an error body; what is no XML, such as a proxy's page, gives empty fields.
pub(super) fn parse_error(body: &[u8]) -> ErrorText {
    let mut error = ErrorText::default();
    let mut depth = 0u32;
    // A body that is broken further down has given its code by then.
    walk(body, |step| match step {
        Step::Enter(_) => depth += 1,
        Step::Leave(name, text) => {
            if depth == 2 {
                match name {
                    b"Code" => error.code = std::mem::take(text),
                    b"Message" => error.message = std::mem::take(text),
                    b"Region" => error.region = Some(std::mem::take(text)),
                    _ => {}
                }
            }
            depth = depth.saturating_sub(1);
        }
    })
    .unwrap_or_else(|error| tracing::debug!(%error, "an error answer without readable XML"));
    error
}

/// Reads one page of a listing.
pub(super) fn parse_list(body: &[u8]) -> Result<ListText<'_>, XmlError> {
    scan::scan(body).map_or_else(|| parse_generally(body), Ok)
}

fn parse_generally(body: &[u8]) -> Result<ListText<'static>, XmlError> {
    let mut builder = ListBuilder::default();
    walk(body, |step| match step {
        Step::Enter(name) => builder.enter(name),
        Step::Leave(name, text) => builder.leave(name, Cow::Owned(std::mem::take(text))),
    })?;
    builder.finish()
}

/// A page in the making, from its elements in order.
#[derive(Default)]
struct ListBuilder<'a> {
    list: ListText<'a>,
    object: ObjectText<'a>,
    in_prefixes: bool,
    is_list: bool,
}

impl<'a> ListBuilder<'a> {
    fn enter(&mut self, name: &[u8]) {
        match name {
            b"ListBucketResult" => self.is_list = true,
            b"CommonPrefixes" => self.in_prefixes = true,
            _ => {}
        }
    }

    /// `text` is what stood behind the last tag.
    fn leave(&mut self, name: &[u8], text: Cow<'a, str>) {
        match name {
            b"Key" => self.object.key = text,
            b"LastModified" => self.object.modified = text,
            b"ETag" => self.object.etag = without_quotes(text),
            b"Size" => self.object.size = text,
            b"Contents" => self.list.objects.push(std::mem::take(&mut self.object)),
            b"Prefix" if self.in_prefixes => self.list.prefixes.push(text),
            b"CommonPrefixes" => self.in_prefixes = false,
            b"IsTruncated" => self.list.truncated = text == "true",
            b"NextContinuationToken" => self.list.next = Some(text),
            b"EncodingType" => self.list.url_encoded = text == "url",
            _ => {}
        }
    }

    fn finish(self) -> Result<ListText<'a>, XmlError> {
        if self.is_list { Ok(self.list) } else { Err(XmlError::NotAList) }
    }
}

fn without_quotes(etag: Cow<'_, str>) -> Cow<'_, str> {
    match etag {
        Cow::Borrowed(etag) => Cow::Borrowed(bare_etag(etag)),
        Cow::Owned(etag) => Cow::Owned(bare_etag(&etag).to_owned()),
    }
}

enum Step<'a> {
    Enter(&'a [u8]),
    /// With the text since the element, or a child of it, began or ended.
    Leave(&'a [u8], &'a mut String),
}

fn walk(body: &[u8], mut visit: impl FnMut(Step<'_>)) -> Result<(), XmlError> {
    let mut reader = Reader::from_reader(body);
    let mut text = String::new();
    loop {
        match reader.read_event()? {
            Event::Start(element) => {
                text.clear();
                visit(Step::Enter(element.local_name().as_ref()));
            }
            Event::End(element) => {
                visit(Step::Leave(element.local_name().as_ref(), &mut text));
                text.clear();
            }
            Event::Empty(element) => {
                text.clear();
                visit(Step::Enter(element.local_name().as_ref()));
                visit(Step::Leave(element.local_name().as_ref(), &mut text));
                text.clear();
            }
            Event::Text(piece) => text.push_str(&piece.decode()?),
            Event::CData(piece) => text.push_str(&piece.decode()?),
            Event::GeneralRef(entity) => text.push_str(&resolve(&entity)?),
            Event::Eof => return Ok(()),
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
        }
    }
}

fn resolve(entity: &BytesRef<'_>) -> Result<Cow<'static, str>, XmlError> {
    if let Some(character) = entity.resolve_char_ref()? {
        return Ok(Cow::Owned(character.to_string()));
    }
    let name = entity.decode()?;
    let text =
        quick_xml::escape::resolve_xml_entity(&name).ok_or_else(|| XmlError::Entity(name.into_owned()))?;
    Ok(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After the sample responses of `ListObjectsV2` in the Amazon S3 API reference.
    pub(super) const LIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>bucket</Name><Prefix>photos/</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>
  <Delimiter>/</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
  <NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>
  <Contents>
    <Key>photos/a%20b&amp;c.jpg</Key><LastModified>2014-11-21T19:40:05.000Z</LastModified>
    <ETag>&quot;70ee1738b6b21e2c8a43f3a5ab0eee71&quot;</ETag><Size>1111</Size>
    <Owner><ID>me</ID><DisplayName>Key</DisplayName></Owner><StorageClass>STANDARD</StorageClass>
  </Contents>
  <CommonPrefixes><Prefix>photos/2006/</Prefix></CommonPrefixes>
  <CommonPrefixes><Prefix>photos/2007/</Prefix></CommonPrefixes>
</ListBucketResult>"#;

    #[test]
    fn a_page_of_a_listing_is_read() {
        let list = parse_list(LIST.as_bytes()).expect("well-formed");
        let object = ObjectText {
            key: "photos/a%20b&c.jpg".into(),
            modified: "2014-11-21T19:40:05.000Z".into(),
            etag: "70ee1738b6b21e2c8a43f3a5ab0eee71".into(),
            size: "1111".into(),
        };
        assert_eq!(list.objects, [object]);
        assert_eq!(list.prefixes, ["photos/2006/", "photos/2007/"]);
        assert!(list.truncated && list.url_encoded);
        assert_eq!(list.next.as_deref(), Some("1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM="));
    }

    #[test]
    fn an_error_is_read_and_a_page_of_a_proxy_is_none() {
        let body = b"<Error><Code>NoSuchKey</Code><Message>gone &amp; lost</Message><Key>k</Key></Error>";
        let expected = ErrorText { code: "NoSuchKey".into(), message: "gone & lost".into(), region: None };
        assert_eq!(parse_error(body), expected);
        for body in ["", "plain", "<html><body><br>502</body></html>", "<Error><Code>"] {
            assert_eq!(parse_error(body.as_bytes()), ErrorText::default(), "{body}");
        }
    }

    #[test]
    fn other_documents_and_broken_ones_are_no_listing() {
        for body in
            ["", "<Error><Code>x</Code></Error>", "<ListBucketResult><Contents>", "<a>&nope;</a>", "</b>"]
        {
            let result = parse_list(body.as_bytes());
            assert!(
                result.is_err() || result.is_ok_and(|list| !list.truncated && list.objects.is_empty()),
                "{body}"
            );
        }
        assert!(matches!(parse_list(b"<html></html>"), Err(XmlError::NotAList)));
    }
}
