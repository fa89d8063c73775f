//! No secret comes out in logs, errors or `Debug` output, at any log level of any crate below us.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use s3_server::{Options, Server};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use ufs::s3::Credentials;
use ufs::{Key, Location, PutCondition, Settings};

const SECRET: &str = "hush-secret-0123456789";
const TOKEN: &str = "hush-token-0123456789";

/// Keeps the text of every event and span but those of the server and of hyper, which see the wire.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().expect("no writer panics").clone()
    }
}

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = self.0.lock().expect("no writer panics");
        writeln!(text, "{field}={value:?}").expect("a String takes all text");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !["hyper", "s3s", "s3_server"].iter().any(|other| metadata.target().starts_with(other))
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn nothing_logs_or_shows_a_secret() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).expect("the only subscriber");
    let server = Server::start(Options { secret_key: SECRET.into(), ..Options::default() })
        .await
        .expect("a free port");
    server.create_bucket("bucket");
    let location = Location::S3 { bucket: "bucket".into(), prefix: String::new() };
    let mut shown = String::new();
    for token in [None, Some(TOKEN.to_owned())] {
        let mut settings = Settings::default();
        settings.s3.endpoint = Some(server.endpoint());
        let access_key = Options::default().access_key;
        settings.s3.credentials =
            Credentials::Static { access_key, secret_key: SECRET.into(), session_token: token };
        shown.push_str(&format!("{settings:?}"));
        match ufs::connect(&location, &settings).await {
            Ok(store) => {
                let key = Key::new("k").expect("short");
                store
                    .put(&key, Bytes::from_static(b"x"), &ufs::Attributes::default(), &PutCondition::Always)
                    .await
                    .expect("stored");
            }
            Err(error) => shown.push_str(&format!("{error} {error:?}")),
        }
    }
    let logged = log.text();
    assert!(logged.len() > 1000, "the log was not caught");
    for (place, text) in [("shown", &shown), ("logged", &logged)] {
        let line = text.lines().find(|line| line.contains("hush"));
        assert!(line.is_none(), "{place}: {}", line.unwrap_or_default());
    }
}
