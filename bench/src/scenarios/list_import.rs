//! A bucket of a million keys: reading all directories of a fresh mount, against listing the bucket with a plain client;
//! and what the daemon's memory grows by for each file it knows.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{Common, setup};
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

    let mut ours = Series::new(format!("forebay, fresh mount, {WALKERS} walkers"), "keys/s");
    let mut one = Series::new("plain client, one list", "keys/s");
    let mut many = Series::new("plain client, 4 prefixes at a time", "keys/s");
    let mut memory = Series::new("forebay, memory for a file", "B");
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
        let (files, elapsed) = walk(&daemon.mountpoint().join("keys"), dataset.keys / KEYS_PER_DIRECTORY)?;
        ensure!(files == dataset.keys, "the mount shows {files} files");
        ours.push(files as f64 / elapsed.as_secs_f64());
        let (after, _) = daemon.memory_bytes()?;
        memory.push(after.saturating_sub(before) as f64 / files as f64);
        daemon.stop()?;
    }

    let mut report = Report::new(
        "list-import",
        format!("{} keys, {} each a directory", dataset.keys, KEYS_PER_DIRECTORY),
    )?;
    let ratio = ours.median() / one.median().max(many.median());
    report.figures.push(Figure::new("forebay / best plain client", ratio, "x", Goal::AtLeast(0.8)));
    report.figures.push(Figure::new("memory for a known file", memory.median(), "B", Goal::AtMost(150.0)));
    report.series.extend([ours, one, many, memory]);
    Ok(report)
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
                entry.with_context(|| format!("list {}", path.display()))?;
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
