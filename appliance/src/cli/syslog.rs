//! [`Syslog`]: log lines to /dev/log, for a daemon without a terminal.
//!
//! The form is that of RFC 3164 as syslogd and journald take it from local programs: `<PRI>TAG[PID]: TEXT`. A line
//! that the log daemon does not take at once is dropped: a log must not hold up reads.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

const DEV_LOG: &str = "/dev/log";
/// Facility 3, system daemons (RFC 3164, 4.1.1), times 8.
const FACILITY_DAEMON: u8 = 3 << 3;

/// A connection to the host's log daemon.
#[derive(Clone, Debug)]
pub(super) struct Syslog {
    socket: Arc<UnixDatagram>,
}

impl Syslog {
    /// `None` on hosts without a log daemon.
    pub(super) fn connect() -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(DEV_LOG).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self { socket: Arc::new(socket) })
    }
}

/// One line under way.
pub(super) struct Line {
    socket: Arc<UnixDatagram>,
    severity: u8,
}

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let priority = FACILITY_DAEMON | self.severity;
        let mut message = format!("<{priority}>forebay[{}]: ", std::process::id()).into_bytes();
        message.extend_from_slice(text.trim_ascii_end());
        match self.socket.send(&message) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(text.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { socket: self.socket.clone(), severity: severity(&Level::INFO) }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        Line { socket: self.socket.clone(), severity: severity(metadata.level()) }
    }
}

/// RFC 3164, 4.1.1, table 2.
fn severity(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}
