//! Whether this host's clock is kept in step: S3 refuses requests that are 15 minutes off.

use super::Finding;
use super::sys::{ClockState, clock_state};

pub(super) fn examine() -> Finding {
    match clock_state() {
        Ok(ClockState::Synchronized) => Finding::ok("clock", "kept in step by a time service"),
        Ok(ClockState::Unsynchronized) => Finding::warn(
            "clock",
            "no time service keeps it in step",
            "run chrony or systemd-timesyncd; S3 refuses requests that are 15 minutes off",
        ),
        Err(error) => {
            Finding::warn("clock", format!("its state is unknown ({error})"), "check it by hand: date -u")
        }
    }
}
