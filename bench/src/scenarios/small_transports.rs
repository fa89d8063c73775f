//! Cached files of 100 KB, opened, read and closed by 8 readers in random order with the page cache dropped: over io_uring and
//! through /dev/fuse, the same files on the local file system, and the same bytes served by the library `fuser`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};

use super::warm_small::write_copies;
use super::{Common, setup, warm_up};
use crate::rig::daemon::Daemon;
use crate::rig::fileset::{Dataset, File, total_bytes};
use crate::rig::fuser_mirror;
use crate::rig::machine::{Forget, drop_caches};
use crate::rig::readers::{Reading, read_all};
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;
use crate::rig::workdir::WorkDir;

const READERS: usize = 8;
/// Switches FUSE over io_uring on; it stays on.
const SWITCH: &str = "/sys/module/fuse/parameters/enable_uring";

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    fs::write(SWITCH, "Y").with_context(|| format!("write {SWITCH}: Linux 6.14 and root are needed"))?;
    let dataset = Dataset { small_files: if common.quick { 2000 } else { 8000 }, ..Dataset::default() };
    let files = dataset.files();
    let dir = WorkDir::new(&common.work_dir, 5 * total_bytes(&files) + (2 << 30))?;
    let local = dir.sub("local")?;
    write_copies(&local, &files)?;
    let rival = dir.sub("fuser")?;
    let threads = std::thread::available_parallelism()?.get().clamp(2, 8);
    let mirror = fuser_mirror::serve(&local, &rival, threads)?;
    let server = ServerProcess::start(&dataset)?;
    let uring = start(&server, &dir, "uring", &files)?;
    let dev = start(&server, &dir, "dev", &files)?;

    let mut contenders: Vec<(PathBuf, Series)> = [
        (local, "local file system"),
        (uring.mountpoint(), "forebay, io_uring"),
        (dev.mountpoint(), "forebay, /dev/fuse"),
        (rival, "fuser"),
    ]
    .map(|(root, name)| (root, Series::new(name, "files/s")))
    .into();
    for run in 0..common.runs {
        for (root, series) in &mut contenders {
            drop_caches(Forget::Pages)?;
            let reading = Reading { threads: READERS, seed: u64::from(run), verify: false };
            series.push(read_all(root, &files, reading, &|_, _| {})?.files_per_s());
        }
    }
    uring.stop()?;
    dev.stop()?;
    mirror.umount_and_join().context("unmount fuser")?;
    report(common, &files, contenders.into_iter().map(|(_, series)| series).collect())
}

fn start(server: &ServerProcess, dir: &WorkDir, transport: &str, files: &[File]) -> anyhow::Result<Daemon> {
    let cache_mib = 512 + 2 * (total_bytes(files) >> 20);
    let mut setup = setup(server, dir, transport, &format!("{cache_mib}MiB"))?;
    setup.more.extend(["--transport", transport].map(str::to_owned));
    let daemon = setup.start()?;
    warm_up(&daemon.mountpoint(), files)?;
    Ok(daemon)
}

fn report(common: &Common, files: &[File], series: Vec<Series>) -> anyhow::Result<Report> {
    let about =
        format!("{} files of 100 KB, {READERS} readers, {} interleaved runs", files.len(), common.runs);
    let mut report = Report::new("small-transports", about)?;
    let [local, uring, dev, rival] = [0, 1, 2, 3].map(|index| series[index].median());
    ensure!(local > 0.0 && rival > 0.0 && dev > 0.0, "nothing was read");
    for (name, ratio, goal) in [
        ("forebay over io_uring / local file system", uring / local, 0.8),
        ("forebay over io_uring / fuser", uring / rival, 2.0),
        ("forebay over io_uring / through /dev/fuse", uring / dev, 1.0),
    ] {
        report.figures.push(Figure::new(name, ratio, "x", Goal::AtLeast(goal)));
    }
    report.series.extend(series);
    Ok(report)
}
