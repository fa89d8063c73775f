//! ListObjectsV2 over HTTP.

mod support;

use http::Method;
use support::Fixture;

/// Follows the continuation tokens to the end.
async fn list_all(fixture: &Fixture, query: &str) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
    let mut token = String::new();
    for _ in 0..100 {
        let page = fixture.get(&format!("/bkt?list-type=2&{query}{token}"), &[]).await;
        assert_eq!(page.status.as_u16(), 200, "{}", page.text());
        keys.extend(page.elements("Key").into_iter().map(String::from));
        let folded = page.elements("CommonPrefixes").into_iter();
        prefixes.extend(folded.map(|it| it.replace("<Prefix>", "").replace("</Prefix>", "")));
        if page.elements("IsTruncated") == ["false"] {
            return (keys, prefixes);
        }
        token = format!("&continuation-token={}", page.elements("NextContinuationToken")[0]);
    }
    panic!("the listing does not end");
}

#[tokio::test]
async fn pages_cover_prefixes_delimiters_and_starts() {
    let fixture = Fixture::start().await;
    for index in 0..25 {
        fixture.server.put("bkt", &format!("d{}/f{index:02}", index % 3), "x");
    }
    fixture.server.put("bkt", "top", "x");
    for max in [1, 2, 7, 1000] {
        let (keys, prefixes) = list_all(&fixture, &format!("max-keys={max}")).await;
        assert_eq!((keys.len(), prefixes.len()), (26, 0));
        assert!(keys.is_sorted());
        let (keys, prefixes) = list_all(&fixture, &format!("max-keys={max}&delimiter=%2F")).await;
        assert_eq!((keys, prefixes), (vec!["top".into()], vec!["d0/".into(), "d1/".into(), "d2/".into()]));
        let (keys, _) =
            list_all(&fixture, &format!("max-keys={max}&prefix=d1%2F&start-after=d1%2Ff10")).await;
        assert_eq!(keys, ["d1/f13", "d1/f16", "d1/f19", "d1/f22"]);
    }
}

#[tokio::test]
async fn an_entry_has_size_etag_and_time() {
    let fixture = Fixture::start().await;
    fixture.server.put("bkt", "k", "abc");
    let page = fixture.get("/bkt?list-type=2", &[]).await;
    assert_eq!(page.elements("Size"), ["3"]);
    assert!(page.elements("ETag")[0].contains("900150983cd24fb0d6963f7d28e17f72"));
    let head = fixture.send(Method::HEAD, "/bkt/k", &[], "").await;
    assert_eq!(head.header("content-length"), "3");
    assert!(page.elements("LastModified")[0].ends_with('Z'));
    assert_eq!(page.elements("KeyCount"), ["1"]);
}

#[tokio::test]
async fn names_are_url_encoded_on_demand() {
    let fixture = Fixture::start().await;
    fixture.server.put("bkt", "a b+ü\u{1}&<.txt", "x");
    let (keys, _) = list_all(&fixture, "encoding-type=url").await;
    assert_eq!(keys, ["a%20b%2B%C3%BC%01%26%3C.txt"]);
}

#[tokio::test]
async fn zero_keys_is_an_empty_page() {
    let fixture = Fixture::start().await;
    fixture.server.put("bkt", "k", "x");
    let page = fixture.get("/bkt?list-type=2&max-keys=0", &[]).await;
    assert_eq!((page.elements("Key").len(), page.elements("KeyCount")), (0, vec!["0"]));
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let fixture = Fixture::start().await;
    for key in ["a", "b", "c"] {
        fixture.server.put("bkt", key, "x");
    }
    let xml = "<Delete><Object><Key>a</Key></Object><Object><Key>c</Key></Object><Object><Key>z</Key></Object></Delete>";
    let reply = fixture.send(Method::POST, "/bkt?delete", &[], xml).await;
    assert_eq!((reply.status.as_u16(), reply.elements("Key")), (200, vec!["a", "c", "z"]));
    assert_eq!(list_all(&fixture, "").await.0, ["b"]);
    assert_eq!(fixture.server.stats().delete_objects, 1);
}
