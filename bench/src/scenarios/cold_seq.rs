//! A large object that is not cached, read from front to back through the mount, against parallel ranged GETs of the same
//! object with a plain client. Each run takes an object of its own, so nothing is ever warm. Before each of them memory is
//! touched: see [`touch_memory`].

use std::fs::File as Opened;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use s3_server::synthetic_difference;

use super::{Common, setup};
use crate::rig::fileset::{Dataset, File};
use crate::rig::interrupt;
use crate::rig::machine::touch_memory;
use crate::rig::plain_client::PlainClient;
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;
use crate::rig::workdir::WorkDir;

const READ_BYTES: usize = 1 << 20;
/// The plain client's parts and how many at a time; the best of them counts.
const PART_BYTES: u64 = 8 << 20;
const PARTS_AT_A_TIME: [usize; 3] = [2, 4, 8];

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    let size_mib: u64 = if common.quick { 256 } else { 1024 };
    let dataset = Dataset { large_files: common.runs, large_bytes: size_mib << 20, ..Dataset::default() };
    let cache_mib = size_mib * (u64::from(common.runs) + 1);
    let dir = WorkDir::new(&common.work_dir, (cache_mib + 512) << 20)?;
    let server = ServerProcess::start(&dataset)?;
    let client = PlainClient::new(server.endpoint())?;
    let daemon = setup(&server, &dir, "mount", &format!("{cache_mib}MiB"))?.start()?;

    let mut mount = Series::new("forebay, read(2) of 1 MiB", "MiB/s");
    let mut plain =
        PARTS_AT_A_TIME.map(|count| Series::new(format!("plain client, {count} GETs of 8 MiB"), "MiB/s"));
    for index in 0..common.runs {
        let file = dataset.large_file(index);
        let rate = |elapsed: Duration| size_mib as f64 / elapsed.as_secs_f64();
        for (series, at_a_time) in plain.iter_mut().zip(PARTS_AT_A_TIME) {
            interrupt::check()?;
            touch_memory(file.object.size_bytes);
            let key = file.path.to_string_lossy();
            series.push(rate(client.get_ranges(&key, file.object.size_bytes, PART_BYTES, at_a_time)?));
        }
        touch_memory(file.object.size_bytes);
        mount.push(rate(read_through(&daemon.mountpoint(), &file)?));
    }
    daemon.stop()?;

    let about = format!("objects of {size_mib} MiB read cold, {} interleaved runs", common.runs);
    let mut report = Report::new("cold-seq", about)?;
    let best = plain.iter().map(Series::median).fold(f64::NAN, f64::max);
    let ratio = mount.median() / best;
    report.figures.push(Figure::new("forebay / best plain client", ratio, "x", Goal::AtLeast(0.8)));
    report.series.push(mount);
    report.series.extend(plain);
    Ok(report)
}

/// Reads a file to its end; its first and last bytes are checked outside of the time.
fn read_through(mountpoint: &Path, file: &File) -> anyhow::Result<Duration> {
    let path = mountpoint.join(&file.path);
    let mut buffer = vec![0; READ_BYTES];
    let (mut first, mut last_len, mut offset) = (Vec::new(), 0, 0);
    let started = Instant::now();
    let mut opened = Opened::open(&path).with_context(|| format!("open {}", path.display()))?;
    loop {
        let len = opened.read(&mut buffer).with_context(|| format!("read {} at {offset}", path.display()))?;
        if len == 0 {
            break;
        }
        if offset == 0 {
            first.extend_from_slice(&buffer[..len.min(4096)]);
        }
        offset += len as u64;
        last_len = len;
    }
    let elapsed = started.elapsed();
    ensure!(offset == file.object.size_bytes, "{} has {offset} bytes", path.display());
    let last_offset = offset - last_len as u64;
    for (at, data) in [(0, &first[..]), (last_offset, &buffer[..last_len])] {
        let wrong = synthetic_difference(file.object.seed, at, data);
        ensure!(wrong.is_none(), "wrong byte at {wrong:?} of {}", path.display());
    }
    Ok(elapsed)
}
