//! A bucket of a million keys: importing it into a fresh mount with `forebay sync`, against listing it with a plain client
//! that parses nothing; and what the daemon holds for each file once the kernel knows all of them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{Common, setup};
use crate::rig::daemon::Daemon;
use crate::rig::fileset::{Dataset, KEYS_PER_DIRECTORY};
use crate::rig::interrupt;
use crate::rig::plain_client::PlainClient;
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;
use crate::rig::workdir::WorkDir;

const WALKERS: usize = 4;

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    let dataset = Dataset { keys: if common.quick { 100_000 } else { 1_000_000 }, ..Dataset::default() };
    let dir = WorkDir::new(&common.work_dir, 4 << 30)?;
    let server = ServerProcess::start(&dataset)?;
    let client = PlainClient::new(server.endpoint())?;
    // the first two digits of the directories
    let parts: Vec<String> = (0..10).flat_map(|a| (0..10).map(move |b| format!("keys/{a}{b}"))).collect();

    let mut ours = Series::new("forebay sync of a fresh mount", "keys/s");
    let mut walked = Series::new(format!("then stat of every file, {WALKERS} walkers"), "files/s");
    let mut one = Series::new("plain client, one list", "keys/s");
    let mut many = Series::new("plain client, 4 prefixes at a time", "keys/s");
    let mut memory = Series::new("inode memory for a known file", "B");
    let mut resident = Series::new("growth of resident memory for a known file", "B");
    for run in 0..common.runs.min(3) {
        for (series, prefixes, at_a_time) in
            [(&mut one, &["keys/".to_owned()][..], 1), (&mut many, &parts[..], 4)]
        {
            interrupt::check()?;
            let (keys, elapsed) = client.list(prefixes, at_a_time)?;
            ensure!(keys == dataset.keys, "the plain client lists {keys} keys");
            series.push(keys as f64 / elapsed.as_secs_f64());
        }
        let daemon = setup(&server, &dir, &format!("mount-{run}"), "512MiB")?.start()?;
        let (before, _) = daemon.memory_bytes()?;
        let keys = daemon.mountpoint().join("keys");
        let started = Instant::now();
        daemon.ask(&["sync", &keys.to_string_lossy()])?;
        ours.push(dataset.keys as f64 / started.elapsed().as_secs_f64());
        let (files, elapsed) = walk(&keys, dataset.keys / KEYS_PER_DIRECTORY)?;
        ensure!(files == dataset.keys, "the mount shows {files} files");
        walked.push(files as f64 / elapsed.as_secs_f64());
        let (after, _) = daemon.memory_bytes()?;
        resident.push(after.saturating_sub(before) as f64 / files as f64);
        memory.push(memory_for_an_inode(&daemon)?);
        daemon.stop()?;
    }

    let mut report = Report::new(
        "list-import",
        format!("{} keys, {} each a directory", dataset.keys, KEYS_PER_DIRECTORY),
    )?;
    let ratio = ours.median() / one.median().max(many.median());
    report.figures.push(Figure::new("forebay / best plain client", ratio, "x", Goal::AtLeast(0.8)));
    report.figures.push(Figure::new("memory for a known file", memory.median(), "B", Goal::AtMost(150.0)));
    report.series.extend([ours, one, many, walked, memory, resident]);
    Ok(report)
}

/// As the daemon itself counts it.
fn memory_for_an_inode(daemon: &Daemon) -> anyhow::Result<f64> {
    let status: serde_json::Value = serde_json::from_str(&daemon.ask(&["status", "--json"])?)?;
    let mount = status.pointer("/daemons/0/mounts/0").context("no mount in the status")?;
    let figure = |name: &str| {
        mount.get(name).and_then(serde_json::Value::as_f64).context("no such figure in the status")
    };
    let (bytes, inodes) = (figure("inode_memory_bytes")?, figure("known_inodes")?);
    ensure!(inodes > 0.0, "the kernel knows no file");
    Ok(bytes / inodes)
}

/// Reads the directories 0000 to `count` - 1 below `root` and counts their entries.
fn walk(root: &Path, count: u64) -> anyhow::Result<(u64, Duration)> {
    let next = AtomicU64::new(0);
    let started = Instant::now();
    let work = || {
        let mut files = 0;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return anyhow::Ok(files);
            }
            interrupt::check()?;
            let path = root.join(format!("{index:04}"));
            let entries = fs::read_dir(&path).with_context(|| format!("list {}", path.display()))?;
            for entry in entries {
                let entry = entry.with_context(|| format!("list {}", path.display()))?;
                entry.metadata().with_context(|| format!("stat {}", entry.path().display()))?;
                files += 1;
            }
        }
    };
    let files = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WALKERS).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().expect("a walker does not panic"));
        ended.sum::<anyhow::Result<u64>>()
    })?;
    Ok((files, started.elapsed()))
}
