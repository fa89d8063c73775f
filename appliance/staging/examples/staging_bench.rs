//! What the staged tree costs on a real disk: `cargo run --release -p staging --example staging_bench -- DIRECTORY`.
//!
//! Prints changes of names and small writes a second, flushes that N threads share beside the raw device's, the time of a
//! start and of a compaction, and the memory of a node.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use staging::{Attributes, Moment, NewKind, NewNode, NodeNumber, Options, RenameMode, Staging};

type Anyhow<T = ()> = Result<T, Box<dyn std::error::Error>>;

const NODES: usize = 100_000;
const SYNCS: usize = 200;

fn main() -> Anyhow {
    let parent = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = parent.join(format!("staging-bench-{}", std::process::id()));
    let result = run(&directory);
    fs::remove_dir_all(&directory)?;
    result
}

fn run(directory: &Path) -> Anyhow {
    let options = Options::new(directory.to_owned(), "bench".to_owned());
    let (staging, _) = Staging::open(options.clone())?;
    names(&staging)?;
    let started = Instant::now();
    staging.compact()?;
    println!("compaction of {NODES} nodes: {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
    syncs(&staging, directory)?;
    drop(staging);
    let started = Instant::now();
    let (_, recovery) = Staging::open(options)?;
    println!("start with {} nodes: {:.0} ms", recovery.nodes, started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn new(kind: NewKind) -> NewNode {
    let moment = Moment::default();
    NewNode {
        kind,
        attributes: Attributes { mode: 0o644, uid: 0, gid: 0, atime: moment, mtime: moment, ctime: moment },
    }
}

fn names(staging: &Staging) -> Anyhow {
    let directory = staging.create(NodeNumber::ROOT, "names", new(NewKind::Directory), None)?.number;
    let before = resident_bytes()?;
    measure("create", NODES, |at| {
        Ok(staging.create(directory, &format!("file {at:07}"), new(NewKind::File), None).map(|_| ())?)
    })?;
    println!("memory of a node with its name: {} bytes", (resident_bytes()? - before) / NODES);
    measure("lookup", NODES, |at| {
        std::hint::black_box(staging.lookup(directory, &format!("file {at:07}")));
        Ok(())
    })?;
    measure("rename", NODES / 2, |at| {
        let (from, to) = (format!("file {at:07}"), format!("renamed {at:07}"));
        Ok(staging.rename((directory, &from), (directory, &to), RenameMode::Replace, None)?)
    })?;
    let file = staging.create(directory, "log", new(NewKind::File), None)?.number;
    let file = staging.open_file(file, true)?;
    let line = [7; 1024];
    measure("write of 1 KiB", NODES, |at| Ok(file.write_at(at as u64 * 1024, &line)?))
}

/// Each thread writes 4 KiB and syncs, `SYNCS` times.
fn syncs(staging: &Staging, directory: &Path) -> Anyhow {
    let block = [1; 4096];
    let started = Instant::now();
    let mut raw = File::create(directory.join("raw"))?;
    for _ in 0..SYNCS {
        raw.write_all(&block)?;
        raw.sync_data()?;
    }
    println!("raw write and fdatasync: {:.0} a second", SYNCS as f64 / started.elapsed().as_secs_f64());
    for threads in [1, 4, 16] {
        let files: Vec<_> = (0..threads)
            .map(|at| {
                let name = format!("synced {threads} {at}");
                let number = staging.create(NodeNumber::ROOT, &name, new(NewKind::File), None)?.number;
                Ok(staging.open_file(number, true)?)
            })
            .collect::<Anyhow<_>>()?;
        let started = Instant::now();
        std::thread::scope(|scope| {
            for file in &files {
                scope.spawn(move || {
                    for at in 0..SYNCS as u64 {
                        file.write_at(at * 4096, &block).and_then(|()| file.sync()).expect("the disk works");
                    }
                });
            }
        });
        println!(
            "write and fsync, {threads} threads: {:.0} a second",
            (threads * SYNCS) as f64 / started.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn measure(what: &str, count: usize, mut call: impl FnMut(usize) -> Anyhow) -> Anyhow {
    let started = Instant::now();
    (0..count).try_for_each(&mut call)?;
    println!("{what}: {:.0} a second", count as f64 / started.elapsed().as_secs_f64());
    Ok(())
}

fn resident_bytes() -> Anyhow<usize> {
    let pages: usize =
        fs::read_to_string("/proc/self/statm")?.split_whitespace().nth(1).ok_or("statm")?.parse()?;
    Ok(pages * 4096)
}
