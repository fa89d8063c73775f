//! A large file in slabs (without passthrough) read from front to back with direct reads of 1 MiB, against the same file on the local file system.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use s3_server::synthetic_bytes;

use super::{Common, setup, warm_up};
use crate::rig::fileset::{Dataset, File};
use crate::rig::interrupt;
use crate::rig::machine::{Forget, drop_caches};
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;
use crate::rig::workdir::WorkDir;

const READ_BYTES: usize = 1 << 20;
/// Alignment that any file system accepts for direct reads.
const ALIGNMENT_BYTES: usize = 4096;

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    let size_mib: u64 = if common.quick { 256 } else { 1024 };
    let dataset = Dataset { large_files: 1, large_bytes: size_mib << 20, ..Dataset::default() };
    let file = dataset.large_file(0);
    let dir = WorkDir::new(&common.work_dir, (4 * size_mib) << 20)?;
    let local = dir.sub("local")?;
    write_copy(&local, &file)?;
    let mut server = ServerProcess::start(&dataset)?;
    let mut setup = setup(&server, &dir, "mount", &format!("{}MiB", 2 * size_mib))?;
    setup.more.extend(["--passthrough", "off"].map(str::to_owned));
    let daemon = setup.start()?;
    warm_up(&daemon.mountpoint(), std::slice::from_ref(&file))?;
    let gets_before = server.counts()?.get;

    let mut ours = Series::new("forebay, warm, direct", "MiB/s");
    let mut theirs = Series::new("local file, direct", "MiB/s");
    for _ in 0..common.runs {
        for (root, series) in [(&local, &mut theirs), (&daemon.mountpoint(), &mut ours)] {
            interrupt::check()?;
            drop_caches(Forget::Pages)?;
            let elapsed = read_direct(&root.join(&file.path), file.object.size_bytes)?;
            series.push(size_mib as f64 / elapsed.as_secs_f64());
        }
    }
    let gets = server.counts()?.get - gets_before;
    daemon.stop()?;
    ensure!(gets == 0, "{gets} GETs while the file should be cached");

    let about = format!("{size_mib} MiB in direct reads of 1 MiB, {} interleaved runs", common.runs);
    let mut report = Report::new("warm-seq", about)?;
    let ratio = ours.median() / theirs.median();
    report.figures.push(Figure::new("forebay / local file", ratio, "x", Goal::AtLeast(0.6)));
    report.series.extend([ours, theirs]);
    Ok(report)
}

pub(super) fn write_copy(root: &Path, file: &File) -> anyhow::Result<()> {
    let path = root.join(&file.path);
    std::fs::create_dir_all(path.parent().context("a file lies in a directory")?)?;
    let mut out = std::fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let mut offset = 0;
    while offset < file.object.size_bytes {
        let end = file.object.size_bytes.min(offset + (16 << 20));
        out.write_all(&synthetic_bytes(file.object.seed, offset..end)).context("write the local copy")?;
        offset = end;
    }
    out.sync_all().context("write the local copy")
}

fn read_direct(path: &Path, size_bytes: u64) -> anyhow::Result<Duration> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path);
    let mut file = opened.with_context(|| format!("open {} with O_DIRECT", path.display()))?;
    let mut memory = vec![0; READ_BYTES + ALIGNMENT_BYTES];
    let start = memory.as_ptr().align_offset(ALIGNMENT_BYTES);
    let buffer = &mut memory[start..start + READ_BYTES];
    let (started, mut total) = (Instant::now(), 0);
    loop {
        let len = file.read(buffer).with_context(|| format!("read {}", path.display()))?;
        if len == 0 {
            break;
        }
        total += len as u64;
    }
    let elapsed = started.elapsed();
    ensure!(total == size_bytes, "{total} of {size_bytes} bytes of {}", path.display());
    Ok(elapsed)
}
