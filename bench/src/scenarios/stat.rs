//! Warm `stat` calls of two threads over the files of a mount, against the same files on the local file system.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Common, setup, warm_small};
use crate::rig::fileset::Dataset;
use crate::rig::interrupt;
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;
use crate::rig::workdir::WorkDir;

const THREADS: usize = 2;
/// Calls between looks at the clock.
const BATCH: usize = 256;

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    let dataset = Dataset { small_files: 5000, ..Dataset::default() };
    let files = dataset.files();
    let dir = WorkDir::new(&common.work_dir, 3 << 30)?;
    let local = dir.sub("local")?;
    warm_small::write_copies(&local, &files)?;
    let server = ServerProcess::start(&dataset)?;
    let daemon = setup(&server, &dir, "mount", "512MiB")?.start()?;
    let time = Duration::from_secs(if common.quick { 1 } else { 3 });

    let mut ours = Series::new("forebay, warm", "stat/s");
    let mut theirs = Series::new("local file system", "stat/s");
    for _ in 0..common.runs {
        for (root, series) in [(&local, &mut theirs), (&daemon.mountpoint(), &mut ours)] {
            interrupt::check()?;
            let paths: Vec<PathBuf> = files.iter().map(|file| root.join(&file.path)).collect();
            stat_each(&paths)?;
            series.push(stat_rate(&paths, time)?);
        }
    }
    daemon.stop()?;

    let about = format!("{} files, {THREADS} threads, {} interleaved runs", files.len(), common.runs);
    let mut report = Report::new("stat", about)?;
    report.figures.push(Figure::new("forebay", ours.median(), "stat/s", Goal::AtLeast(300_000.0)));
    report.series.extend([ours, theirs]);
    Ok(report)
}

fn stat_each(paths: &[PathBuf]) -> anyhow::Result<()> {
    paths.iter().try_for_each(|path| stat(path))
}

fn stat(path: &Path) -> anyhow::Result<()> {
    fs::symlink_metadata(path).map(drop).with_context(|| format!("stat {}", path.display()))
}

fn stat_rate(paths: &[PathBuf], time: Duration) -> anyhow::Result<f64> {
    let started = Instant::now();
    let work = |first: usize| {
        let mut calls = 0_u64;
        let mut endless = paths.iter().cycle().skip(first);
        while started.elapsed() < time {
            endless.by_ref().take(BATCH).try_for_each(|path| stat(path))?;
            calls += BATCH as u64;
        }
        anyhow::Ok(calls)
    };
    let calls = std::thread::scope(|scope| {
        let starts = (0..THREADS).map(|thread| thread * paths.len() / THREADS);
        let workers: Vec<_> = starts.map(|first| scope.spawn(move || work(first))).collect();
        let ended =
            workers.into_iter().map(|worker| worker.join().expect("a thread that stats does not panic"));
        ended.sum::<anyhow::Result<u64>>()
    })?;
    Ok(calls as f64 / started.elapsed().as_secs_f64())
}
