//! What a request costs: `fstat` with attributes that expire at once, and reading a file in memory.
//!
//! `cargo run --release -p fuse-fast --example request_cost [-- SECONDS]`, as root. Prints one line per measurement; the
//! read from a plain file in /dev/shm is the ceiling of this machine.

#[path = "../tests/support/memory_fs.rs"]
mod memory_fs;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fuse_fast::mount::{MountOptions, mount};
use fuse_fast::session::{Session, SessionConfig};
use fuse_fast::{NodeId, OpenedFlags};
use memory_fs::MemoryFs;

const FILE_BYTES: usize = 256 * 1024 * 1024;
const READ_BYTES: usize = 1024 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let limit = Duration::from_secs(seconds);
    let directory = tempfile::tempdir()?;
    let fs = MemoryFs::new(Duration::ZERO, OpenedFlags::NONE);
    fs.add_file(NodeId::ROOT, "small", vec![0; 100]);
    fs.add_file(NodeId::ROOT, "large", vec![7; FILE_BYTES]);
    let device = mount(directory.path(), &MountOptions::default())?;
    let session = Session::start(device, Arc::new(fs), SessionConfig::default())?;

    let small = directory.path().join("small");
    for threads in [1, 2] {
        let before = session.stats().requests_total();
        let calls = stat_for(&small, threads, limit)?;
        let requests = (session.stats().requests_total() - before) as f64;
        let rate = calls as f64 / limit.as_secs_f64();
        println!("fstat, {threads} threads: {rate:.0}/s, {:.1} requests each", requests / calls as f64);
    }
    let large = directory.path().join("large");
    let ceiling = PathBuf::from("/dev/shm").join(format!("fuse-fast-request-cost-{}", std::process::id()));
    fs::write(&ceiling, vec![7; FILE_BYTES])?;
    for round in 1..=3 {
        let before = session.stats().requests_of("Read");
        let cold = read_rate(&large)?;
        let requests = session.stats().requests_of("Read") - before;
        let direct = read_rate(&ceiling)?;
        println!(
            "read 1 MiB sequential, round {round}: {cold:.0} MiB/s in {requests} requests, memory file {direct:.0} MiB/s"
        );
    }
    fs::remove_file(&ceiling)?;
    session.shutdown(Duration::from_secs(5))?;
    Ok(())
}

/// Count of fstat(2) calls, one GETATTR each, that `threads` threads make in `limit`.
fn stat_for(path: &Path, threads: usize, limit: Duration) -> io::Result<u64> {
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> io::Result<()> {
                    let file = File::open(path)?;
                    while !stop.load(Ordering::Relaxed) {
                        file.metadata()?;
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        std::thread::sleep(limit);
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    Ok(calls.into_inner())
}

/// MiB per second of one pass over a file. Each open drops the pages of the last one: the file system does not keep them.
fn read_rate(path: &Path) -> io::Result<f64> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; READ_BYTES];
    let started = Instant::now();
    let mut total = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => total += count,
        }
    }
    Ok(total as f64 / f64::from(1 << 20) / started.elapsed().as_secs_f64())
}
