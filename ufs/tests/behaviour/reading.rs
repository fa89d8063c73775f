//! `stat` and `read`.

use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use ufs::{ByteRange, Error};

use crate::fixture::{Fixture, key, pattern};

pub(crate) async fn stat_tells_what_put_told(fixture: &Fixture) {
    let before = SystemTime::now();
    let put = fixture.put("a/b", "12345").await;
    let stat = fixture.store.stat(&key("a/b")).await.expect("is there");
    assert_eq!(stat, put);
    assert_eq!(stat.size_bytes, 5);
    let away = stat.modified.duration_since(before).unwrap_or_else(|error| error.duration());
    assert!(away < Duration::from_secs(60), "{away:?} away from now");
    for absent in ["a", "a/", "a/c", "a/b/c", "b", "..", "a/../a/b"] {
        let error = fixture.store.stat(&key(absent)).await.expect_err(absent);
        assert!(matches!(error, Error::NotFound { .. }), "{absent}: {error:?}");
    }
}

pub(crate) async fn ranges_are_exact_at_all_edges(fixture: &Fixture) {
    let size = (3 << 20) + 17;
    let data = pattern(1, size);
    let meta = fixture.put("large", data.clone()).await;
    let mib = 1 << 20;
    let ranges = [
        (0, 1),
        (0, size),
        (size - 1, size),
        (1, size - 1),
        (mib - 1, mib + 1),
        (mib, 2 * mib),
        (4095, 4097),
        (2 * mib - 7, size),
        (0, mib),
    ];
    for (start, end) in ranges {
        for version in [None, Some(&meta.version)] {
            let read = fixture.read("large", version, start as u64, end as u64).await.expect("inside");
            assert!(read == data[start..end], "{start}..{end}: {} bytes differ", read.len());
        }
    }
}

pub(crate) async fn bytes_outside_are_refused(fixture: &Fixture) {
    let meta = fixture.put("ten", "0123456789").await;
    for (start, end) in [(0, 0), (5, 5), (7, 3), (0, 11), (9, 11), (10, 11), (1 << 40, (1 << 40) + 1)] {
        let error = fixture.read("ten", Some(&meta.version), start, end).await.expect_err("outside");
        let exact = matches!(error, Error::InvalidRange { start: s, end: e, .. } if (s, e) == (start, end));
        assert!(exact, "{start}..{end}: {error:?}");
    }
    let error = fixture.read("none", Some(&meta.version), 0, 1).await.expect_err("absent");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

pub(crate) async fn empty_objects_have_no_bytes_to_read(fixture: &Fixture) {
    let meta = fixture.put("empty", "").await;
    assert_eq!(meta.size_bytes, 0);
    assert_eq!(fixture.store.stat(&key("empty")).await.expect("is there"), meta);
    for (start, end) in [(0, 0), (0, 1)] {
        let error = fixture.read("empty", Some(&meta.version), start, end).await.expect_err("no bytes");
        assert!(matches!(error, Error::InvalidRange { .. }), "{error:?}");
    }
}

pub(crate) async fn another_version_is_refused(fixture: &Fixture) {
    let first = fixture.put("k", "first").await;
    let second = fixture.put("k", "other").await;
    assert_ne!(first.version, second.version);
    let error = fixture.read("k", Some(&first.version), 0, 5).await.expect_err("replaced");
    assert!(matches!(&error, Error::Changed { wanted, .. } if *wanted == first.version), "{error:?}");
    assert_eq!(fixture.read("k", Some(&second.version), 0, 5).await.expect("current"), "other");
    fixture.store.delete(&key("k"), None).await.expect("deleted");
    let error = fixture.read("k", Some(&second.version), 0, 5).await.expect_err("deleted");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

/// Versions of equal size are put one after the other while readers go on; each body is one version whole, or ends in
/// [`Error::Changed`].
pub(crate) async fn readers_never_see_two_versions_mixed(fixture: &Fixture) {
    const SIZE: usize = 2 << 20;
    const VERSIONS: u64 = 12;
    fixture.put("k", pattern(0, SIZE)).await;
    let writer = async {
        for seed in 1..=VERSIONS {
            fixture.put("k", pattern(seed, SIZE)).await;
        }
    };
    let reader = async {
        let mut whole = 0;
        for _ in 0..3 * VERSIONS {
            let meta = fixture.store.stat(&key("k")).await.expect("always there");
            match read_slowly(fixture, &meta).await {
                Ok(data) => {
                    let same = (0..=VERSIONS).any(|seed| data == pattern(seed, SIZE));
                    assert!(same, "a body of {} bytes is no version", data.len());
                    whole += 1;
                }
                Err(Error::Changed { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        whole
    };
    let ((), whole) = tokio::join!(writer, reader);
    assert!(whole > 0, "no read came through");
}

async fn read_slowly(fixture: &Fixture, meta: &ufs::Meta) -> ufs::Result<Vec<u8>> {
    let range = ByteRange::new(0..meta.size_bytes);
    let mut body = fixture.store.read(&key("k"), Some(&meta.version), range).await?;
    let mut data = Vec::new();
    while let Some(chunk) = body.try_next().await? {
        data.extend_from_slice(&chunk);
        tokio::task::yield_now().await;
    }
    Ok(data)
}
