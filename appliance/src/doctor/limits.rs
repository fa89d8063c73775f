//! Limits of this process: open files and locked memory.

use nix::sys::resource::{Resource, getrlimit, rlim_t};
use nix::unistd::geteuid;

use super::Finding;
use crate::config::units::SizeText;

/// Connections to a few stores, slab files, cloned FUSE descriptors and control requests.
const OPEN_FILES_MIN: rlim_t = 4096;
/// Registered buffers and rings; root is not limited.
const LOCKED_BYTES_MIN: rlim_t = 64 << 20;

pub(super) fn examine() -> Vec<Finding> {
    vec![open_files(), locked_memory(geteuid().is_root())]
}

fn open_files() -> Finding {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) if soft >= OPEN_FILES_MIN => Finding::ok("open files", format!("limit {soft}")),
        Ok((soft, hard)) => Finding::warn(
            "open files",
            format!("limit {soft} (hard limit {hard})"),
            format!("ulimit -n {OPEN_FILES_MIN}, or LimitNOFILE= in the systemd unit"),
        ),
        Err(error) => {
            Finding::warn("open files", format!("unknown ({error})"), "check it by hand: ulimit -n")
        }
    }
}

fn locked_memory(root: bool) -> Finding {
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        _ if root => Finding::ok("locked memory", "not limited for root"),
        Ok((soft, _)) if soft >= LOCKED_BYTES_MIN => Finding::ok("locked memory", "enough"),
        Ok((soft, _)) => Finding::warn(
            "locked memory",
            format!("limit {}: rings may get no registered buffers", SizeText(soft)),
            "ulimit -l unlimited, or LimitMEMLOCK= in the systemd unit",
        ),
        Err(error) => {
            Finding::warn("locked memory", format!("unknown ({error})"), "check it by hand: ulimit -l")
        }
    }
}
