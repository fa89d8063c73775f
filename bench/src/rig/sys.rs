//! The raw system calls of this program.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::Signal;

/// Makes the child get SIGTERM when the thread that starts it ends, so that a killed benchmark leaves no mount behind,
/// and puts it into a process group of its own, so that Ctrl-C reaches it through us alone.
pub(crate) fn tie_to_this_thread(command: &mut Command) {
    command.process_group(0);
    // SAFETY: between fork and exec only async-signal-safe functions may run (signal-safety(7)); prctl is a plain
    // system call, and neither it nor the conversion of its result allocates or takes a lock.
    unsafe {
        command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(io::Error::from));
    }
}
