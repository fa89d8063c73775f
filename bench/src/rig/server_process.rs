//! The S3 server in a process of its own: its CPU time is not ours, and what it serves costs us no memory.
//!
//! The parent starts this program again as `serve`. The child prints its endpoint and then answers each line `stats`
//! with a line of JSON; it ends when its stdin is closed, which also happens when the parent dies.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use s3_server::{Options, Server};
use serde::{Deserialize, Serialize};

use super::fileset::Dataset;
use super::machine::cpu_time_of;
use super::sys;

/// The counters that scenarios look at.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) get: u64,
    pub(crate) list: u64,
    pub(crate) bytes_sent: u64,
}

impl From<s3_server::Stats> for Counts {
    fn from(stats: s3_server::Stats) -> Self {
        Self { get: stats.get, list: stats.list, bytes_sent: stats.bytes_sent }
    }
}

/// A running server with a dataset; ends when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    /// `None` once it was told to end.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    endpoint: String,
}

impl ServerProcess {
    /// Starts it and waits until the dataset is there.
    pub(crate) fn start(dataset: &Dataset) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("find this program")?);
        command.arg("serve").args(arguments(dataset));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        sys::tie_to_this_thread(&mut command);
        let mut child = command.spawn().context("start the S3 server")?;
        let requests = child.stdin.take();
        let stdout = child.stdout.take().context("the S3 server's stdout")?;
        let mut server = Self { child, requests, answers: BufReader::new(stdout), endpoint: String::new() };
        let line = server.line()?;
        server.endpoint = line.strip_prefix("READY ").context("the S3 server does not say READY")?.to_owned();
        Ok(server)
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What was asked and sent since the start.
    pub(crate) fn counts(&mut self) -> anyhow::Result<Counts> {
        let requests = self.requests.as_mut().context("the S3 server is ending")?;
        writeln!(requests, "stats").context("ask the S3 server")?;
        serde_json::from_str(&self.line()?).context("the S3 server's counters")
    }

    /// CPU time that the server has used.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu_time_of(self.child.id())
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line).context("read from the S3 server")? == 0 {
            bail!("the S3 server ended");
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.requests = None;
        if let Err(error) = self.child.wait() {
            eprintln!("forebay-bench: wait for the S3 server: {error}");
        }
    }
}

fn arguments(dataset: &Dataset) -> Vec<String> {
    let pairs = [
        ("--videos", u64::from(dataset.videos)),
        ("--frames-per-video", u64::from(dataset.frames_per_video)),
        ("--small-files", u64::from(dataset.small_files)),
        ("--large-files", u64::from(dataset.large_files)),
        ("--large-bytes", dataset.large_bytes),
        ("--keys", dataset.keys),
    ];
    pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_string()]).collect()
}

/// The child's side.
pub(crate) fn serve(dataset: &Dataset) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = runtime.block_on(Server::start(Options { anonymous: true, ..Options::default() }))?;
    dataset.fill(&server);
    println!("READY {}", server.endpoint());
    for line in std::io::stdin().lines() {
        match line?.as_str() {
            "stats" => println!("{}", serde_json::to_string(&Counts::from(server.stats()))?),
            other => bail!("unknown request {other}"),
        }
    }
    runtime.block_on(server.shutdown());
    Ok(())
}
