//! Multipart uploads.

use bytes::Bytes;
use ufs::{
    Attributes, ByteRange, CopySource, Error, ListDepth, PartNumber, PutCondition, UploadId, UploadedPart,
};

use crate::fixture::{Fixture, key, pattern};

/// The shortest part that every store takes.
const PART: usize = 5 << 20;
const NAME: &str = "up load/+ä";

async fn part(fixture: &Fixture, upload: &UploadId, number: u16, data: Bytes) -> UploadedPart {
    fixture.store.multipart_put(&key(NAME), upload, PartNumber(number), data).await.expect("a part")
}

async fn create(fixture: &Fixture) -> UploadId {
    fixture.store.multipart_create(&key(NAME), &Attributes::default()).await.expect("an upload")
}

async fn complete(
    fixture: &Fixture,
    upload: &UploadId,
    parts: &[UploadedPart],
    condition: &PutCondition,
) -> ufs::Result<ufs::Meta> {
    fixture.store.multipart_complete(&key(NAME), upload, parts, condition).await
}

async fn assert_content(fixture: &Fixture, expected: &Bytes, meta: &ufs::Meta) {
    assert_eq!(meta.size_bytes, expected.len() as u64);
    let read = fixture.read(NAME, Some(&meta.version), 0, meta.size_bytes).await.expect("whole");
    assert!(read == *expected, "the parts are not the object");
}

pub(crate) async fn parts_become_one_object(fixture: &Fixture) {
    let data = pattern(3, 2 * PART + 1234);
    let upload = create(fixture).await;
    // Out of order, and the second part twice: the last one counts.
    let third = part(fixture, &upload, 3, data.slice(2 * PART..)).await;
    part(fixture, &upload, 2, pattern(99, PART)).await;
    let first = part(fixture, &upload, 1, data.slice(..PART)).await;
    let second = part(fixture, &upload, 2, data.slice(PART..2 * PART)).await;
    assert!(fixture.list_all("", ListDepth::Recursive).await.is_empty(), "visible before it is complete");
    let meta =
        complete(fixture, &upload, &[first, second, third], &PutCondition::Always).await.expect("completed");
    assert_eq!(fixture.store.stat(&key(NAME)).await.expect("is there"), meta);
    assert_content(fixture, &data, &meta).await;
    assert_eq!(fixture.list_all("", ListDepth::Recursive).await, [NAME]);
}

pub(crate) async fn an_upload_is_resumed_from_its_list(fixture: &Fixture) {
    let data = pattern(4, PART + 10);
    let upload = create(fixture).await;
    let sent = part(fixture, &upload, 1, data.slice(..PART)).await;
    let held = fixture.store.multipart_list(&key(NAME), &upload).await.expect("listed");
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].number, held[0].size_bytes), (sent.number, sent.size_bytes));
    let rest = part(fixture, &upload, 2, data.slice(PART..)).await;
    let parts = [held[0].clone(), rest];
    let meta = complete(fixture, &upload, &parts, &PutCondition::Always).await.expect("completed");
    assert_content(fixture, &data, &meta).await;
}

pub(crate) async fn an_aborted_upload_is_gone(fixture: &Fixture) {
    let upload = create(fixture).await;
    let sent = part(fixture, &upload, 1, Bytes::from_static(b"x")).await;
    for _ in 0..2 {
        fixture.store.multipart_abort(&key(NAME), &upload).await.expect("gone after it");
    }
    let error = fixture.store.multipart_list(&key(NAME), &upload).await.expect_err("aborted");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let error = complete(fixture, &upload, &[sent], &PutCondition::Always).await.expect_err("aborted");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert!(fixture.list_all("", ListDepth::Recursive).await.is_empty());
}

pub(crate) async fn parts_are_copied_from_a_version(fixture: &Fixture) {
    let old = pattern(5, PART + 1000);
    let base = fixture.put(NAME, old.clone()).await;
    let source = CopySource { key: key(NAME), version: base.version.clone() };
    let upload = create(fixture).await;
    let copy = async |number, range| {
        let (name, range) = (key(NAME), ByteRange::new(range));
        fixture.store.multipart_copy(&name, &upload, PartNumber(number), &source, range).await
    };
    let first = copy(1, 0..PART as u64).await.expect("copied");
    assert_eq!(first.size_bytes, PART as u64);
    for outside in [7..7, 1000..old.len() as u64 + 1] {
        let error = copy(2, outside).await.expect_err("not inside");
        assert!(matches!(error, Error::InvalidRange { .. } | Error::Config { .. }), "{error:?}");
    }
    let tail = part(fixture, &upload, 2, pattern(6, 3000)).await;
    let condition = PutCondition::IfVersion(base.version.clone());
    let meta = complete(fixture, &upload, &[first, tail], &condition).await.expect("completed");
    let expected = [&old[..PART], &pattern(6, 3000)[..]].concat().into();
    assert_content(fixture, &expected, &meta).await;
    let upload = create(fixture).await;
    let range = ByteRange::new(0..10);
    let stale = fixture.store.multipart_copy(&key(NAME), &upload, PartNumber(1), &source, range).await;
    let error = stale.expect_err("the source was replaced");
    assert!(matches!(error, Error::Changed { .. }), "{error:?}");
    fixture.store.multipart_abort(&key(NAME), &upload).await.expect("aborted");
}

pub(crate) async fn a_condition_guards_completion(fixture: &Fixture) {
    let before = fixture.put(NAME, "before").await;
    let upload = create(fixture).await;
    let parts = [part(fixture, &upload, 1, Bytes::from_static(b"after")).await];
    let error = complete(fixture, &upload, &parts, &PutCondition::IfAbsent).await.expect_err("present");
    assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
    assert_eq!(fixture.store.stat(&key(NAME)).await.expect("untouched"), before);
    let condition = PutCondition::IfVersion(before.version);
    let meta = complete(fixture, &upload, &parts, &condition).await.expect("same version");
    assert_content(fixture, &Bytes::from_static(b"after"), &meta).await;
}
