//! Client and server over a real socket in a temporary directory.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::api::SyncReport;
use super::*;
use crate::status::MountStatus;
use crate::warm::{JobId, Progress};

/// Stands in for the daemon: one mount, and it remembers what it was asked.
struct Target {
    mountpoint: PathBuf,
    asked: Mutex<Vec<String>>,
}

impl Target {
    fn new(mountpoint: &str) -> Arc<Self> {
        Arc::new(Self { mountpoint: mountpoint.into(), asked: Mutex::default() })
    }
}

#[async_trait::async_trait]
impl ControlTarget for Target {
    fn status(&self) -> Status {
        let mount = MountStatus { mountpoint: self.mountpoint.clone(), ..MountStatus::default() };
        Status { version: "1.2.3".into(), pid: 42, mounts: vec![mount], ..Status::default() }
    }

    async fn warm(&self, request: warm::Request) -> Result<JobId, ApiError> {
        self.asked.lock().push(format!("warm {:?}", request.paths));
        Ok(JobId(7))
    }

    fn warm_progress(&self, job: JobId) -> Option<Progress> {
        (job == JobId(7)).then(|| Progress { objects_total: 3, finished: true, ..Progress::default() })
    }

    async fn sync(&self, path: PathBuf) -> Result<RefreshReport, ApiError> {
        self.asked.lock().push(format!("sync {path:?}"));
        Ok(RefreshReport { objects: 5, removed: 1, ..RefreshReport::default() })
    }

    async fn flush(&self, request: FlushRequest) -> Result<FlushProgress, ApiError> {
        self.asked.lock().push(format!("flush {:?} until {:?}", request.path, request.until));
        Ok(FlushProgress { until: 9, changes_left: 2, ..FlushProgress::default() })
    }

    async fn unmount(&self, mountpoint: PathBuf) -> Result<UnmountReport, ApiError> {
        if mountpoint != self.mountpoint {
            return Err(ApiError::not_found(
                format!("{mountpoint:?} is no mount of this daemon"),
                "see forebay status",
            ));
        }
        Err(ApiError::busy(format!("{mountpoint:?} is in use"), "close its files or use --lazy"))
    }
}

fn serve(socket: &Path, target: Arc<Target>) -> Serving {
    Server::bind(socket).expect("a free socket").serve(target)
}

#[tokio::test]
async fn every_request_reaches_the_target_and_its_answer_comes_back() {
    let dir = tempfile::tempdir().expect("temp dir");
    let socket = dir.path().join("sub/control.sock");
    let target = Target::new("/mnt/data");
    let serving = serve(&socket, target.clone());
    let client = Client::new(&socket);

    let status = client.status().await.expect("status");
    assert_eq!((status.version.as_str(), status.pid), ("1.2.3", 42));
    let request = warm::Request { paths: vec!["/mnt/data/a*".into()] };
    assert_eq!(client.warm(&request).await.expect("warm"), JobId(7));
    assert_eq!(client.warm_progress(JobId(7)).await.expect("progress").objects_total, 3);
    let report = client.sync(Path::new("/mnt/data/x")).await.expect("sync");
    assert_eq!(report, SyncReport { objects: 5, removed: 1, ..SyncReport::default() });
    assert_eq!(*target.asked.lock(), ["warm [\"/mnt/data/a*\"]", "sync \"/mnt/data/x\""]);

    serving.stop().await;
    assert!(!socket.exists(), "the socket goes with its server");
    assert!(matches!(client.status().await, Err(ClientError::Unreachable { .. })));
}

#[tokio::test]
async fn refusals_keep_their_kind_cause_and_setting() {
    let dir = tempfile::tempdir().expect("temp dir");
    let socket = dir.path().join("c.sock");
    let serving = serve(&socket, Target::new("/mnt/data"));
    let client = Client::new(&socket);
    let refusal = |result: Result<(), ClientError>| match result {
        Err(ClientError::Refused(error)) => error,
        other => panic!("not refused: {other:?}"),
    };
    let busy = refusal(client.unmount(Path::new("/mnt/data")).await);
    assert_eq!(busy, ApiError::busy("\"/mnt/data\" is in use", "close its files or use --lazy"));
    assert_eq!(refusal(client.unmount(Path::new("/mnt/x")).await).kind, ApiErrorKind::NotFound);
    assert_eq!(refusal(client.unmount(Path::new("mnt/x")).await).kind, ApiErrorKind::Invalid);
    assert_eq!(refusal(client.warm_progress(JobId(8)).await.map(|_| ())).kind, ApiErrorKind::NotFound);
    serving.stop().await;
}

/// The raw answer to raw bytes. `Connection: close` makes the server end it.
async fn raw(socket: &Path, request: String) -> String {
    let socket = socket.to_owned();
    let exchange = move || {
        let mut stream = UnixStream::connect(socket).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
        stream.write_all(request.as_bytes()).expect("write");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("read");
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::task::spawn_blocking(exchange).await.expect("no panic")
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_as_json() {
    let dir = tempfile::tempdir().expect("temp dir");
    let socket = dir.path().join("c.sock");
    let serving = serve(&socket, Target::new("/mnt/data"));
    let post = |path: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let cases = [
        (post("/v1/sync", "{"), "400", "invalid"),
        (post("/v1/sync", "{\"path\":\"/x\",\"depth\":1}"), "400", "invalid"),
        (post("/v1/nothing", ""), "404", "not_found"),
        (post("/v1/status", ""), "404", "not_found"),
        (
            "POST /v1/warm HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n".to_owned(),
            "400",
            "invalid",
        ),
    ];
    for (request, status, kind) in cases {
        let answer = raw(&socket, request.clone()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains(&format!("\"kind\":\"{kind}\"")), "{request}: {answer}");
    }
    serving.stop().await;
}

#[tokio::test]
async fn a_request_too_large_is_not_sent() {
    let paths = vec![PathBuf::from("/".repeat(4000)); 1 + REQUEST_BYTES_MAX / 4000];
    let request = warm::Request { paths };
    let result = Client::new("/nonexistent.sock").warm(&request).await;
    assert!(matches!(result, Err(ClientError::TooLarge { .. })), "{result:?}");
}

#[tokio::test]
async fn the_socket_is_closed_to_others_and_replaces_a_dead_one_only() {
    let dir = tempfile::tempdir().expect("temp dir");
    let socket = dir.path().join("run/c.sock");
    std::fs::create_dir(dir.path().join("run")).expect("mkdir");
    drop(UnixListener::bind(&socket).expect("a dead daemon's socket"));

    let serving = serve(&socket, Target::new("/m"));
    let mode = |path: &Path| std::fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&socket), 0o660);
    assert!(matches!(Server::bind(&socket), Err(SocketError::InUse { .. })));

    let file = dir.path().join("run/file.sock");
    std::fs::write(&file, "precious").expect("write");
    assert!(matches!(Server::bind(&file), Err(SocketError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), "precious");
    serving.stop().await;
}

#[tokio::test]
async fn the_daemon_of_a_path_is_found_and_dead_sockets_are_removed() {
    let dir = tempfile::tempdir().expect("temp dir");
    let one = serve(&dir.path().join("a.sock"), Target::new("/mnt/data"));
    let two = serve(&dir.path().join("b.sock"), Target::new("/mnt/data/inner"));
    let dead = dir.path().join("dead.sock");
    drop(UnixListener::bind(&dead).expect("bind"));

    let daemons = find::daemons(dir.path()).await;
    assert_eq!((daemons.found.len(), daemons.failed.len()), (2, 0));
    assert!(!dead.exists());
    let socket_of = |path: &str| {
        daemons
            .holding(Path::new(path))
            .map(|(found, _)| found.client.socket().file_name().expect("name").to_owned())
    };
    assert_eq!(socket_of("/mnt/data/x").as_deref(), Some("a.sock".as_ref()));
    assert_eq!(socket_of("/mnt/data/inner/x").as_deref(), Some("b.sock".as_ref()));
    assert_eq!(socket_of("/mnt/database"), None);
    assert!(find::daemons(&dir.path().join("none")).await.found.is_empty());
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_silent_daemon_is_given_up() {
    let dir = tempfile::tempdir().expect("temp dir");
    let socket = dir.path().join("hung.sock");
    let _listener = UnixListener::bind(&socket).expect("bind");
    let client = Client::new(&socket).with_status_time_max(Duration::from_millis(20));
    let result = client.status().await;
    assert!(matches!(result, Err(ClientError::Late { .. })), "{result:?}");
}
