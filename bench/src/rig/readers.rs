//! Reading a set of files with several threads, in a random order, as a training job's workers do.

use std::fs::File as Opened;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use s3_server::synthetic_difference;

use super::fileset::File;
use super::interrupt;

/// Size of a read call.
const READ_BYTES: usize = 1 << 20;

/// How to read.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) threads: usize,
    /// Selects the order.
    pub(crate) seed: u64,
    /// Every byte is compared with what it must be.
    pub(crate) verify: bool,
}

/// What was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
}

impl Epoch {
    pub(crate) fn files_per_s(&self) -> f64 {
        self.files as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn mib_per_s(&self) -> f64 {
        self.bytes as f64 / f64::from(1 << 20) / self.elapsed.as_secs_f64()
    }
}

/// Opens, reads to the end and closes every file once. `progress` is told (files, bytes) after each.
pub(crate) fn read_all(
    root: &Path,
    files: &[File],
    reading: Reading,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> anyhow::Result<Epoch> {
    let mut order: Vec<&File> = files.iter().collect();
    order.shuffle(&mut SmallRng::seed_from_u64(reading.seed));
    let shared = Shared {
        root,
        order,
        verify: reading.verify,
        next: AtomicUsize::new(0),
        has_failed: AtomicBool::new(false),
        files: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    };
    let started = Instant::now();
    let ended: Vec<anyhow::Result<()>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..reading.threads).map(|_| scope.spawn(|| shared.work(progress))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a reader does not panic")).collect()
    });
    let elapsed = started.elapsed();
    ended.into_iter().collect::<anyhow::Result<()>>()?;
    let (files, bytes) = (shared.files.into_inner(), shared.bytes.into_inner());
    Ok(Epoch { files, bytes, elapsed })
}

struct Shared<'a> {
    root: &'a Path,
    order: Vec<&'a File>,
    verify: bool,
    next: AtomicUsize,
    has_failed: AtomicBool,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Shared<'_> {
    /// Takes files until none is left, or any worker fails.
    fn work(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> anyhow::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        while let Some(file) = self.order.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if self.has_failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let read = interrupt::check().and_then(|()| self.read(file, &mut buffer));
            if read.is_err() {
                self.has_failed.store(true, Ordering::Relaxed);
            }
            let bytes = read.with_context(|| format!("read {}", self.root.join(&file.path).display()))?;
            let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
            progress(files, self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes);
        }
        Ok(())
    }

    fn read(&self, file: &File, buffer: &mut [u8]) -> anyhow::Result<u64> {
        let mut opened = Opened::open(self.root.join(&file.path))?;
        let mut offset = 0;
        loop {
            let len = opened.read(buffer)?;
            if len == 0 {
                break;
            }
            if self.verify {
                let wrong = synthetic_difference(file.object.seed, offset, &buffer[..len]);
                ensure!(wrong.is_none(), "wrong byte at offset {}", wrong.unwrap_or_default());
            }
            offset += len as u64;
        }
        ensure!(offset == file.object.size_bytes, "{offset} bytes instead of {}", file.object.size_bytes);
        Ok(offset)
    }
}
