//! Credentials from the environment, a profile and an instance's role. Each case runs in a child process, because the
//! environment of a process is shared by its threads.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::Duration;

use s3_server::{Options, Server};
use ufs::s3::Credentials;
use ufs::{Location, Settings};

/// What a child connects with; set by the parent only.
const PROFILE_VARIABLE: &str = "UFS_TEST_PROFILE";
const ENDPOINT_VARIABLE: &str = "UFS_TEST_ENDPOINT";

/// The child: connects and tells how it went. Does nothing when it is run as a test of its own.
#[tokio::test]
async fn child() {
    let Ok(endpoint) = std::env::var(ENDPOINT_VARIABLE) else { return };
    let mut settings = Settings::default();
    settings.s3.endpoint = Some(endpoint).filter(|endpoint| !endpoint.is_empty());
    settings.calls.attempts_max = 2;
    settings.calls.total_timeout = Duration::from_secs(30);
    if let Ok(profile) = std::env::var(PROFILE_VARIABLE) {
        settings.s3.credentials = Credentials::Profile(profile);
    }
    let location = Location::S3 { bucket: "bucket".into(), prefix: String::new() };
    match ufs::connect(&location, &settings).await {
        Ok(_) => println!("CONNECTED"),
        Err(error) => println!("ERROR {error}"),
    }
}

async fn server() -> Server {
    let server = Server::start(Options::default()).await.expect("a free port");
    server.create_bucket("bucket");
    server
}

/// Runs [`child`] with this environment and nothing else of AWS.
async fn run_child(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "child", "--nocapture"]).env_clear();
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", "/nonexistent");
    command.envs(variables.iter().copied());
    let output: Output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic")
        .expect("the child runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn the_environment_gives_keys() {
    let (server, options) = (server().await, Options::default());
    let endpoint = server.endpoint();
    let keys = [
        ("AWS_ACCESS_KEY_ID", options.access_key.as_str()),
        ("AWS_SECRET_ACCESS_KEY", options.secret_key.as_str()),
    ];
    let told = run_child(&[keys[0], keys[1], (ENDPOINT_VARIABLE, &endpoint)]).await;
    assert!(told.contains("CONNECTED"), "{told}");
    // The endpoint may come from the environment too.
    let told = run_child(&[keys[0], keys[1], (ENDPOINT_VARIABLE, ""), ("AWS_ENDPOINT_URL", &endpoint)]).await;
    assert!(told.contains("CONNECTED"), "{told}");
}

#[tokio::test]
async fn a_profile_gives_keys_and_a_missing_one_is_named() {
    let (server, options) = (server().await, Options::default());
    let endpoint = server.endpoint();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("credentials");
    let text = format!(
        "[forebay]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        options.access_key, options.secret_key
    );
    std::fs::write(&file, text).expect("written");
    let file = file.to_str().expect("UTF-8");
    let environment = |profile: &'static str| {
        [("AWS_SHARED_CREDENTIALS_FILE", file), (PROFILE_VARIABLE, profile), (ENDPOINT_VARIABLE, &endpoint)]
    };
    let told = run_child(&environment("forebay")).await;
    assert!(told.contains("CONNECTED"), "{told}");
    let told = run_child(&environment("absent")).await;
    assert!(told.contains("ERROR") && told.contains("absent"), "{told}");
}

#[tokio::test]
async fn an_instance_role_gives_keys() {
    let (server, options) = (server().await, Options::default());
    let metadata = metadata_service(&options.access_key, &options.secret_key);
    let told = run_child(&[
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata),
        (ENDPOINT_VARIABLE, &server.endpoint()),
    ])
    .await;
    assert!(told.contains("CONNECTED"), "{told}");
}

#[tokio::test]
async fn without_credentials_the_error_says_what_to_set() {
    let server = server().await;
    let told = run_child(&[(ENDPOINT_VARIABLE, &server.endpoint())]).await;
    assert!(told.contains("no credentials found") && told.contains("AWS_ACCESS_KEY_ID"), "{told}");
}

/// The three requests of IMDSv2 ("Retrieve security credentials from instance metadata", Amazon EC2 user guide). Ends
/// with the process.
fn metadata_service(access_key: &str, secret_key: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let keys = format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z","AccessKeyId":"{access_key}",
        "SecretAccessKey":"{secret_key}","Token":"","Expiration":"2099-01-01T00:00:00Z"}}"#
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.expect("accepted"), &keys).expect("a request is read and answered");
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream, keys: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::from("-");
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (extra, body) = match path {
        "/latest/api/token" => ("x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n", "token"),
        "/latest/meta-data/iam/security-credentials/" => ("", "role"),
        "/latest/meta-data/iam/security-credentials/role" => ("", keys),
        _ => ("", ""),
    };
    let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{extra}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
