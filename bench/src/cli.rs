//! The command line.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};

use crate::rig::fileset::Dataset;
use crate::rig::report::Report;
use crate::rig::{interrupt, server_process};
use crate::scenarios::demo::{self, Demo};
use crate::scenarios::{
    Common, ckpt, cold_seq, drain, large_files, list_import, rss, server, small_transports, stat, warm_seq,
    warm_small,
};

/// The demo of Forebay and the measurements of docs/PERFORMANCE.md.
///
/// Runs the `forebay` program beside this one, or $FOREBAY_BINARY. All but the demo need root, to drop the page cache.
#[derive(Parser)]
#[command(name = "forebay-bench")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Mount a generated dataset and read it cold, warm, and warm after a restart
    Demo(DemoArgs),
    /// Cold sequential read of 1 GiB objects, against parallel ranged GETs
    ColdSeq(ScenarioArgs),
    /// Cached files of 100 KB with 8 readers, against the local file system
    WarmSmall(ScenarioArgs),
    /// The same over io_uring and /dev/fuse, and served by the library fuser
    SmallTransports(ScenarioArgs),
    /// Cached 1 GiB file in direct reads of 1 MiB, against the local file system
    WarmSeq(ScenarioArgs),
    /// A complete large file that the kernel reads by itself, against the local file system
    LargeFiles(ScenarioArgs),
    /// Warm stat calls from two threads
    Stat(ScenarioArgs),
    /// A million keys through a fresh mount, against a plain listing
    ListImport(ScenarioArgs),
    /// Resident memory with 200 streams open
    Rss(ScenarioArgs),
    /// A checkpoint saved and read back, against the local file system
    Ckpt(ScenarioArgs),
    /// A checkpoint sent to the store, against plain multipart uploads, and reads meanwhile
    Drain(ScenarioArgs),
    /// The S3 server alone, to see that it does not limit the others
    Server(ScenarioArgs),
    /// All scenarios, one after the other
    All(ScenarioArgs),
    /// The S3 server of the scenarios, in a process of its own
    #[command(hide = true)]
    Serve(Dataset),
}

#[derive(Args)]
struct DemoArgs {
    /// Size of the dataset; 1 is 24,000 frames and three large files, about 2 GB
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Threads that read
    #[arg(long, default_value_t = 8)]
    readers: usize,
    /// A directory on the disk to measure; a directory in it is used and removed
    #[arg(long, default_value = "/var/tmp")]
    work_dir: PathBuf,
}

#[derive(Args)]
struct ScenarioArgs {
    /// A directory on the disk to measure; a directory in it is used and removed
    #[arg(long, default_value = "/var/tmp")]
    work_dir: PathBuf,
    /// Interleaved runs of each contender
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Less data, for a first impression
    #[arg(long)]
    quick: bool,
    /// Size in MiB of the file of large-files
    #[arg(long, default_value_t = 4096)]
    large_mib: u64,
    /// Size in MiB of each of the four files of ckpt and drain
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..=65536))]
    shard_mib: u64,
    /// One line of JSON in place of a table
    #[arg(long)]
    json: bool,
}

type Scenario = fn(&Common) -> anyhow::Result<Report>;

const ALL: [Scenario; 11] = [
    server::run,
    cold_seq::run,
    warm_small::run,
    small_transports::run,
    warm_seq::run,
    large_files::run,
    stat::run,
    list_import::run,
    rss::run,
    ckpt::run,
    drain::run,
];

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(dataset) => server_process::serve(&dataset),
            Command::Demo(args) => {
                interrupt::listen()?;
                demo::run(&Demo { work_dir: args.work_dir, scale: args.scale, readers: args.readers.max(1) })
            }
            Command::ColdSeq(args) => measure(args, &[cold_seq::run]),
            Command::WarmSmall(args) => measure(args, &[warm_small::run]),
            Command::SmallTransports(args) => measure(args, &[small_transports::run]),
            Command::WarmSeq(args) => measure(args, &[warm_seq::run]),
            Command::LargeFiles(args) => measure(args, &[large_files::run]),
            Command::Stat(args) => measure(args, &[stat::run]),
            Command::ListImport(args) => measure(args, &[list_import::run]),
            Command::Rss(args) => measure(args, &[rss::run]),
            Command::Ckpt(args) => measure(args, &[ckpt::run]),
            Command::Drain(args) => measure(args, &[drain::run]),
            Command::Server(args) => measure(args, &[server::run]),
            Command::All(args) => measure(args, &ALL),
        }
    }
}

/// Runs scenarios and prints what they found. A figure that misses its goal is printed, not an error; a scenario that
/// fails does not keep the next one from running.
fn measure(args: ScenarioArgs, scenarios: &[Scenario]) -> anyhow::Result<()> {
    interrupt::listen()?;
    let common = Common {
        work_dir: args.work_dir,
        runs: args.runs,
        quick: args.quick,
        large_mib: args.large_mib,
        shard_mib: args.shard_mib,
    };
    let mut failed = 0;
    for scenario in scenarios {
        interrupt::check()?;
        match scenario(&common) {
            Ok(report) => report.print(args.json)?,
            Err(error) if scenarios.len() == 1 => return Err(error),
            Err(error) => {
                eprintln!("forebay-bench: {error:#}");
                failed += 1;
            }
        }
    }
    if failed > 0 {
        bail!("{failed} scenarios failed");
    }
    Ok(())
}
