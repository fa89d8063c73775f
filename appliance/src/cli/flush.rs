//! `forebay flush`: waits until everything at and below a path is in its store.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use super::args::FlushArgs;
use super::error::CliError;
use super::{ask, output};
use crate::config::units::{DurationText, SizeText};
use crate::writeback::{FlushProgress, FlushRequest};

/// Asks again and again; each answer comes when it is done, or after half a second. Fails when the time is over, and at
/// once when the store refuses.
pub(super) async fn run(args: FlushArgs) -> Result<ExitCode, CliError> {
    let asked = ask::daemon_of(&args.path, &args.control).await?;
    let started = Instant::now();
    let mut request = FlushRequest { path: asked.path, until: None };
    let mut is_first = true;
    loop {
        let now = asked.client.flush(&request).await?;
        request.until = Some(now.until);
        if now.is_done() {
            show(None);
            return Ok(ExitCode::SUCCESS);
        }
        let is_late = args.timeout.is_some_and(|timeout| started.elapsed() >= timeout);
        // What was refused before this command made a try gets one.
        if is_late || (now.is_refused && !is_first) {
            show(None);
            return Err(not_flushed(request, &now, started));
        }
        show(Some(&now));
        is_first = false;
    }
}

fn not_flushed(request: FlushRequest, now: &FlushProgress, started: Instant) -> CliError {
    let reason = now.failing.clone().unwrap_or_else(|| "they are on their way".to_owned());
    CliError::NotFlushed {
        path: request.path,
        changes: now.changes_left,
        bytes: SizeText(now.bytes_left).to_string(),
        waited: DurationText(std::time::Duration::from_secs(started.elapsed().as_secs())).to_string(),
        reason,
    }
}

/// One line that is written over; nothing when nobody looks.
fn show(now: Option<&FlushProgress>) {
    let mut stderr = std::io::stderr();
    if !stderr.is_terminal() {
        return;
    }
    let line = now.map_or_else(String::new, |now| {
        let failing = now.failing.as_deref().map_or_else(String::new, |why| format!("; {why}"));
        format!("{} changes, {} left{failing}", now.changes_left, SizeText(now.bytes_left))
    });
    if let Err(error) = write!(stderr, "\r\x1b[K{line}") {
        output::note(&error.to_string());
    }
}
