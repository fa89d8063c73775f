//! A checkpoint: four writers write a file each in order and end with fsync and close, through a read-write mount and on the
//! local file system that its staging directory lies on; then the files are read back with the page cache dropped. Nothing
//! is sent to the store meanwhile.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use s3_server::synthetic_bytes;

use super::{Common, writing_setup};
use crate::rig::fileset::Dataset;
use crate::rig::interrupt;
use crate::rig::machine::{Forget, drop_caches};
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;
use crate::rig::workdir::WorkDir;

const WRITERS: u64 = 4;
const CALL_BYTES: u64 = 1 << 20;
/// Cache, journal and what the file system needs itself.
const ROOM_BYTES: u64 = 2 << 30;

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    let shard_mib = common.shard_mib();
    let dir = WorkDir::new(&common.work_dir, ((WRITERS * shard_mib) << 20) + ROOM_BYTES)?;
    let server = ServerProcess::start(&Dataset { small_files: 1, ..Dataset::default() })?;
    let daemon = writing_setup(&server, &dir)?.start()?;
    let roots = [dir.sub("local")?, daemon.mountpoint().join("step")];
    let names = ["local file system", "forebay"];
    let mut saves = names.map(|name| Series::new(format!("save, {name}"), "s"));
    let mut restores = names.map(|name| Series::new(format!("restore, {name}"), "s"));
    for _ in 0..common.runs {
        for (index, root) in roots.iter().enumerate() {
            drop_caches(Forget::Pages)?;
            saves[index].push(save(root, shard_mib)?.as_secs_f64());
            drop_caches(Forget::Pages)?;
            restores[index].push(restore(root, shard_mib)?.as_secs_f64());
            fs::remove_dir_all(root).with_context(|| format!("remove {}", root.display()))?;
        }
    }
    daemon.stop()?;

    let about = format!("{WRITERS} files of {shard_mib} MiB, {} interleaved runs", common.runs);
    let mut report = Report::new("ckpt", about)?;
    for (name, series) in [("save", saves), ("restore", restores)] {
        let ratio = series[1].median() / series[0].median();
        let name = format!("{name}, time, forebay / local");
        report.figures.push(Figure::new(name, ratio, "x", Goal::AtMost(1.1)));
        report.series.extend(series);
    }
    Ok(report)
}

/// Writes the files of a checkpoint; how long the slowest writer was blocked.
pub(super) fn save(root: &Path, shard_mib: u64) -> anyhow::Result<Duration> {
    fs::create_dir_all(root).with_context(|| format!("create {}", root.display()))?;
    let pieces: Vec<_> = (0..WRITERS).map(|seed| synthetic_bytes(seed, 0..CALL_BYTES)).collect();
    in_parallel(
        |writer, path| {
            let mut file = File::create(path)?;
            for _ in 0..shard_mib {
                interrupt::check()?;
                file.write_all(&pieces[writer])?;
            }
            Ok(file.sync_all()?)
        },
        root,
    )
}

fn restore(root: &Path, shard_mib: u64) -> anyhow::Result<Duration> {
    in_parallel(
        |_, path| {
            let (mut file, mut buffer, mut total) = (File::open(path)?, vec![0; CALL_BYTES as usize], 0);
            loop {
                interrupt::check()?;
                match file.read(&mut buffer)? {
                    0 => break,
                    len => total += len as u64,
                }
            }
            ensure!(total == shard_mib << 20, "{total} bytes instead of {shard_mib} MiB");
            Ok(())
        },
        root,
    )
}

/// The files of a checkpoint.
pub(super) fn shards(root: &Path) -> Vec<PathBuf> {
    (0..WRITERS).map(|writer| root.join(format!("__{writer}_0.distcp"))).collect()
}

/// Works on each file in a thread of its own.
fn in_parallel(
    work: impl Fn(usize, &Path) -> anyhow::Result<()> + Sync,
    root: &Path,
) -> anyhow::Result<Duration> {
    let (paths, work) = (shards(root), &work);
    let started = Instant::now();
    let ended: Vec<anyhow::Result<()>> = std::thread::scope(|scope| {
        let start = |(writer, path)| scope.spawn(move || work(writer, path));
        let workers: Vec<_> = paths.iter().map(PathBuf::as_path).enumerate().map(start).collect();
        workers.into_iter().map(|worker| worker.join().expect("a writer does not panic")).collect()
    });
    let elapsed = started.elapsed();
    let failed = || format!("write or read in {}", root.display());
    ended.into_iter().collect::<anyhow::Result<()>>().with_context(failed)?;
    Ok(elapsed)
}
