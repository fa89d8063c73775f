//! A store that does not answer: cached data goes on, the rest ends in bounded time, and all is well when it is back.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use forebay_tests::{
    Access, Daemon, DirectBuffer, MIB, S3, Setup, eventually, missing_fuse, open, read_range, read_whole,
    require, synthetic_bytes, synthetic_difference,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SEED: u64 = 55;
const OBJECT_BYTES: u64 = 40 * MIB;
/// `total_timeout` of an impatient setup is 2 s; a reader may wait twice as long, for its turn and for the store.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// "Promptly" for somebody at a keyboard, on a loaded test machine.
const INTERRUPT_TIME_MAX: Duration = Duration::from_secs(3);

fn dataset() -> S3 {
    let s3 = S3::start();
    s3.put_synthetic("large.bin", SEED, OBJECT_BYTES);
    s3.put_synthetic("cached.bin", SEED, 3 * MIB);
    s3.put_synthetic("uncached.bin", SEED, 3 * MIB);
    s3.put_synthetic("uncached-2.bin", SEED, 3 * MIB);
    s3
}

fn set_down(s3: &S3, down: bool) {
    s3.faults().set(|knobs| knobs.down = down);
}

fn is_whole(daemon: &Daemon<'_>, name: &str, size_bytes: u64) -> bool {
    read_whole(&daemon.path(name), Access::Direct)
        .is_ok_and(|data| data == synthetic_bytes(SEED, 0..size_bytes))
}

#[test]
fn cached_data_is_read_during_an_outage() {
    require!(missing_fuse());
    for consistency in ["immutable", "ttl=60s"] {
        let s3 = dataset();
        let setup = Setup::new().s3(&s3).impatient().mount(&s3.url(""), consistency);
        let daemon = setup.start();
        assert!(is_whole(&daemon, "cached.bin", 3 * MIB));
        let names = || std::fs::read_dir(daemon.mountpoint()).unwrap().count();
        assert_eq!(names(), 4, "{consistency}");
        set_down(&s3, true);
        assert!(is_whole(&daemon, "cached.bin", 3 * MIB), "{consistency}");
        assert_eq!(names(), 4, "{consistency}");
    }
}

#[test]
fn an_uncached_read_fails_in_bounded_time_and_works_when_the_store_is_back() {
    require!(missing_fuse());
    let s3 = dataset();
    let setup = Setup::new().s3(&s3).impatient().mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    assert_eq!(std::fs::metadata(daemon.path("uncached.bin")).unwrap().len(), 3 * MIB);
    set_down(&s3, true);
    let started = Instant::now();
    let error = read_whole(&daemon.path("uncached.bin"), Access::Direct).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    assert!(started.elapsed() < ANSWER_TIME_MAX, "{:?}", started.elapsed());
    let log_names_the_store =
        daemon.status()["stores"][0]["last_error"].as_str().is_some_and(|text| !text.is_empty());
    assert!(log_names_the_store, "{:#}", daemon.status());
    set_down(&s3, false);
    assert!(is_whole(&daemon, "uncached.bin", 3 * MIB), "an error was kept");
}

#[test]
fn an_outage_within_a_read_ends_with_the_store_back_and_the_file_still_open() {
    require!(missing_fuse());
    let s3 = dataset();
    let setup = Setup::new().s3(&s3).impatient().mount(&s3.url(""), "strict");
    let daemon = setup.start();
    let file = open(&daemon.path("large.bin"), Access::Direct).unwrap();
    let mut buffer = DirectBuffer::new(MIB as usize);
    let mut failed = None;
    for offset in (0..OBJECT_BYTES).step_by(MIB as usize) {
        if offset == 4 * MIB {
            set_down(&s3, true);
        }
        match read_range(&file, offset, buffer.bytes_mut()) {
            Ok(data) => assert_eq!(synthetic_difference(SEED, offset, data), None),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EIO));
                failed = Some(offset);
                break;
            }
        }
    }
    let failed = failed.expect("40 MiB cannot all be read ahead");
    set_down(&s3, false);
    for offset in (failed..OBJECT_BYTES).step_by(MIB as usize) {
        let data = read_range(&file, offset, buffer.bytes_mut()).unwrap();
        assert_eq!(synthetic_difference(SEED, offset, data), None, "at {offset}");
    }
}

#[test]
fn a_short_outage_is_waited_out() {
    require!(missing_fuse());
    let s3 = dataset();
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    let before = s3.stats().connections + s3.stats().faults;
    set_down(&s3, true);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| is_whole(&daemon, "uncached.bin", 3 * MIB));
        // the outage ends once it was noticed: requests on old connections and new connections are both refused
        let refused = || s3.stats().connections + s3.stats().faults > before + 1;
        eventually("a request is refused", ANSWER_TIME_MAX, || refused().then_some(()));
        set_down(&s3, false);
        assert!(reader.join().unwrap());
    });
}

#[test]
fn names_that_are_not_known_fail_in_bounded_time() {
    require!(missing_fuse());
    let s3 = dataset();
    let setup = Setup::new().s3(&s3).impatient().mount(&s3.url(""), "strict");
    let daemon = setup.start();
    set_down(&s3, true);
    let started = Instant::now();
    let error = std::fs::metadata(daemon.path("uncached.bin")).unwrap_err();
    assert!(started.elapsed() < ANSWER_TIME_MAX, "{:?}", started.elapsed());
    assert_ne!(error.kind(), io::ErrorKind::NotFound, "an outage is not an absence");
    set_down(&s3, false);
    assert_eq!(std::fs::metadata(daemon.path("uncached.bin")).unwrap().len(), 3 * MIB);
}

/// A process that waits in a read of a store which never answers.
fn blocked_reader(s3: &S3, daemon: &Daemon<'_>, name: &str) -> Child {
    s3.faults().set(|knobs| knobs.latency_ms = 600_000);
    let gets = s3.stats().get;
    let mut command = Command::new("cat");
    command.arg(daemon.path(name)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    eventually("the reader waits for the store", ANSWER_TIME_MAX, || (s3.stats().get > gets).then_some(()));
    child
}

#[test]
fn a_signal_ends_a_process_that_waits_for_the_store() {
    require!(missing_fuse());
    let s3 = dataset();
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    assert_eq!(std::fs::read_dir(daemon.mountpoint()).unwrap().count(), 4);
    // a file for each: the fetch of the first goes on without its reader
    for (signal, name) in [(Signal::SIGINT, "uncached.bin"), (Signal::SIGKILL, "uncached-2.bin")] {
        let mut reader = blocked_reader(&s3, &daemon, name);
        kill(Pid::from_raw(i32::try_from(reader.id()).unwrap()), signal).unwrap();
        let what = format!("{signal} ends the reader");
        eventually(&what, INTERRUPT_TIME_MAX, || reader.try_wait().unwrap());
    }
    s3.faults().clear();
}

#[test]
fn a_daemon_stops_while_a_reader_waits_for_the_store() {
    require!(missing_fuse());
    let s3 = dataset();
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    std::fs::metadata(daemon.path("uncached.bin")).unwrap();
    let mut reader = blocked_reader(&s3, &daemon, "uncached.bin");
    daemon.terminate();
    eventually("the reader ends with the daemon", INTERRUPT_TIME_MAX, || reader.try_wait().unwrap());
}
