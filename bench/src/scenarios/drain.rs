//! What was written goes to the store: from the call of `forebay flush` to its return, against a plain parallel multipart
//! upload of the same bytes with parts of the same size and number; and reads of objects that are not cached during a drain,
//! against the same without one.
//!
//! The goal is against the upload that is signed as ours is, so that client and server hash the same bytes; the one without
//! signatures shows what the hashes cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ufs::s3::Credentials;

use super::ckpt::{save, shards};
use super::{Common, writing_setup};
use crate::rig::daemon::{ACCESS_KEY, Daemon, SECRET_KEY};
use crate::rig::fileset::{Dataset, File};
use crate::rig::interrupt;
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;
use crate::rig::uploader::Uploader;
use crate::rig::workdir::WorkDir;

const READERS: usize = 4;
/// Each file is read once in all: what was read is cached.
const FILES_A_RUN: u32 = 30_000;
/// How long readers read, with and without a drain.
const READING_TIME: Duration = Duration::from_secs(2);
/// Cache, journal and what the file system needs itself.
const ROOM_BYTES: u64 = 2 << 30;

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    let shard_mib = common.shard_mib();
    let total_bytes = (shards(Path::new("")).len() as u64 * shard_mib) << 20;
    let dataset = Dataset { small_files: FILES_A_RUN * common.runs, ..Dataset::default() };
    let dir = WorkDir::new(&common.work_dir, 2 * total_bytes + ROOM_BYTES)?;
    let server = ServerProcess::start(&dataset)?;
    let daemon = writing_setup(&server, &dir)?.start()?;
    let local = dir.sub("local")?;
    save(&local, shard_mib)?;
    let rivals = rivals(server.endpoint())?;
    let mut uploads = rivals.each_ref().map(|(name, _)| Series::new(*name, "MiB/s"));
    let mut drains = Series::new("forebay flush", "MiB/s");
    let mut reads = ["without a drain", "during a drain"]
        .map(|when| Series::new(format!("100 KB objects read, {when}"), "objects/s"));
    let mut reading = Reading::new(daemon.mountpoint(), dataset.files());
    let rate = |elapsed: Duration| total_bytes as f64 / f64::from(1 << 20) / elapsed.as_secs_f64();
    for _ in 0..common.runs {
        for (series, (_, rival)) in uploads.iter_mut().zip(&rivals) {
            interrupt::check()?;
            series.push(rate(rival.upload(&keys(&local))?));
        }
        drains.push(rate(saved(&daemon, shard_mib, flush)?));
        reads[0].push(reading.rate()?);
        saved(&daemon, shard_mib, |daemon| {
            reads[1].push(while_draining(daemon, || reading.rate())?);
            Ok(())
        })?;
    }
    daemon.stop()?;

    let about = format!("{} MiB, {} interleaved runs", total_bytes >> 20, common.runs);
    let mut report = Report::new("drain", about)?;
    let ratio = |rival: &Series| drains.median() / rival.median();
    report.figures.push(Figure::new("forebay / signed upload", ratio(&uploads[0]), "x", Goal::AtLeast(0.85)));
    let unsigned = Figure::new("forebay / unsigned upload", ratio(&uploads[1]), "x", Goal::AtLeast(0.85));
    report.figures.push(unsigned);
    let kept = reads[1].median() / reads[0].median();
    report.figures.push(Figure::new("reads during / without a drain", kept, "x", Goal::AtLeast(0.8)));
    report.series.push(drains);
    report.series.extend(uploads.into_iter().chain(reads));
    Ok(report)
}

fn rivals(endpoint: &str) -> anyhow::Result<[(&'static str, Uploader); 2]> {
    let keys = Credentials::Static {
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        session_token: None,
    };
    Ok([
        ("plain multipart upload, signed", Uploader::new(endpoint, keys)?),
        ("plain multipart upload, unsigned", Uploader::new(endpoint, Credentials::Anonymous)?),
    ])
}

fn keys(local: &Path) -> Vec<(PathBuf, String)> {
    let key = |path: &PathBuf| path.file_name().map(|name| format!("plain/{}", name.to_string_lossy()));
    shards(local).into_iter().filter_map(|path| key(&path).map(|key| (path, key))).collect()
}

/// Does something with a checkpoint that the store does not have, and removes it here and there; how long it took.
fn saved(
    daemon: &Daemon,
    shard_mib: u64,
    work: impl FnOnce(&Daemon) -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let root = daemon.mountpoint().join("step");
    save(&root, shard_mib)?;
    let started = Instant::now();
    work(daemon)?;
    let elapsed = started.elapsed();
    fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    flush(daemon)?;
    Ok(elapsed)
}

fn flush(daemon: &Daemon) -> anyhow::Result<()> {
    daemon.ask(&["flush", &daemon.mountpoint().to_string_lossy()]).map(drop)
}

/// Measures something that has to end before the drain does.
fn while_draining(daemon: &Daemon, measure: impl FnOnce() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| flush(daemon));
        let measured = measure();
        let was_long_enough = !drain.is_finished();
        drain.join().expect("a flush does not panic")?;
        ensure!(was_long_enough, "the drain ended before the readers: use a larger --shard-mib");
        measured
    })
}

/// Files that nobody has read so far.
struct Reading {
    root: PathBuf,
    files: Vec<File>,
    next: AtomicUsize,
}

impl Reading {
    fn new(root: PathBuf, files: Vec<File>) -> Self {
        Self { root, files, next: AtomicUsize::new(0) }
    }

    /// Files read a second.
    fn rate(&mut self) -> anyhow::Result<f64> {
        let (first, started) = (self.next.load(Ordering::Relaxed), Instant::now());
        let this = &*self;
        let read = std::thread::scope(|scope| {
            let until = started + READING_TIME;
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(move || this.read_until(until))).collect();
            let join = readers.into_iter().map(|reader| reader.join().expect("a reader does not panic"));
            join.collect::<anyhow::Result<()>>()
        });
        read?;
        let files = self.next.load(Ordering::Relaxed) - first;
        Ok(files as f64 / started.elapsed().as_secs_f64())
    }

    fn read_until(&self, until: Instant) -> anyhow::Result<()> {
        while Instant::now() < until {
            let file = self.files.get(self.next.fetch_add(1, Ordering::Relaxed));
            let file = file.context("all files are read, the rest would come from the cache")?;
            let path = self.root.join(&file.path);
            let len = fs::read(&path).with_context(|| format!("read {}", path.display()))?.len() as u64;
            ensure!(len == file.object.size_bytes, "{len} bytes of {}", path.display());
        }
        Ok(())
    }
}
