//! The daemon stays within its memory, however many streams are open.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forebay_tests::{
    Access, Daemon, DirectBuffer, MIB, S3, Setup, missing_fuse, open, read_range, require,
    synthetic_difference,
};

const STREAMS: u64 = 200;
const OBJECT_BYTES: u64 = 64 << 30;
const STEP_BYTES: usize = 64 * 1024;
/// What a stream reads; all together far more than the memory.
const STREAM_BYTES: u64 = 6 * MIB;
const MEMORY_BYTES: u64 = 256 * MIB;
/// The promise of `--memory`.
const SLACK_BYTES: u64 = 64 * MIB;
const TEST_TIME_MAX: Duration = Duration::from_secs(600);

/// Highest resident set so far, VmHWM of proc_pid_status(5).
fn peak_resident_bytes(daemon: &Daemon<'_>) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// Reads a stream in small steps; each of them gives way to the others.
fn read_slowly(daemon: &Daemon<'_>, stream: u64, read: &AtomicU64, stop: &AtomicBool) {
    let file = open(&daemon.path(&format!("stream-{stream}")), Access::ALL[stream as usize % 2]).unwrap();
    let mut buffer = DirectBuffer::new(STEP_BYTES);
    let start = stream * 37 * MIB;
    for offset in (start..start + STREAM_BYTES).step_by(STEP_BYTES) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let data = read_range(&file, offset, buffer.bytes_mut()).unwrap();
        assert_eq!(data.len(), STEP_BYTES);
        assert_eq!(synthetic_difference(stream, offset, data), None, "stream {stream}, at {offset}");
        read.fetch_add(data.len() as u64, Ordering::Relaxed);
        thread::yield_now();
    }
}

#[test]
#[ignore = "long"]
fn two_hundred_open_streams_stay_within_the_memory() {
    require!(missing_fuse());
    let s3 = S3::start();
    for stream in 0..STREAMS {
        s3.put_synthetic(&format!("stream-{stream}"), stream, OBJECT_BYTES);
    }
    // a store that is slower than its readers keeps as much in flight as is allowed
    s3.faults().set(|knobs| {
        knobs.latency_ms = 20;
        knobs.rate_bytes_per_s = 4 << 20;
    });
    let setup =
        Setup::new().memory("256MiB").s3(&s3).mount(&s3.url(""), "immutable").lives_at_most(TEST_TIME_MAX);
    let daemon = setup.start();
    let (read, stop, started) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        let streams: Vec<_> = (0..STREAMS)
            .map(|stream| {
                scope.spawn({
                    let (d, r, s) = (&daemon, &read, &stop);
                    move || read_slowly(d, stream, r, s)
                })
            })
            .collect();
        while streams.iter().any(|stream| !stream.is_finished()) {
            let peak = peak_resident_bytes(&daemon);
            if peak > MEMORY_BYTES + SLACK_BYTES || started.elapsed() > TEST_TIME_MAX {
                stop.store(true, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(200));
        }
    });
    let peak = peak_resident_bytes(&daemon);
    println!(
        "{} bytes read in {:?}; peak resident set {} MiB",
        read.load(Ordering::Relaxed),
        started.elapsed(),
        peak / MIB
    );
    assert!(peak <= MEMORY_BYTES + SLACK_BYTES, "{peak} bytes resident");
    assert_eq!(read.load(Ordering::Relaxed), STREAMS * STREAM_BYTES);
}
