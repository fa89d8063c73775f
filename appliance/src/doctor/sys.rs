//! System calls that neither std nor nix wraps. All unsafe code of the crate's operator side is in this folder.

mod adjtimex;
mod io_uring;
mod statx;

pub(super) use adjtimex::{ClockState, clock_state};
pub(super) use io_uring::probe_io_uring;
pub(super) use statx::{Alignment, direct_io_alignment};
