//! Conditional and ranged requests. Expected results are those of RFC 9110 sections 13 and 14, and for writes of the
//! Amazon S3 User Guide ("Add preconditions to S3 operations").

mod support;

use http::Method;
use support::Fixture;

const ABC: &str = "\"900150983cd24fb0d6963f7d28e17f72\"";
const OTHER: &str = "\"d41d8cd98f00b204e9800998ecf8427e\"";
const LONG_AGO: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const FAR_AWAY: &str = "Thu, 21 Oct 2100 07:28:00 GMT";

#[tokio::test]
async fn reads_follow_their_conditions() {
    let fixture = Fixture::start().await;
    fixture.server.put("bkt", "k", "abc");
    let cases: [(&[(&str, &str)], u16); 13] = [
        (&[], 200),
        (&[("if-match", ABC)], 200),
        (&[("if-match", "900150983cd24fb0d6963f7d28e17f72")], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", OTHER)], 412),
        (&[("if-none-match", OTHER)], 200),
        (&[("if-none-match", ABC)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-modified-since", FAR_AWAY)], 304),
        (&[("if-modified-since", LONG_AGO)], 200),
        (&[("if-unmodified-since", LONG_AGO)], 412),
        (&[("if-match", ABC), ("if-unmodified-since", LONG_AGO)], 200),
        (&[("if-none-match", OTHER), ("if-modified-since", FAR_AWAY)], 200),
    ];
    for (headers, status) in cases {
        for method in [Method::GET, Method::HEAD] {
            let reply = fixture.send(method.clone(), "/bkt/k", headers, "").await;
            assert_eq!(reply.status.as_u16(), status, "{method} {headers:?}");
            if status != 412 {
                assert_eq!(reply.header("etag"), ABC, "{method} {headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn ranges_are_served_or_refused() {
    let fixture = Fixture::start().await;
    fixture.server.put("bkt", "k", "0123456789");
    fixture.server.put("bkt", "empty", "");
    let cases = [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=3-", "3456789", "bytes 3-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=-20", "0123456789", "bytes 0-9/10"),
        ("bytes=9-100", "9", "bytes 9-9/10"),
    ];
    for (range, body, content_range) in cases {
        let reply = fixture.get("/bkt/k", &[("range", range)]).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (206, body), "{range}");
        assert_eq!(reply.header("content-range"), content_range);
        assert_eq!(reply.header("content-length"), body.len().to_string());
    }
    for (key, range, size) in [("k", "bytes=10-", 10), ("k", "bytes=-0", 10), ("empty", "bytes=0-", 0)] {
        let reply = fixture.get(&format!("/bkt/{key}"), &[("range", range)]).await;
        assert_eq!(reply.status.as_u16(), 416, "{range}");
        assert_eq!(reply.header("content-range"), format!("bytes */{size}"));
    }
    let reply = fixture.get("/bkt/k", &[("range", "bytes=0-1"), ("if-match", OTHER)]).await;
    assert_eq!(reply.status.as_u16(), 412);
}

#[tokio::test]
async fn writes_follow_their_conditions() {
    let fixture = Fixture::start().await;
    let put = async |key: &str, name: &str, value: &str| {
        let reply = fixture.send(Method::PUT, &format!("/bkt/{key}"), &[(name, value)], "abc").await;
        reply.status.as_u16()
    };
    assert_eq!(put("k", "if-match", ABC).await, 404);
    assert_eq!(put("k", "if-none-match", "*").await, 200);
    assert_eq!(put("k", "if-none-match", "*").await, 412);
    assert_eq!(put("k", "if-match", OTHER).await, 412);
    assert_eq!(put("k", "if-match", ABC).await, 200);
    let wrong = fixture.send(Method::DELETE, "/bkt/k", &[("if-match", OTHER)], "").await;
    assert_eq!(wrong.status.as_u16(), 412);
    let right = fixture.send(Method::DELETE, "/bkt/k", &[("if-match", ABC)], "").await;
    assert_eq!(right.status.as_u16(), 204);
    assert_eq!(fixture.get("/bkt/k", &[]).await.status.as_u16(), 404);
}

#[tokio::test]
async fn one_of_many_racing_creators_wins() {
    let fixture = Fixture::start().await;
    let create = || fixture.send(Method::PUT, "/bkt/k", &[("if-none-match", "*")], "abc");
    let replies = futures::future::join_all((0..20).map(|_| create())).await;
    let created = replies.iter().filter(|reply| reply.status.as_u16() == 200).count();
    assert_eq!(created, 1);
}

#[tokio::test]
async fn a_copy_follows_the_conditions_on_its_source() {
    let fixture = Fixture::start().await;
    fixture.server.put("bkt", "k", "abc");
    let copy = async |name: &str, value: &str| {
        let headers = [("x-amz-copy-source", "/bkt/k"), (name, value)];
        fixture.send(Method::PUT, "/bkt/copy", &headers, "").await
    };
    assert_eq!(copy("x-amz-copy-source-if-match", OTHER).await.status.as_u16(), 412);
    assert_eq!(copy("x-amz-copy-source-if-none-match", ABC).await.status.as_u16(), 412);
    assert_eq!(fixture.server.get("bkt", "copy"), None);
    let copied = copy("x-amz-copy-source-if-match", ABC).await;
    assert_eq!(copied.status.as_u16(), 200, "{}", copied.text());
    assert_eq!(fixture.server.get("bkt", "copy").unwrap(), "abc");
}

#[tokio::test]
async fn missing_things_are_named() {
    let fixture = Fixture::start().await;
    let no_key = fixture.get("/bkt/none", &[]).await;
    assert_eq!((no_key.status.as_u16(), no_key.elements("Code")), (404, vec!["NoSuchKey"]));
    let no_bucket = fixture.get("/nowhere/none", &[]).await;
    assert_eq!((no_bucket.status.as_u16(), no_bucket.elements("Code")), (404, vec!["NoSuchBucket"]));
    assert_eq!(fixture.send(Method::HEAD, "/nowhere", &[], "").await.status.as_u16(), 404);
    assert_eq!(fixture.send(Method::PUT, "/nowhere", &[], "").await.status.as_u16(), 200);
    assert_eq!(fixture.send(Method::HEAD, "/nowhere", &[], "").await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_body_that_differs_from_its_digest_is_refused() {
    let fixture = Fixture::start().await;
    // base64 of md5("abc") and of crc32c("abc") = 0x364b3fb7, made with openssl and python's crc32c
    for (name, right, wrong) in [
        ("content-md5", "kAFQmDzST7DWlj99KOF/cg==", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("x-amz-checksum-crc32c", "Nks/tw==", "AAAAAA=="),
    ] {
        let refused = fixture.send(Method::PUT, "/bkt/k", &[(name, wrong)], "abc").await;
        assert_eq!((refused.status.as_u16(), refused.elements("Code")), (400, vec!["BadDigest"]), "{name}");
        let taken = fixture.send(Method::PUT, "/bkt/k", &[(name, right)], "abc").await;
        assert_eq!(taken.status.as_u16(), 200, "{name}: {}", taken.text());
    }
}
