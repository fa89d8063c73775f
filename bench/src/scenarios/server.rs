//! What the S3 server itself gives a plain client. It has one thread and must not be what limits the other scenarios.

use anyhow::ensure;

use super::Common;
use crate::rig::fileset::{Dataset, File};
use crate::rig::interrupt;
use crate::rig::plain_client::{Part, PlainClient};
use crate::rig::report::{Figure, Goal, Report, Series};
use crate::rig::server_process::ServerProcess;

const LARGE_MIB: u64 = 1024;
const PART_BYTES: u64 = 8 << 20;
const SMALL_AT_A_TIME: usize = 16;

pub(crate) fn run(common: &Common) -> anyhow::Result<Report> {
    let small_files = if common.quick { 5000 } else { 20_000 };
    let dataset = Dataset {
        small_files,
        large_files: 1,
        large_bytes: LARGE_MIB << 20,
        keys: 100_000,
        ..Dataset::default()
    };
    let server = ServerProcess::start(&dataset)?;
    let client = PlainClient::new(server.endpoint())?;
    let small: Vec<File> = Dataset { large_files: 0, ..dataset }.files();

    let mut large = Measured::new("large object, 4 GETs of 8 MiB", "MiB/s");
    let mut tiny = Measured::new("first 4 KiB of 100 KB files, 16 at a time", "GETs/s");
    let mut list = Measured::new("one listing, pages of 1000", "keys/s");
    for _ in 0..common.runs {
        interrupt::check()?;
        large.measure(&server, LARGE_MIB as f64, || {
            client.get_ranges("large/000.bin", LARGE_MIB << 20, PART_BYTES, 4).map(drop)
        })?;
        tiny.measure(&server, small.len() as f64, || {
            client.get_all(heads(&small), SMALL_AT_A_TIME).map(drop)
        })?;
        list.measure(&server, dataset.keys as f64, || {
            let (keys, _) = client.list(&["keys/".to_owned()], 1)?;
            ensure!(keys == dataset.keys, "{keys} keys are listed");
            Ok(())
        })?;
    }

    let mut report = Report::new("server", format!("the S3 server alone, one thread, {} runs", common.runs))?;
    let per_core = |measured: &Measured| measured.per_cpu.median();
    report.figures.push(Figure::new(
        "large GETs by one core",
        per_core(&large),
        "MiB/s",
        Goal::AtLeast(1431.0),
    ));
    report.figures.push(Figure::new(
        "small GETs by one core",
        per_core(&tiny),
        "GETs/s",
        Goal::AtLeast(5000.0),
    ));
    report.series.extend([large, tiny, list].into_iter().flat_map(|it| [it.per_time, it.per_cpu]));
    Ok(report)
}

fn heads(files: &[File]) -> Vec<Part> {
    files.iter().map(|file| Part { key: file.path.to_string_lossy().into_owned(), range: 0..4096 }).collect()
}

/// A rate by the clock, and by the CPU time that the server used.
struct Measured {
    per_time: Series,
    per_cpu: Series,
}

impl Measured {
    fn new(name: &str, unit: &'static str) -> Self {
        Self { per_time: Series::new(name, unit), per_cpu: Series::new(format!("{name}, per CPU s"), unit) }
    }

    fn measure(
        &mut self,
        server: &ServerProcess,
        amount: f64,
        work: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (cpu_before, started) = (server.cpu_time()?, std::time::Instant::now());
        work()?;
        self.per_time.push(amount / started.elapsed().as_secs_f64());
        self.per_cpu.push(amount / (server.cpu_time()? - cpu_before).as_secs_f64());
        Ok(())
    }
}
