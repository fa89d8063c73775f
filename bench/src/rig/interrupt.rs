//! Ctrl-C and SIGTERM: the first asks the program to stop, clean up and fail; the second ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Exit code of a program that a signal ended.
const EXIT_CODE_INTERRUPTED: i32 = 130;

/// Listens for signals on a thread of its own, for the rest of the process.
pub(crate) fn listen() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (mut interrupt, mut terminate) = signals;
    let waiting = async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(EXIT_CODE_INTERRUPTED);
            }
            eprintln!("stopping; once more to stop at once");
        }
    };
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || runtime.block_on(waiting)).context("start the signal thread")?;
    Ok(())
}

/// Fails when the user wants to stop. Long loops ask this.
pub(crate) fn check() -> anyhow::Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}
