//! [`Daemon`]: a running `forebay run`.

use std::fs::{self, OpenOptions};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::watchdog::{Watchdog, pid_of};
use crate::{Finished, Setup, detach, eventually, mounted_at, run};

/// Time from the start of the process to mounts that answer.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// Time from SIGTERM to the end of the process.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);
/// Time for one call of the command line.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60);
/// Lines of the log that a failed test shows.
const LOG_TAIL_LINES: usize = 40;
/// File system type of our mounts in mountinfo.
const FILE_SYSTEM: &str = "fuse.forebay";

/// A daemon with all its mounts in place. Dropping it ends it in an orderly way and checks that it ended; when the test
/// failed, the tail of its log is printed.
pub struct Daemon<'s> {
    setup: &'s Setup,
    child: Child,
    watchdog: Option<Watchdog>,
    ended: bool,
}

impl<'s> Daemon<'s> {
    #[track_caller]
    pub(crate) fn start(setup: &'s Setup) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(setup.log_file()).expect("open the log");
        let mut command = setup.run_command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let watchdog = Watchdog::new(&child, setup.life_time_max());
        let mut daemon = Self { setup, child, watchdog: Some(watchdog), ended: false };
        eventually("the daemon mounts and answers", START_TIME_MAX, || {
            let ended = daemon.child.try_wait().expect("wait for a child of ours");
            daemon.ended = ended.is_some();
            assert!(!daemon.ended, "the daemon ended: {ended:?}");
            daemon.is_ready().then_some(())
        });
        daemon
    }

    fn is_ready(&self) -> bool {
        let ours = |path: &PathBuf| mounted_at(path).is_some_and(|(kind, _)| kind == FILE_SYSTEM);
        self.setup.mountpoints().iter().all(ours) && UnixStream::connect(self.setup.control_socket()).is_ok()
    }

    /// The first mountpoint.
    pub fn mountpoint(&self) -> &Path {
        &self.setup.mountpoints()[0]
    }

    /// A path below the first mountpoint.
    pub fn path(&self, below: &str) -> PathBuf {
        self.mountpoint().join(below)
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs `forebay ARGUMENTS` against this daemon.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Finished {
        let mut command = self.setup.command();
        command.args(arguments).arg("--control-socket").arg(self.setup.control_socket());
        run(&mut command, COMMAND_TIME_MAX)
    }

    /// What `forebay status --json` says of this daemon.
    #[track_caller]
    pub fn status(&self) -> Value {
        let text = self.cli(&["status", "--json"]).succeeded().stdout;
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        report["daemons"][0].clone()
    }

    /// A figure of the status, by JSON pointer: `/cache/checksum_mismatches`.
    #[track_caller]
    pub fn figure(&self, pointer: &str) -> u64 {
        let status = self.status();
        let figure = status.pointer(pointer).and_then(Value::as_u64);
        figure.unwrap_or_else(|| panic!("no figure {pointer} in {status:#}"))
    }

    /// Bytes that it has written to its cache, slabs and large files.
    #[track_caller]
    pub fn inserted_bytes(&self) -> u64 {
        let status = self.status();
        let figure = |pointer| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        figure("/cache/inserted_bytes") + figure("/cache/large_files/inserted_bytes")
    }

    /// SIGTERM; panics when the daemon does not end in time or leaves a mount.
    #[track_caller]
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        for mountpoint in self.setup.mountpoints() {
            assert_eq!(mounted_at(mountpoint), None, "{mountpoint:?} is still mounted");
        }
        status
    }

    /// SIGKILL, as the out-of-memory killer would; then takes the dead mounts away.
    #[track_caller]
    pub fn kill(self) {
        let setup = self.setup;
        self.kill_and_leave_mounts();
        for mountpoint in setup.mountpoints() {
            detach(mountpoint).expect("take a dead mount away");
        }
    }

    /// SIGKILL; the dead mounts stay until the setup is dropped.
    #[track_caller]
    pub fn kill_and_leave_mounts(mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }

    /// Waits until the daemon has ended by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let status = wait_at_most(&mut self.child, STOP_TIME_MAX);
        let status = status.unwrap_or_else(|| panic!("the daemon does not end within {STOP_TIME_MAX:?}"));
        self.ended = true;
        self.watchdog = None;
        status
    }

    fn signal(&self, signal: Signal) {
        kill(pid_of(&self.child), signal).expect("signal a child of ours");
    }

    fn print_log_tail(&self) {
        let log = fs::read_to_string(self.setup.log_file()).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
        eprintln!("--- the daemon's log, last {LOG_TAIL_LINES} lines ---\n{}\n---", tail.join("\n"));
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print_log_tail();
        }
        if self.ended {
            return;
        }
        self.signal(Signal::SIGTERM);
        let in_time = wait_at_most(&mut self.child, STOP_TIME_MAX).is_some();
        if !in_time {
            self.signal(Signal::SIGKILL);
            wait_at_most(&mut self.child, STOP_TIME_MAX);
        }
        self.watchdog = None;
        for mountpoint in self.setup.mountpoints() {
            if let Err(error) = detach(mountpoint) {
                eprintln!("{mountpoint:?} stays mounted: {error}");
            }
        }
        assert!(in_time || thread::panicking(), "the daemon did not end on SIGTERM");
    }
}

fn wait_at_most(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        let status = child.try_wait().expect("wait for a child of ours");
        if status.is_some() || Instant::now() > deadline {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
