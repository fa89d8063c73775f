//! Settings that cannot work are told by `connect`, in one line, soon.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use ufs::s3::Credentials;
use ufs::{Error, Location, Settings};

use crate::fixture::{BUCKET, Fixture};

async fn refusal(location: &Location, settings: &Settings) -> Error {
    let started = Instant::now();
    let error = match ufs::connect(location, settings).await {
        Ok(_) => panic!("{location} answers"),
        Err(error) => error,
    };
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text:?}");
    assert!(!format!("{text} {error:?}").contains("hush"), "a secret in {error:?}");
    assert!(
        started.elapsed() < settings.calls.total_timeout + Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    error
}

pub(crate) async fn a_missing_store_is_named(fixture: &Fixture) {
    let location = match &fixture.location {
        Location::File { root } => Location::File { root: root.join("none") },
        Location::S3 { .. } => Location::S3 { bucket: "no-such-bucket-here".into(), prefix: String::new() },
    };
    let error = refusal(&location, &fixture.settings).await;
    assert!(matches!(error, Error::NoSuchStore { .. }), "{error:?}");
    assert!(error.to_string().starts_with(&location.to_string()), "{error}");
}

pub(crate) async fn wrong_keys_are_denied(fixture: &Fixture) {
    let Credentials::Static { access_key, .. } = &fixture.settings.s3.credentials else { return };
    let keys = |access_key: &str| Credentials::Static {
        access_key: access_key.into(),
        secret_key: "hush-hush".into(),
        session_token: None,
    };
    let cases = [
        (keys(access_key), "SignatureDoesNotMatch", "secret key"),
        (keys("nobody"), "InvalidAccessKeyId", "access key"),
        (Credentials::Anonymous, "AccessDenied", "credentials"),
    ];
    for (credentials, code, hint) in cases {
        let mut settings = fixture.settings.clone();
        settings.s3.credentials = credentials;
        match refusal(&fixture.location, &settings).await {
            Error::Denied { reason, setting, .. } => {
                assert!(reason.contains(code) && setting.contains(hint), "{reason}; {setting}");
            }
            error => panic!("{error:?}"),
        }
    }
}

pub(crate) async fn a_dead_endpoint_is_told_in_time(fixture: &Fixture) {
    if !fixture.is_s3() {
        return;
    }
    // Bound and not listened on any more: the port is free, so connections to it are refused.
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let location = Location::S3 { bucket: BUCKET.into(), prefix: String::new() };
    let mut settings = fixture.settings.clone();
    settings.s3.endpoint = Some(format!("http://127.0.0.1:{port}"));
    settings.calls.attempts_max = 3;
    let error = refusal(&location, &settings).await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");

    // Listens and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    settings.s3.endpoint = Some(format!("http://127.0.0.1:{port}"));
    settings.calls.attempt_timeout = Duration::from_millis(200);
    settings.calls.total_timeout = Duration::from_secs(1);
    let error = refusal(&location, &settings).await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    drop(silent);
}
