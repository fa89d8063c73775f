//! [`LoopDevice`]: a block device over a file, for caches without a file system; [`Disk`]: a small disk with one.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use tempfile::{NamedTempFile, TempDir};

use crate::sys::shut_down_ext4;
use crate::{detach, run};

const LOSETUP_TIME_MAX: Duration = Duration::from_secs(10);

/// A block device that lasts as long as this value.
pub struct LoopDevice {
    backing: NamedTempFile,
    device: PathBuf,
}

impl LoopDevice {
    /// A device of `size_bytes` zero bytes.
    pub fn new(size_bytes: u64) -> Self {
        Self::on(&std::env::temp_dir(), size_bytes)
    }

    /// The same, with its bytes in a file in `dir`.
    pub fn on(dir: &Path, size_bytes: u64) -> Self {
        let backing = tempfile::Builder::new().prefix("forebay-e2e-").tempfile_in(dir);
        let backing = backing.expect("make a temporary file");
        backing.as_file().set_len(size_bytes).expect("size a temporary file");
        let attached =
            run(losetup().args(["--find", "--show"]).arg(backing.path()), LOSETUP_TIME_MAX).succeeded();
        Self { backing, device: attached.stdout.trim().into() }
    }

    /// Path of the device.
    pub fn path(&self) -> &Path {
        &self.device
    }

    /// The bytes of the device, behind its back.
    pub fn backing(&self) -> File {
        OpenOptions::new().read(true).write(true).open(self.backing.path()).expect("open the backing file")
    }
}

impl Drop for LoopDevice {
    /// Detaching is put off by the kernel until the last user closes the device, so it cannot fail for being busy.
    fn drop(&mut self) {
        match losetup().arg("--detach").arg(&self.device).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("{:?} stays: {other:?}", self.device),
        }
    }
}

/// A mounted ext4 of its own, as small as wanted.
pub struct Disk {
    // in the order in which they are dropped: the device goes after its mount
    mountpoint: TempDir,
    device: LoopDevice,
}

impl Disk {
    /// An empty disk of `size_bytes`.
    pub fn new(size_bytes: u64) -> Self {
        let device = LoopDevice::new(size_bytes);
        run(system_program("mkfs.ext4").arg("-q").arg(device.path()), LOSETUP_TIME_MAX).succeeded();
        let mountpoint = tempfile::Builder::new().prefix("forebay-e2e-disk-").tempdir();
        let disk = Self { mountpoint: mountpoint.expect("make a temporary directory"), device };
        disk.mount(MsFlags::empty());
        disk
    }

    /// Mounts it again, so that nothing can be written.
    pub fn make_read_only(&self) {
        self.mount(MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
    }

    /// From now on every access fails with EIO, until it is mounted anew.
    pub fn break_down(&self) {
        let root = File::open(self.path()).expect("open the disk");
        shut_down_ext4(&root).expect("shut a mounted ext4 down");
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.mountpoint.path()
    }

    fn mount(&self, flags: MsFlags) {
        let mounted = mount(Some(self.device.path()), self.path(), Some("ext4"), flags, None::<&str>);
        mounted.expect("mount a loop device as root");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = detach(self.path()) {
            eprintln!("{:?} stays mounted: {error}", self.path());
        }
    }
}

pub(crate) fn losetup() -> Command {
    system_program("losetup")
}

/// A program that may lie where only root's search path leads.
pub(crate) fn system_program(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}
