//! Cached files of 100 KB, opened, read and closed by 8 readers in random order with the page cache dropped, against the
//! same files on the local file system.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use s3_server::synthetic_bytes;

use super::{Common, setup, warm_up};
use crate::rig::fileset::{Dataset, File, total_bytes};
use crate::rig::machine::{Forget, drop_caches};
use crate::rig::readers::{Reading, read_all};
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;
use crate::rig::workdir::WorkDir;

const READERS: usize = 8;

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    let dataset = Dataset { small_files: if common.quick { 2000 } else { 8000 }, ..Dataset::default() };
    let files = dataset.files();
    let dir = WorkDir::new(&common.work_dir, 3 * total_bytes(&files) + (1 << 30))?;
    let local = dir.sub("local")?;
    write_copies(&local, &files)?;
    let mut server = ServerProcess::start(&dataset)?;
    let cache_mib = 512 + 2 * (total_bytes(&files) >> 20);
    let daemon = setup(&server, &dir, "mount", &format!("{cache_mib}MiB"))?.start()?;
    warm_up(&daemon.mountpoint(), &files)?;
    let gets_before = server.counts()?.get;

    let mut ours = Series::new("forebay, warm", "files/s");
    let mut theirs = Series::new("local file system", "files/s");
    for run in 0..common.runs {
        for (root, series) in [(&local, &mut theirs), (&daemon.mountpoint(), &mut ours)] {
            drop_caches(Forget::Pages)?;
            let reading = Reading { threads: READERS, seed: u64::from(run), verify: false };
            series.push(read_all(root, &files, reading, &|_, _| {})?.files_per_s());
        }
    }
    let gets = server.counts()?.get - gets_before;
    daemon.stop()?;
    ensure!(gets == 0, "{gets} GETs while everything should be cached");

    let about =
        format!("{} files of 100 KB, {READERS} readers, {} interleaved runs", files.len(), common.runs);
    let mut report = Report::new("warm-small", about)?;
    let ratio = ours.median() / theirs.median();
    report.figures.push(Figure::new("forebay / local file system", ratio, "x", Goal::AtLeast(0.5)));
    report.series.extend([ours, theirs]);
    Ok(report)
}

/// The same files with the same bytes below a local directory.
pub(super) fn write_copies(root: &Path, files: &[File]) -> anyhow::Result<()> {
    for file in files {
        let path = root.join(&file.path);
        let parent = path.parent().context("a file lies in a directory")?;
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        let bytes = synthetic_bytes(file.object.seed, 0..file.object.size_bytes);
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
