//! What is told of certificates and of `ca_file` when they do not fit; that they work when they do is told by the
//! behaviour suite.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use s3_server::{Options, Server};
use tempfile::TempDir;
use ufs::s3::Credentials;
use ufs::{Attributes, Error, Key, Location, PutCondition, Settings};

async fn server() -> Server {
    let server = Server::start(Options { tls: true, anonymous: true, ..Options::default() }).await;
    let server = server.expect("a free port");
    server.create_bucket("bucket");
    server
}

fn location() -> Location {
    Location::S3 { bucket: "bucket".into(), prefix: String::new() }
}

fn settings(server: &Server, ca_file: Option<&Path>) -> Settings {
    let mut settings = Settings::default();
    settings.s3.endpoint = Some(server.endpoint());
    settings.s3.credentials = Credentials::Anonymous;
    settings.s3.ca_file = ca_file.map(Path::to_owned);
    settings
}

/// The text of the error, which must come at once: nothing gets better by asking again.
async fn refusal(settings: &Settings) -> String {
    let started = Instant::now();
    let Err(error) = ufs::connect(&location(), settings).await else { panic!("{settings:?} connects") };
    assert!(matches!(error, Error::Config { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let text = error.to_string();
    assert!(text.contains("ca_file") && !text.contains('\n'), "{text:?}");
    text
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_refused() {
    let server = server().await;
    let text = refusal(&settings(&server, None)).await;
    assert!(text.contains("UnknownIssuer") && text.contains(&server.endpoint()), "{text}");
}

#[tokio::test]
async fn another_authority_than_the_one_named_is_refused() {
    let (server, other) = (server().await, server().await);
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("other.pem");
    fs::write(&file, other.authority().expect("it speaks TLS")).expect("write a file");
    // Both have the same name, so here it is the signature that tells them apart.
    let text = refusal(&settings(&server, Some(&file))).await;
    assert!(text.contains("invalid peer certificate"), "{text}");
}

#[tokio::test]
async fn a_bundle_may_hold_several_authorities() {
    let (server, other) = (server().await, server().await);
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("bundle.pem");
    let authorities = [&other, &server].map(|server| server.authority().expect("it speaks TLS"));
    fs::write(&file, format!("# ours\n{}\n", authorities.concat())).expect("write a file");
    let store = ufs::connect(&location(), &settings(&server, Some(&file))).await.expect("the store answers");
    // The SDK puts, our own client asks.
    let key = Key::new("k").expect("short");
    store
        .put(&key, Bytes::from_static(b"data"), &Attributes::default(), &PutCondition::Always)
        .await
        .expect("put");
    assert_eq!(store.stat(&key).await.expect("stat").size_bytes, 4);
}

#[tokio::test]
async fn a_file_that_names_no_authority_is_told() {
    let server = server().await;
    let directory = TempDir::new().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let torn = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, text) in [("empty", ""), ("text", "hello"), ("torn", torn)] {
        fs::write(path(name), text).expect("write a file");
    }
    let cases =
        [("none", "No such file"), ("empty", "no certificate"), ("text", "no certificate"), ("torn", "")];
    for (name, cause) in cases {
        let text = refusal(&settings(&server, Some(&path(name)))).await;
        assert!(text.contains(cause) && text.contains(name), "{text}");
    }
}
