//! The raw system calls of this program.

use std::io;
use std::os::fd::RawFd;
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

/// A file mapped shared for reading.
pub(crate) struct Map {
    start: *mut libc::c_void,
    length: usize,
}

impl Map {
    /// Maps the first `length` bytes, which the file has.
    pub(crate) fn new(file: RawFd, length: usize) -> io::Result<Self> {
        // SAFETY: mmap(2) with no address given picks a free one, so nothing of this process is replaced; the descriptor
        // is open during the call, and the mapping is given back once, in `drop`.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file, 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { start, length }) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is valid for `length` bytes until `drop`; the files of a benchmark do not change.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the range is that of the one mapping made in `new`, and no reference into it outlives `self`.
        let result = unsafe { libc::munmap(self.start, self.length) };
        debug_assert_eq!(result, 0, "munmap");
    }
}
