//! The demo: an S3 server with frames of videos, a mount, and epochs read cold, warm, and warm after a restart.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use s3_server::{Options, Server};

use crate::rig::daemon::{Setup, program};
use crate::rig::fileset::{BUCKET, Dataset, File, total_bytes};
use crate::rig::machine::{Forget, drop_caches};
use crate::rig::readers::{Epoch, Reading, read_all};
use crate::rig::workdir::WorkDir;

const FRAMES_PER_VIDEO: u32 = 1000;
const LARGE_BYTES: u64 = 128 << 20;
const CACHE_SIZE_MIN_GIB: u64 = 4;

/// How large, where, with how many readers.
pub(crate) struct Demo {
    pub(crate) work_dir: PathBuf,
    pub(crate) scale: f64,
    pub(crate) readers: usize,
}

/// One line of the result.
struct Row {
    name: &'static str,
    epoch: Epoch,
    gets: u64,
}

pub(crate) fn run(demo: &Demo) -> anyhow::Result<()> {
    ensure!(demo.scale > 0.0 && demo.scale <= 1000.0, "--scale must be above 0 and at most 1000");
    let scaled = |count: f64| (count * demo.scale).ceil() as u32;
    let dataset = Dataset {
        videos: scaled(24.0),
        frames_per_video: FRAMES_PER_VIDEO,
        large_files: scaled(3.0),
        large_bytes: LARGE_BYTES,
        ..Dataset::default()
    };
    let files = dataset.files();
    let cache_gib = CACHE_SIZE_MIN_GIB.max(2 * (total_bytes(&files) >> 30));
    let dir = WorkDir::new(&demo.work_dir, (cache_gib << 30) + (256 << 20))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = runtime.block_on(Server::start(Options::default())).context("start the S3 server")?;
    dataset.fill(&server);
    println!(
        "{} files, {} MiB, in s3://{BUCKET}/ at {}: frames of {} videos, and {} files of 128 MiB",
        files.len(),
        total_bytes(&files) >> 20,
        server.endpoint(),
        dataset.videos,
        dataset.large_files
    );
    let setup = Setup {
        program: program()?,
        url: format!("s3://{BUCKET}/"),
        endpoint: server.endpoint(),
        dir: dir.sub("forebay")?,
        cache_size: format!("{cache_gib}GiB"),
        memory: None,
        more: Vec::new(),
        is_read_write: false,
    };
    let rows = epochs(&setup, &server, &files, demo.readers)?;
    print_table(&rows);
    runtime.block_on(server.shutdown());
    let missed: u64 = rows[1..].iter().map(|row| row.gets).sum();
    ensure!(missed == 0, "{missed} GETs in the warm epochs, where all should come from the cache");
    println!("Every byte was compared with what it must be; the warm epochs asked the store for nothing.");
    Ok(())
}

fn epochs(setup: &Setup, server: &Server, files: &[File], readers: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut read = |name: &'static str, mountpoint: &Path| -> anyhow::Result<()> {
        forget();
        let gets_before = server.stats().get;
        let reading = Reading { threads: readers, seed: rows.len() as u64, verify: true };
        let epoch = read_with_progress(name, mountpoint, files, reading)?;
        rows.push(Row { name, epoch, gets: server.stats().get - gets_before });
        Ok(())
    };
    let daemon = setup.start()?;
    println!("mounted on {} after {:.1?}", daemon.mountpoint().display(), daemon.start_time);
    read("cold: from S3", &daemon.mountpoint())?;
    read("warm: from NVMe", &daemon.mountpoint())?;
    daemon.stop()?;
    let daemon = setup.start()?;
    println!("restarted and mounted after {:.1?}", daemon.start_time);
    read("warm after a restart", &daemon.mountpoint())?;
    daemon.stop()?;
    println!("unmounted");
    Ok(rows)
}

/// Without root the kernel's page cache stays and serves part of a warm epoch; the demo says so and goes on.
fn forget() {
    if let Err(error) = drop_caches(Forget::All) {
        println!("note: {error:#}; warm rates are those of the kernel's page cache");
    }
}

fn read_with_progress(name: &str, root: &Path, files: &[File], reading: Reading) -> anyhow::Result<Epoch> {
    let bar = ProgressBar::new(total_bytes(files));
    let template =
        "{prefix:22} [{bar:30}] {bytes:>10} of {total_bytes} {binary_bytes_per_sec:>12} {msg:>14} {eta:>4}";
    bar.set_style(ProgressStyle::with_template(template)?.progress_chars("=> "));
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    let progress = |count: u64, bytes: u64| {
        bar.set_position(bytes);
        if count.is_multiple_of(64) {
            bar.set_message(format!("{:.0} files/s", count as f64 / bar.elapsed().as_secs_f64()));
        }
    };
    if !std::io::stderr().is_terminal() {
        print!("{name} ... ");
        std::io::stdout().flush()?;
    }
    let epoch = read_all(root, files, reading, &progress).with_context(|| format!("epoch \"{name}\""));
    bar.finish_and_clear();
    let epoch = epoch?;
    if !std::io::stderr().is_terminal() {
        println!("{:.1?}", epoch.elapsed);
    }
    Ok(epoch)
}

fn print_table(rows: &[Row]) {
    println!(
        "\n{:<24} {:>8} {:>8} {:>9} {:>9} {:>9} {:>8}",
        "epoch", "files", "MiB", "time", "files/s", "MiB/s", "GETs"
    );
    for Row { name, epoch, gets } in rows {
        println!(
            "{name:<24} {:>8} {:>8} {:>8.1}s {:>9.0} {:>9.0} {gets:>8}",
            epoch.files,
            epoch.bytes >> 20,
            epoch.elapsed.as_secs_f64(),
            epoch.files_per_s(),
            epoch.mib_per_s()
        );
    }
    println!();
}
