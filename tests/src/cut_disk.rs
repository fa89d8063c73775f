//! [`CutDisk`]: a mounted ext4 on a disk whose power can be cut.
//!
//! A killed process loses nothing that the kernel has cached, and neither does a killed virtual machine whose disk is
//! a file of the host. Here the disk itself is ours: a file that this process serves through FUSE, with a loop device
//! on it. Each write and each flush of the kernel's block layer arrives as a request. What no flush has made durable
//! is kept apart, and at a cut all of it, none, or a random part is lost, with writes torn between sectors, as
//! [`Survivors`] says. It is what dm-log-writes does, without modules and at the speed of memory.
//!
//! A host that comes back after a cut has another boot id, by which software tells a crash of its own from one of the
//! machine. So the thread that makes a disk gets a mount namespace of its own, with a boot id that changes at each
//! restart; processes that it starts are in there too.
//!
//! Flow: [`CutDisk::arm`] sets the point of the cut; a test works on [`CutDisk::path`] until errors tell it that the power is
//! gone, ends its processes, and calls [`CutDisk::restart`], after which ext4 has replayed its journal.

mod boot_id;
mod one_file;
mod storage;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fuse_fast::mount::MountOptions;
use fuse_fast::session::{Session, SessionConfig};
use nix::mount::{MsFlags, mount};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tempfile::TempDir;

use crate::loop_device::{losetup, system_program};
use crate::{detach, run};
use boot_id::BootId;
use one_file::OneFile;
use storage::Storage;
pub use storage::{Survivors, Trigger};

const COMMAND_TIME_MAX: Duration = Duration::from_secs(30);
const SESSION_END_TIME_MAX: Duration = Duration::from_secs(2);

/// A disk with an ext4 on it.
pub struct CutDisk {
    storage: Arc<Mutex<Storage>>,
    plugging: Arc<AtomicU64>,
    session: Option<Session<OneFile>>,
    device: Option<PathBuf>,
    boot_id: BootId,
    dir: TempDir,
}

impl CutDisk {
    /// A disk of `size_bytes` with an empty ext4, mounted, for this thread and what it starts.
    pub fn new(size_bytes: u64) -> Self {
        let dir = tempfile::Builder::new().prefix("forebay-cut-").tempdir();
        let dir = dir.expect("make a temporary directory");
        for name in ["fuse", "mnt"] {
            std::fs::create_dir(dir.path().join(name)).expect("make a directory");
        }
        let boot_id = BootId::faked(&dir.path().join("boot_id"));
        let durable = tempfile::tempfile().expect("make a temporary file");
        durable.set_len(size_bytes).expect("size a temporary file");
        let storage = Arc::new(Mutex::new(Storage::new(durable)));
        let plugging: Arc<AtomicU64> = Arc::default();
        let file = OneFile { storage: Arc::clone(&storage), size_bytes, plugging: Arc::clone(&plugging) };
        let session = serve(&dir.path().join("fuse"), file);
        let mut disk = Self { storage, plugging, session: Some(session), device: None, boot_id, dir };
        disk.attach();
        // ext4 without lazy initialisation: no writes of its own later on.
        let mut mkfs = system_program("mkfs.ext4");
        mkfs.args(["-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"]).arg(disk.device());
        run(&mut mkfs, COMMAND_TIME_MAX).succeeded();
        disk.mount();
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    /// Sets the point at which the power goes.
    pub fn arm(&self, trigger: Trigger) {
        self.storage.lock().arm(trigger);
    }

    /// From now on the disk confirms flushes that it does not carry out: a planted fault, which a test that promises
    /// to find lost data has to find.
    pub fn lie_about_flushes(&self) {
        self.storage.lock().lie();
    }

    /// Cuts the power now. Every access of the disk fails from here on.
    pub fn cut(&self) {
        self.storage.lock().power_off();
    }

    /// Whether the power is on.
    pub fn is_powered(&self) -> bool {
        self.storage.lock().is_powered()
    }

    /// Flushes that the kernel has asked for since the disk was made.
    pub fn flushes(&self) -> u64 {
        self.storage.lock().flushes()
    }

    /// After a cut, when all processes that used the disk have ended: power is back, and the file system is mounted as it
    /// was left on the medium. `seed` decides what is left of the writes that were under way.
    pub fn restart(&mut self, survivors: Survivors, seed: u64) {
        self.unplug();
        self.plugging.fetch_add(1, Ordering::AcqRel);
        let powered = self.storage.lock().power_on(survivors, &mut SmallRng::seed_from_u64(seed));
        powered.expect("a temporary file takes it");
        self.boot_id.change();
        self.attach();
        self.mount();
    }

    fn device(&self) -> &Path {
        self.device.as_deref().expect("the loop device is attached but between unplug and attach")
    }

    fn attach(&mut self) {
        let file = self.dir.path().join("fuse").join(one_file::NAME);
        let attached = run(losetup().args(["--find", "--show"]).arg(file), COMMAND_TIME_MAX).succeeded();
        self.device = Some(attached.stdout.trim().into());
    }

    fn mount(&self) {
        let mounted = mount(Some(self.device()), &self.path(), Some("ext4"), MsFlags::empty(), None::<&str>);
        mounted.expect("mount a loop device as root");
    }

    /// The kernel lets go of the device when its last user is gone; what it still writes then is refused by the plugging.
    fn unplug(&mut self) {
        if let Err(error) = detach(&self.path()) {
            eprintln!("{:?} stays mounted: {error}", self.path());
        }
        if let Some(device) = self.device.take() {
            match losetup().arg("--detach").arg(&device).status() {
                Ok(status) if status.success() => {}
                other => eprintln!("{device:?} stays: {other:?}"),
            }
        }
    }
}

impl Drop for CutDisk {
    fn drop(&mut self) {
        self.unplug();
        if let Some(session) = self.session.take()
            && let Err(error) = session.shutdown(SESSION_END_TIME_MAX)
        {
            eprintln!("the file of a cut disk did not end well: {error}");
        }
    }
}

fn serve(mountpoint: &Path, file: OneFile) -> Session<OneFile> {
    let options = MountOptions {
        source: "cut-disk".to_owned(),
        subtype: "cut-disk".to_owned(),
        read_only: false,
        ..MountOptions::default()
    };
    let device = fuse_fast::mount::mount(mountpoint, &options).expect("mount as root");
    let config = SessionConfig { threads: 2, write_bytes_max: 1 << 20, ..SessionConfig::default() };
    Session::start(device, Arc::new(file), config).expect("serve a mount")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;

    use super::*;
    use crate::{missing_fuse, missing_loop_devices, require};

    fn write(path: &Path, text: &str, sync: bool) {
        let mut file = File::create(path).expect("the disk has power");
        file.write_all(text.as_bytes()).expect("the disk has power");
        if sync {
            file.sync_all().expect("the disk has power");
        }
    }

    #[test]
    fn ext4_keeps_what_was_synced_and_loses_the_rest() {
        require!(missing_fuse(), missing_loop_devices());
        let mut disk = CutDisk::new(64 << 20);
        write(&disk.path().join("kept"), "kept", true);
        write(&disk.path().join("lost"), "lost", false);
        disk.cut();
        assert!(File::create(disk.path().join("later")).and_then(|file| file.sync_all()).is_err());
        disk.restart(Survivors::Nothing, 1);
        assert_eq!(fs::read(disk.path().join("kept")).expect("it was synced"), b"kept");
        assert!(!disk.path().join("lost").exists());
    }

    #[test]
    fn a_disk_that_lies_loses_what_was_synced() {
        require!(missing_fuse(), missing_loop_devices());
        let mut disk = CutDisk::new(64 << 20);
        disk.lie_about_flushes();
        write(&disk.path().join("believed"), "believed", true);
        disk.cut();
        disk.restart(Survivors::Nothing, 1);
        assert!(!disk.path().join("believed").exists());
    }
}
