//! All unsafe code of the crate: what std and nix do not wrap.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_CLASS_IDLE: libc::c_int = 3;
const IOPRIO_CLASS_SHIFT: libc::c_int = 13;

/// Gives this thread's I/O the idle class (ioprio_set(2)): it waits for everybody else's, where the scheduler knows
/// classes.
pub(crate) fn idle_io() -> io::Result<()> {
    let idle = IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT;
    // SAFETY: the call takes three integers; 0 means the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, idle) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether nobody but this descriptor has the file open or mapped: then, and only then, the kernel grants a write lease
/// (fcntl(2), F_SETLEASE). A kernel without leases says no.
pub(crate) fn is_open_nowhere_else(file: &File) -> bool {
    // SAFETY: F_SETLEASE takes an integer; the descriptor is open.
    let lease = |kind: libc::c_int| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) == 0 };
    let alone = lease(libc::F_WRLCK);
    alone && lease(libc::F_UNLCK)
}
