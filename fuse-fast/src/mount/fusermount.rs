//! `fusermount3`, the setuid program of libfuse: mounts for users that may not, and passes the connection back as a
//! descriptor over a socket whose number it finds in `_FUSE_COMMFD`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::{MountError, MountOptions};
use crate::sys::child;

const PROGRAM: &str = "fusermount3";

pub(super) fn mount(path: &Path, options: &MountOptions) -> Result<OwnedFd, MountError> {
    let system = |source| MountError::System { operation: PROGRAM, path: path.to_owned(), source };
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| system(errno.into()))?;
    let mut command = command();
    command.arg("-o").arg(options.fusermount_argument()).arg("--").arg(path);
    command.env("_FUSE_COMMFD", theirs.as_raw_fd().to_string());
    child::inherit(&mut command, theirs.as_raw_fd());
    let process = command.spawn().map_err(|error| explain_spawn(path, error))?;
    drop(theirs);
    let received = child::receive_fd(ours.as_fd());
    let output = process.wait_with_output().map_err(system)?;
    match received.map_err(system)? {
        Some(fd) if output.status.success() => Ok(fd),
        _ => Err(explain(path, &output)),
    }
}

pub(super) fn unmount(path: &Path, lazy: bool) -> Result<(), MountError> {
    let mut command = command();
    command.arg(if lazy { "-uz" } else { "-u" }).arg("--").arg(path);
    let output = command.output().map_err(|error| explain_spawn(path, error))?;
    if output.status.success() { Ok(()) } else { Err(explain(path, &output)) }
}

fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    // Its messages are matched below.
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn explain_spawn(path: &Path, source: io::Error) -> MountError {
    match source.kind() {
        io::ErrorKind::NotFound => MountError::NoFusermount,
        _ => MountError::System { operation: PROGRAM, path: path.to_owned(), source },
    }
}

fn explain(path: &Path, output: &Output) -> MountError {
    let text = String::from_utf8_lossy(&output.stderr);
    let message = text.trim().trim_start_matches("fusermount3: ").to_owned();
    let path = path.to_owned();
    let says = |part: &str| message.contains(part);
    if says("device not found") || says("/dev/fuse: No such") {
        MountError::NoFuse { source: io::Error::other(message) }
    } else if says("/dev/fuse: Permission denied") {
        let hint = "this user needs to read and write /dev/fuse: `chmod 666 /dev/fuse`, or mount as root";
        MountError::Denied { path, hint: hint.to_owned() }
    } else if says("not found in /etc/mtab") || says("not mounted") {
        MountError::NotMounted { path }
    } else if says("Device or resource busy") {
        MountError::InUse { path }
    } else if says("user_allow_other")
        || says("Permission denied")
        || says("not permitted")
        || says("no write access")
    {
        MountError::Denied { path, hint: message }
    } else if message.is_empty() {
        MountError::Fusermount { path, message: format!("it ended with {}", output.status) }
    } else {
        MountError::Fusermount { path, message }
    }
}
