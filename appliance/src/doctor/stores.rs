//! Whether the stores of a configuration can be reached, how long a small listing takes, and how far clocks are apart.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::DATE;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use ufs::{Key, ListDepth, ListRequest};

use super::Finding;
use crate::config::units::DurationText;
use crate::config::{Branch, Config};

/// A store that takes longer than this for a small listing slows every lookup.
const LISTING_TIME_GOOD: Duration = Duration::from_millis(500);
/// One store is given this long, whatever its own limits say.
const STORE_TIME_MAX: Duration = Duration::from_secs(30);
/// Stores that are asked at once.
const ASKED_AT_ONCE: usize = 8;
/// S3 refuses requests that are 15 minutes off (AWS Signature Version 4); well before that something is wrong.
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);
const DATE_TIME_MAX: Duration = Duration::from_secs(5);

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let branches: Vec<Branch> = config.mounts.iter().flat_map(|mount| mount.tree.iter().cloned()).collect();
    let asked = futures::stream::iter(branches).map(|branch| async move {
        let mut findings = vec![listing(&branch).await];
        findings.extend(skew(&branch).await);
        findings
    });
    asked.buffered(ASKED_AT_ONCE).collect::<Vec<_>>().await.concat()
}

async fn listing(branch: &Branch) -> Finding {
    let check = format!("store {}", branch.location);
    let asked = tokio::time::timeout(STORE_TIME_MAX, time_listing(branch)).await;
    match asked {
        Ok(Ok(taken)) if taken <= LISTING_TIME_GOOD => {
            Finding::ok(check, format!("answers; a small listing takes {}", DurationText(taken)))
        }
        Ok(Ok(taken)) => Finding::warn(
            check,
            format!("answers; a small listing takes {}", DurationText(taken)),
            "use a store that is near, or consistency = \"immutable\"",
        ),
        Ok(Err(error)) => {
            let (text, url) = (error.to_string(), format!("{}: ", branch.location));
            Finding::fail(check, text.trim_start_matches(&url), "check url, endpoint and credentials")
        }
        Err(_) => {
            Finding::fail(check, format!("no answer within {STORE_TIME_MAX:?}"), "check endpoint and network")
        }
    }
}

/// Time of one page of a listing, on a connection that is open already.
async fn time_listing(branch: &Branch) -> Result<Duration, ufs::Error> {
    let store = ufs::connect(&branch.location, &branch.settings).await?;
    let request = ListRequest {
        directory: Key::root(),
        depth: ListDepth::Children,
        start_after: None,
        continuation: None,
    };
    let started = Instant::now();
    store.list(&request).await?;
    Ok(started.elapsed())
}

/// Only for `http://` endpoints: the answer's Date header is all that is needed, and TLS would need more than this
/// look is worth. Where clocks differ too much, the listing itself fails with the store's own words.
async fn skew(branch: &Branch) -> Option<Finding> {
    let host =
        branch.settings.s3.endpoint.as_deref()?.strip_prefix("http://")?.trim_end_matches('/').to_owned();
    let check = format!("clock of {host}");
    let theirs = tokio::time::timeout(DATE_TIME_MAX, date_of(&host)).await.ok()??;
    let now = SystemTime::now();
    let apart = now.duration_since(theirs).unwrap_or_else(|ahead| ahead.duration());
    Some(judge_skew(check, apart))
}

fn judge_skew(check: String, apart: Duration) -> Finding {
    // The header has whole seconds.
    let found = format!("{} apart from ours", DurationText(Duration::from_secs(apart.as_secs())));
    if apart > SKEW_MAX {
        return Finding::fail(
            check,
            found,
            "set both clocks by a time service; S3 refuses requests that are 15m off",
        );
    }
    Finding::ok(check, found)
}

async fn date_of(host: &str) -> Option<SystemTime> {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { host.to_owned() } else { format!("{host}:80") };
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = hyper::Request::head("/").header("host", host).body(Empty::<Bytes>::new()).ok()?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer.ok()?,
        // A server that closes at once may have answered before.
        _ = connection => answer.await.ok()?,
    };
    httpdate::parse_http_date(answer.headers().get(DATE)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::doctor::Level;

    #[test]
    fn clocks_that_differ_too_much_fail() {
        assert_eq!(judge_skew("clock".into(), Duration::from_secs(2)).level, Level::Ok);
        assert_eq!(judge_skew("clock".into(), Duration::from_secs(901)).level, Level::Fail);
    }

    #[tokio::test]
    async fn the_date_of_an_endpoint_is_read_from_its_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let host = listener.local_addr().expect("address").to_string();
        let served = async {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let mut request = [0; 512];
            assert!(stream.read(&mut request).await.expect("read") > 0);
            // The example of RFC 9110, 5.6.7, is 784111777 s after the epoch.
            let answer =
                b"HTTP/1.1 403 Forbidden\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.expect("write");
        };
        let (date, ()) = tokio::join!(date_of(&host), served);
        assert_eq!(date, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)));
    }
}
