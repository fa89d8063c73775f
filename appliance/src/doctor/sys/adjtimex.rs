//! adjtimex(2), read only.

use std::io;
use std::mem::MaybeUninit;

/// What the kernel knows of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum ClockState {
    /// Something keeps it in step.
    Synchronized,
    /// Nothing does, or it lost its source (`TIME_ERROR`).
    Unsynchronized,
}

/// Whether a time service keeps the kernel's clock in step.
pub(in crate::doctor) fn clock_state() -> io::Result<ClockState> {
    let mut timex = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: adjtimex(2) wants a pointer to a writable timex, which `timex` is. All zero is a valid timex; its
    // `modes` is then 0, which sets nothing and needs no privilege.
    let state = unsafe { libc::adjtimex(timex.as_mut_ptr()) };
    match state {
        -1 => Err(io::Error::last_os_error()),
        libc::TIME_ERROR => Ok(ClockState::Unsynchronized),
        _ => Ok(ClockState::Synchronized),
    }
}
