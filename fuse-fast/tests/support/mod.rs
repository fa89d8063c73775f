//! What the tests share: a mounted [`MemoryFs`], or the reason why there is none.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by test programs that each use a part")]

pub mod fuser_adapter;
pub mod memory_fs;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fuse_fast::mount::{MountOptions, mount};
use fuse_fast::session::{Session, SessionConfig, Transport};
use fuse_fast::{FileSystem, OpenedFlags};
use memory_fs::MemoryFs;

/// Why real mounts can't be tested here; printed, so that a skipped test shows.
pub fn cannot_mount() -> bool {
    let reason = if !Path::new("/dev/fuse").exists() {
        "there is no /dev/fuse"
    } else if !nix::unistd::Uid::effective().is_root() {
        "mount(2) needs root"
    } else {
        return false;
    };
    println!("SKIP: {reason}");
    true
}

/// Why FUSE over io_uring can't be tested here. Switches it on: the switch holds for mounts that are made after it.
pub fn cannot_use_rings() -> bool {
    const SWITCH: &str = "/sys/module/fuse/parameters/enable_uring";
    if !Path::new(SWITCH).exists() {
        println!("SKIP: no FUSE over io_uring in this kernel (Linux 6.14)");
        return true;
    }
    std::fs::write(SWITCH, "Y").expect("root can switch it on");
    false
}

/// Runs a check on each transport, on those that can't be had with a word about why.
pub fn on_every_transport(check: impl Fn(Transport)) {
    if cannot_mount() {
        return;
    }
    for transport in [Transport::Device, Transport::Ring] {
        println!("transport: {transport:?}");
        if transport == Transport::Device || !cannot_use_rings() {
            check(transport);
        }
    }
}

/// A directory that somebody serves; unmounted at the end.
pub struct Place {
    // Before the directory, which can only be removed once nothing is mounted there.
    _server: Box<dyn std::any::Any>,
    directory: tempfile::TempDir,
}

impl Place {
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Runs a check with each server: ours on every transport, and `fuser`.
pub fn on_every_server(check: impl Fn(&dyn Fn(MemoryFs) -> Place)) {
    on_every_transport(|transport| {
        check(&|fs| {
            let Mounted { session, directory, .. } = mounted(transport, fs);
            Place { _server: Box::new(session), directory }
        });
    });
    if cannot_mount() {
        return;
    }
    println!("server: fuser");
    check(&|fs| {
        let directory = tempfile::Builder::new().prefix("fuse-").tempdir().expect("a directory to mount at");
        let server = fuser_adapter::serve(Arc::new(fs), directory.path(), THREADS).expect("fuser mounts");
        Place { _server: Box::new(server), directory }
    });
}

/// A mounted file system in a directory of its own; unmounted at the end.
pub struct Mounted<F: FileSystem> {
    // Before the directory, which can only be removed once nothing is mounted there.
    pub session: Session<F>,
    pub fs: Arc<F>,
    pub directory: tempfile::TempDir,
}

impl<F: FileSystem> Mounted<F> {
    pub fn new(fs: F, options: &MountOptions, config: SessionConfig) -> Mounted<F> {
        let directory = tempfile::Builder::new().prefix("fuse-").tempdir().expect("a directory to mount at");
        let fs = Arc::new(fs);
        let device = mount(directory.path(), options).expect("root can mount");
        let session = Session::start(device, Arc::clone(&fs), config).expect("the session starts");
        Mounted { session, fs, directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// An hour: nothing expires during a test.
pub const LONG: Duration = Duration::from_secs(3600);

/// Session threads of [`mounted`].
pub const THREADS: usize = 3;

/// A memory file system whose answers stay valid for `valid`.
pub fn memory(valid: Duration) -> MemoryFs {
    MemoryFs::new(valid, OpenedFlags::NONE)
}

pub fn mounted(transport: Transport, fs: MemoryFs) -> Mounted<MemoryFs> {
    let config = SessionConfig { threads: THREADS, transport, ..SessionConfig::default() };
    Mounted::new(fs, &MountOptions::default(), config)
}

/// Bytes that differ from place to place: a linear congruential sequence (Knuth's MMIX constants).
pub fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
