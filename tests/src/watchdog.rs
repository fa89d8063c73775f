//! [`Watchdog`]: kills a process that lives too long.
//!
//! A read of a mount whose daemon hangs cannot be given up by the thread that waits in it; it ends when the daemon does.

use std::process::Child;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Over one child process; dropping it calls it off. Must be dropped before, or right after, the child is waited for.
pub(crate) struct Watchdog {
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// SIGKILL for `child` after `limit`.
    pub(crate) fn new(child: &Child, limit: Duration) -> Self {
        let pid = pid_of(child);
        let (alive, ended) = mpsc::channel();
        let watch = move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                eprintln!("the daemon {pid} is killed: its test took longer than {limit:?}");
                kill(pid, Signal::SIGKILL).expect("signal a child of ours");
            }
        };
        Self { alive: Some(alive), thread: Some(thread::spawn(watch)) }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the watchdog failed");
        }
    }
}

pub(crate) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids are below 2^22"))
}
