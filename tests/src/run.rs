//! Running a program with a deadline.
//!
//! Output goes to files, not pipes: a child of the child that keeps a pipe open, or more output than a pipe holds,
//! cannot hang the test.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::eventually;

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
}

impl Finished {
    /// The same, after a check that the exit code is 0.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(self.status.success(), "{}\nstdout: {}\nstderr: {}", self.status, self.stdout, self.stderr);
        self
    }

    /// The exit code; panics when a signal ended the program.
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }
}

/// Runs a program to its end. After `limit` it is killed and the test fails.
#[track_caller]
pub fn run(command: &mut Command, limit: Duration) -> Finished {
    let (mut stdout, mut stderr) = (temporary_file(), temporary_file());
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().expect("duplicate a descriptor"))
        .stderr(stderr.try_clone().expect("duplicate a descriptor"))
        .spawn()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut killed = false;
    let deadline = std::time::Instant::now() + limit;
    let status = eventually(&what, limit + Duration::from_secs(10), || {
        if !killed && std::time::Instant::now() > deadline {
            child.kill().expect("kill a child of ours");
            killed = true;
        }
        child.try_wait().expect("wait for a child of ours")
    });
    let finished = Finished { status, stdout: text_of(&mut stdout), stderr: text_of(&mut stderr) };
    assert!(
        !killed,
        "{what}: killed after {limit:?}\nstdout: {}\nstderr: {}",
        finished.stdout, finished.stderr
    );
    finished
}

fn temporary_file() -> File {
    tempfile::tempfile().expect("make a temporary file")
}

fn text_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("rewind a temporary file");
    file.read_to_end(&mut bytes).expect("read a temporary file");
    String::from_utf8_lossy(&bytes).into_owned()
}
