//! Writing to stdout and stderr without ever panicking on a closed pipe.

use std::io::{self, Write};

use serde::Serialize;

use super::error::CliError;

/// Writes to stdout. A reader that went away, as in `forebay status | head -1`, is no error.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output { source }),
        _ => Ok(()),
    }
}

/// Writes a value as indented JSON to stdout.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|source| CliError::Json { source })?;
    print(&format!("{text}\n"))
}

/// Writes `forebay: ERROR` to stderr, in one line.
pub(super) fn complain(error: &CliError) {
    note(&one_line(&error.to_string()));
}

/// Writes `forebay: TEXT` to stderr. There is nobody to tell when stderr is closed.
pub(super) fn note(text: &str) {
    io::stderr().lock().write_all(format!("forebay: {text}\n").as_bytes()).ok();
}

fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}
