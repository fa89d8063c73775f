//! A complete large file, which the kernel reads by itself, against the same file on the local file system: in order from the
//! page cache and without it, direct, mapped, and in random 4 KiB reads of fio at depth 32; with the CPU time of each.

use std::fs::{File as Opened, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::{Common, setup, warm_seq::write_copy, warm_up};
use crate::rig::daemon::Daemon;
use crate::rig::fileset::Dataset;
use crate::rig::interrupt;
use crate::rig::machine::{Forget, drop_caches};
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;
use crate::rig::sys;
use crate::rig::workdir::WorkDir;

const READ_BYTES: usize = 1 << 20;
const ALIGNMENT_BYTES: usize = 4096;
/// A pass over the page cache takes a few hundredths of a second: several make one value.
const WARM_PASSES: u64 = 8;
const FIO_SECONDS: u32 = 5;
const GIB: f64 = (1 << 30) as f64;

/// One way to read the file.
struct Load {
    name: &'static str,
    unit: &'static str,
    goal: f64,
    is_cold: bool,
    run: fn(&Path, u64) -> anyhow::Result<Outcome>,
}

/// What a load did in its time.
struct Outcome {
    /// In the load's unit, a second.
    rate: f64,
    bytes: f64,
}

const LOADS: [Load; 5] = [
    Load { name: "warm, 1 MiB in order", unit: "MiB/s", goal: 0.95, is_cold: false, run: warm },
    Load { name: "cold, 1 MiB in order", unit: "MiB/s", goal: 0.95, is_cold: true, run: buffered },
    Load { name: "direct, 1 MiB in order", unit: "MiB/s", goal: 0.95, is_cold: true, run: direct },
    Load { name: "mapped, in order", unit: "MiB/s", goal: 0.95, is_cold: true, run: mapped },
    Load { name: "direct, 4 KiB random, depth 32", unit: "reads/s", goal: 0.9, is_cold: true, run: random },
];

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    let size_mib = if common.quick { 256 } else { common.large_mib };
    let dataset = Dataset { large_files: 1, large_bytes: size_mib << 20, ..Dataset::default() };
    let file = dataset.large_file(0);
    let dir = WorkDir::new(&common.work_dir, (4 * size_mib) << 20)?;
    let local = dir.sub("local")?;
    write_copy(&local, &file)?;
    let mut server = ServerProcess::start(&dataset)?;
    let mut setup = setup(&server, &dir, "mount", &format!("{}MiB", size_mib + 512))?;
    setup.more.extend(["--large-files-size".to_owned(), format!("{}MiB", size_mib + 64)]);
    let daemon = setup.start()?;
    warm_up(&daemon.mountpoint(), std::slice::from_ref(&file))?;
    daemon.ask(&["warm", "--wait", &daemon.mountpoint().to_string_lossy()])?;
    let gets_before = server.counts()?.get;
    let about = format!("{size_mib} MiB, {} interleaved runs", common.runs);
    let mut report = Report::new("large-files", about)?;
    let roots = [local, daemon.mountpoint()];
    for load in &LOADS {
        measure(common, load, &roots.each_ref().map(|root| root.join(&file.path)), &daemon, &mut report)?;
    }
    let gets = server.counts()?.get - gets_before;
    daemon.stop()?;
    ensure!(gets == 0, "{gets} GETs while the file should be cached");
    Ok(report)
}

fn measure(
    common: &Common,
    load: &Load,
    paths: &[PathBuf; 2],
    daemon: &Daemon,
    report: &mut Report,
) -> anyhow::Result<()> {
    let names = ["local file", "forebay"];
    let mut rates = names.map(|name| Series::new(format!("{name}, {}", load.name), load.unit));
    let mut costs = names.map(|name| Series::new(format!("{name}, {}, CPU", load.name), "s/GiB"));
    for _ in 0..common.runs {
        for (contender, path) in paths.iter().enumerate() {
            interrupt::check()?;
            if load.is_cold {
                drop_caches(Forget::Pages)?;
            }
            let size_bytes = path.metadata().context("the file")?.len();
            let before = cpu_time(daemon)?;
            let outcome = (load.run)(path, size_bytes)?;
            rates[contender].push(outcome.rate);
            let used = cpu_time(daemon)?.saturating_sub(before);
            costs[contender].push(used.as_secs_f64() / (outcome.bytes / GIB));
        }
    }
    let ratio = |series: &[Series; 2]| series[1].median() / series[0].median();
    let name = format!("forebay / local, {}", load.name);
    report.figures.push(Figure::new(&name, ratio(&rates), "x", Goal::AtLeast(load.goal)));
    let name = format!("CPU, forebay / local, {}", load.name);
    report.figures.push(Figure::new(&name, ratio(&costs), "x", Goal::AtMost(1.1)));
    report.series.extend(rates);
    report.series.extend(costs);
    Ok(())
}

/// User and system time of this process, its ended children and the daemon.
fn cpu_time(daemon: &Daemon) -> anyhow::Result<Duration> {
    let mut sum = daemon.cpu_time()?;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who).context("getrusage")?;
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        sum += Duration::from_micros(micros.unsigned_abs());
    }
    Ok(sum)
}

fn in_order(
    size_bytes: u64,
    passes: u64,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    work()?;
    let bytes = (size_bytes * passes) as f64;
    Ok(Outcome { rate: bytes / f64::from(1 << 20) / started.elapsed().as_secs_f64(), bytes })
}

fn warm(path: &Path, size_bytes: u64) -> anyhow::Result<Outcome> {
    read_through(path, 0, size_bytes)?;
    in_order(size_bytes, WARM_PASSES, || (0..WARM_PASSES).try_for_each(|_| read_through(path, 0, size_bytes)))
}

fn buffered(path: &Path, size_bytes: u64) -> anyhow::Result<Outcome> {
    in_order(size_bytes, 1, || read_through(path, 0, size_bytes))
}

fn direct(path: &Path, size_bytes: u64) -> anyhow::Result<Outcome> {
    in_order(size_bytes, 1, || read_through(path, libc::O_DIRECT, size_bytes))
}

fn read_through(path: &Path, flags: i32, size_bytes: u64) -> anyhow::Result<()> {
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.with_context(|| format!("open {}", path.display()))?;
    let mut memory = vec![0; READ_BYTES + ALIGNMENT_BYTES];
    let start = memory.as_ptr().align_offset(ALIGNMENT_BYTES);
    let buffer = &mut memory[start..start + READ_BYTES];
    let mut total = 0;
    while total < size_bytes {
        let len = file.read_at(buffer, total).with_context(|| format!("read {}", path.display()))?;
        ensure!(len > 0, "{} ends after {total} bytes", path.display());
        total += len as u64;
    }
    Ok(())
}

/// As a loader of weights does: maps the file and copies it out in order.
fn mapped(path: &Path, size_bytes: u64) -> anyhow::Result<Outcome> {
    let file = Opened::open(path).with_context(|| format!("open {}", path.display()))?;
    let length = usize::try_from(size_bytes).context("the size of a mapping")?;
    let map = sys::Map::new(file.as_raw_fd(), length).with_context(|| format!("map {}", path.display()))?;
    let mut buffer = vec![0; READ_BYTES];
    in_order(size_bytes, 1, || {
        for piece in map.bytes().chunks(READ_BYTES) {
            buffer[..piece.len()].copy_from_slice(piece);
            std::hint::black_box(&buffer);
        }
        Ok(())
    })
}

fn random(path: &Path, size_bytes: u64) -> anyhow::Result<Outcome> {
    let mut command = Command::new("fio");
    command.args(["--name=random", "--rw=randread", "--bs=4k", "--iodepth=32", "--ioengine=io_uring"]);
    command.args(["--direct=1", "--readonly", "--time_based", "--norandommap", "--randrepeat=0"]);
    command.args(["--output-format=json", "--allow_file_create=0"]);
    command.arg(format!("--runtime={FIO_SECONDS}")).arg(format!("--size={size_bytes}"));
    command.arg(format!("--filename={}", path.display()));
    let output = command.output().context("run fio (install the package fio)")?;
    ensure!(output.status.success(), "fio: {}", String::from_utf8_lossy(&output.stderr).trim());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).context("the report of fio")?;
    let figure = |name: &str| report["jobs"][0]["read"][name].as_f64().with_context(|| format!("no {name}"));
    Ok(Outcome { rate: figure("iops")?, bytes: figure("io_bytes")? })
}
