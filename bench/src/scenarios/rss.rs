//! Resident memory of the daemon with 200 streams open, against its `--memory` ceiling.

use std::fs::File as Opened;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use s3_server::synthetic_difference;

use super::{Common, setup};
use crate::rig::fileset::{Dataset, File};
use crate::rig::interrupt;
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;
use crate::rig::workdir::WorkDir;

const STREAMS: u32 = 200;
const READERS: usize = 16;
const READ_BYTES: usize = 1 << 20;
const MEMORY_MIB: u64 = 256;
/// What may come on top of the ceiling: code, stacks, the allocator's own.
const ALLOWANCE_MIB: u64 = 64;

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    let rounds: u64 = if common.quick { 8 } else { 32 };
    let dataset = Dataset { large_files: STREAMS, large_bytes: rounds << 20, ..Dataset::default() };
    let dir = WorkDir::new(&common.work_dir, 5 << 30)?;
    let server = ServerProcess::start(&dataset)?;
    let mut setup = setup(&server, &dir, "mount", "4GiB")?;
    setup.memory = Some(format!("{MEMORY_MIB}MiB"));
    let daemon = setup.start()?;

    let mut resident = Series::new("resident after each round of 1 MiB a stream", "MiB");
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let streams = open_all(&daemon.mountpoint(), &dataset)?;
    for round in 0..rounds {
        read_round(&streams, round << 20)?;
        resident.push(mib(daemon.memory_bytes()?.0));
    }
    let (_, most) = daemon.memory_bytes()?;
    drop(streams);
    daemon.stop()?;

    let about = format!("{STREAMS} files open and read in turn, {rounds} MiB each, --memory {MEMORY_MIB}MiB");
    let mut report = Report::new("rss", about)?;
    let limit = (MEMORY_MIB + ALLOWANCE_MIB) as f64;
    report.figures.push(Figure::new("most resident memory", mib(most), "MiB", Goal::AtMost(limit)));
    report.series.push(resident);
    Ok(report)
}

fn open_all(mountpoint: &std::path::Path, dataset: &Dataset) -> anyhow::Result<Vec<(File, Opened)>> {
    let open = |file: File| {
        let path = mountpoint.join(&file.path);
        let opened = Opened::open(&path).with_context(|| format!("open {}", path.display()))?;
        Ok((file, opened))
    };
    dataset.files().into_iter().map(open).collect()
}

/// Reads the next MiB of every stream.
fn read_round(streams: &[(File, Opened)], offset: u64) -> anyhow::Result<()> {
    interrupt::check()?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; READ_BYTES];
        while let Some((file, opened)) = streams.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut reader: &Opened = opened;
            reader.read_exact(&mut buffer).with_context(|| format!("read {}", file.path.display()))?;
            let wrong = synthetic_difference(file.object.seed, offset, &buffer);
            ensure!(wrong.is_none(), "wrong byte at {wrong:?} of {}", file.path.display());
        }
        anyhow::Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..READERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a reader does not panic"))
    })
}
