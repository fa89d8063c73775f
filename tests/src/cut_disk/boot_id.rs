//! [`BootId`]: another boot id for this thread and the processes that it starts.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// What the kernel names each boot by: random(4).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A file in the place of the kernel's, in a mount namespace of this thread.
pub(super) struct BootId {
    file: PathBuf,
    boots: u32,
}

impl BootId {
    /// Moves the calling thread into a mount namespace of its own, whose boot id is in `file`. Needs root.
    pub(super) fn faked(file: &Path) -> Self {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace as root");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("mounts of our own");
        let mut faked = Self { file: file.to_owned(), boots: 0 };
        faked.change();
        mount(Some(file), BOOT_ID, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .expect("a bind mount as root");
        faked
    }

    /// The host has booted again.
    pub(super) fn change(&mut self) {
        self.boots += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}\n", self.boots);
        fs::write(&self.file, id).expect("write a temporary file");
    }
}
