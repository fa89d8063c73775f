//! Handlers that fail, and callers that go away.

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use fuse_fast::session::{SessionError, Transport};
use fuse_fast::{NodeId, OpenedFlags};
use support::memory_fs::{Content, MemoryFs, Trick};
use support::{LONG, Mounted, mounted, on_every_transport, pattern};

fn with_tricks(transport: Transport) -> Mounted<MemoryFs> {
    mounted_tricks(transport, OpenedFlags::NONE)
}

fn mounted_tricks(transport: Transport, flags: OpenedFlags) -> Mounted<MemoryFs> {
    let fs = MemoryFs::new(LONG, flags);
    let tricks = [
        ("panic", Trick::Panic),
        ("drop", Trick::Drop),
        ("wait", Trick::Wait),
        ("much", Trick::TooMuch),
        ("block", Trick::Block),
    ];
    for (name, trick) in tricks {
        fs.add(NodeId::ROOT, name, Content::File(pattern(8192).into(), trick));
    }
    fs.add_file(NodeId::ROOT, "good", pattern(100_000));
    mounted(transport, fs)
}

fn read_errno(mounted: &Mounted<MemoryFs>, name: &str) -> Option<i32> {
    let mut file = File::open(mounted.path(name)).expect("opens");
    file.read(&mut [0; 8192]).expect_err("the read fails").raw_os_error()
}

fn assert_still_serves(mounted: &Mounted<MemoryFs>) {
    assert!(fs::read(mounted.path("good")).expect("still served") == pattern(100_000));
}

#[test]
fn a_dropped_reply_is_an_error_of_the_caller() {
    on_every_transport(|transport| {
        let mounted = with_tricks(transport);
        assert_eq!(read_errno(&mounted, "drop"), Some(libc::EIO));
        // Read-ahead may have asked more than once.
        assert!(mounted.session.stats().dropped_replies >= 1);
        assert_eq!(mounted.session.stats().panics, 0);
        assert_still_serves(&mounted);
    });
}

#[test]
fn a_panic_is_an_error_of_the_caller_and_the_thread_goes_on() {
    on_every_transport(|transport| {
        let mounted = with_tricks(transport);
        // More often than there are threads.
        for _ in 0..5 {
            assert_eq!(read_errno(&mounted, "panic"), Some(libc::EIO));
        }
        assert_still_serves(&mounted);
        mounted.session.stopper().stop(Duration::from_secs(10)).expect("stops");
        let stats = mounted.session.stats();
        assert!(stats.panics >= 5, "{stats:?}");
        assert_eq!(stats.dropped_replies, stats.panics);
        assert_eq!(mounted.fs.workers.load(Ordering::Relaxed), 3 + stats.panics);
    });
}

#[test]
fn an_answer_that_is_too_long_is_an_error_of_the_caller() {
    on_every_transport(|transport| {
        let mounted = with_tricks(transport);
        assert_eq!(read_errno(&mounted, "much"), Some(libc::EIO));
        assert!(mounted.session.stats().refused_answers >= 1);
        assert_still_serves(&mounted);
    });
}

/// What a read gets when its connection is aborted: from the request itself, or from the page that it could not fill.
fn assert_is_aborted(errno: Option<i32>) {
    assert!(matches!(errno, Some(libc::ECONNABORTED | libc::ENOTCONN | libc::EIO)), "{errno:?}");
}

/// A process that is killed while its read waits: the file system hears of it and answers, and the process can go.
#[test]
fn an_interrupt_reaches_the_file_system() {
    on_every_transport(|transport| {
        // Direct: the reader of a page goes at once when it is killed, and nobody is told.
        let mounted = mounted_tricks(transport, OpenedFlags::DIRECT_IO);
        let mut reader =
            Command::new("cat").arg(mounted.path("wait")).stdout(Stdio::null()).spawn().expect("cat runs");
        assert!(mounted.fs.wait_for_waiting(), "the read never came");
        reader.kill().expect("ours");
        let status = reader.wait().expect("it ends");
        assert!(!status.success());
        assert!(mounted.fs.interrupts() >= 1, "{status:?} {:?}", mounted.session.stats());
        assert_still_serves(&mounted);
    });
}

/// Reads are waiting when the mount is taken away: they fail, and the session ends within its limits.
#[test]
fn a_stop_does_not_wait_for_open_files_for_ever() {
    on_every_transport(|transport| {
        let mounted = with_tricks(transport);
        let path = mounted.path("wait");
        let reader = std::thread::spawn(move || fs::read(path).expect_err("aborted").raw_os_error());
        assert!(mounted.fs.wait_for_waiting(), "the read never came");
        let Mounted { session, fs, directory } = mounted;
        session.shutdown(Duration::from_millis(50)).expect("it ends by an abort");
        assert_eq!(fs.destroyed.load(Ordering::Relaxed), 1);
        assert_is_aborted(reader.join().expect("no panic"));
        directory.close().expect("nothing is mounted there");
    });
}

/// A handler that never comes back can't be ended, but it is told.
#[test]
fn a_stop_tells_of_handlers_that_hang() {
    on_every_transport(|transport| {
        let mounted = with_tricks(transport);
        let path = mounted.path("block");
        let reader = std::thread::spawn(move || fs::read(path).expect_err("aborted").raw_os_error());
        assert!(mounted.fs.wait_for_blocked(), "the read never came");
        let stopper = mounted.session.stopper();
        let result = stopper.stop(Duration::from_millis(10));
        assert!(matches!(result, Err(SessionError::StillRunning { threads: 1.. })), "{result:?}");
        mounted.fs.release_blocked();
        assert_is_aborted(reader.join().expect("no panic"));
        mounted.session.wait().expect("the handler came back");
    });
}
