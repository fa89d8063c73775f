//! [`Setup`]: what a daemon is started with, and the directories that outlive it.
//!
//! One setup may be started several times, one after another: that is a restart on the same cache.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Daemon, S3, detach, forebay};

/// A test that needs a daemon longer than this hangs.
const LIFE_TIME_MAX: Duration = Duration::from_secs(120);
/// Names the transport of all tests that do not choose one: `dev` (the default), `uring` or `auto`.
const TRANSPORT: &str = "FOREBAY_TEST_TRANSPORT";
/// Least cache that the daemon takes.
const CACHE_SIZE: &str = "256MiB";

/// A configuration in the making, with its own mountpoints, cache directory and control socket.
pub struct Setup {
    dir: TempDir,
    top: String,
    cache: String,
    store: String,
    writeback: String,
    mounts: String,
    mountpoints: Vec<PathBuf>,
    transport: String,
    environment: Vec<(String, String)>,
    life_time_max: Duration,
}

impl Setup {
    /// A cache of 256 MiB in a directory, 128 MiB of memory, no mount yet.
    pub fn new() -> Self {
        let dir =
            tempfile::Builder::new().prefix("forebay-e2e-").tempdir().expect("make a temporary directory");
        let setup = Self {
            dir,
            top: "memory = \"128MiB\"\n".to_owned(),
            cache: String::new(),
            store: String::new(),
            writeback: String::new(),
            mounts: String::new(),
            mountpoints: Vec::new(),
            transport: std::env::var(TRANSPORT).unwrap_or_else(|_| "dev".to_owned()),
            environment: Vec::new(),
            life_time_max: LIFE_TIME_MAX,
        };
        fs::create_dir(setup.cache_dir()).expect("make the cache directory");
        setup.cache_size(CACHE_SIZE)
    }

    /// Another size of the cache.
    pub fn cache_size(mut self, size: &str) -> Self {
        self.cache = format!("[cache]\ndir = {:?}\nsize = {size:?}\n", self.cache_dir());
        self
    }

    /// A setting of `[cache]` with a text value.
    pub fn cache_setting(mut self, key: &str, value: &str) -> Self {
        writeln!(self.cache, "{key} = {value:?}").expect("a String takes all");
        self
    }

    /// The cache in a directory of the test's own.
    pub fn cache_dir_at(mut self, dir: &Path) -> Self {
        self.cache = format!("[cache]\ndir = {dir:?}\nsize = {CACHE_SIZE:?}\n");
        self
    }

    /// The cache on a block device.
    pub fn cache_device(mut self, device: &Path) -> Self {
        self.cache = format!("[cache]\ndevice = {device:?}\n");
        self
    }

    /// No cache.
    pub fn no_cache(mut self) -> Self {
        self.cache.clear();
        self
    }

    /// How the kernel's requests travel to the mounts that are added from here on.
    pub fn transport(mut self, transport: &str) -> Self {
        self.transport = transport.to_owned();
        self
    }

    /// Another `memory`.
    pub fn memory(mut self, size: &str) -> Self {
        self.top = format!("memory = {size:?}\n");
        self
    }

    /// A setting of `[store]` with a text value.
    pub fn store(mut self, key: &str, value: &str) -> Self {
        writeln!(self.store, "{key} = {value:?}").expect("a String takes all");
        self
    }

    /// The lines of `[writeback]`.
    pub fn writeback(mut self, text: &str) -> Self {
        self.writeback = format!("[writeback]\n{text}");
        self
    }

    /// Reaches this server, with its credentials.
    pub fn s3(mut self, s3: &S3) -> Self {
        self.environment.extend(s3.credentials().map(|(name, value)| (name.to_owned(), value)));
        self.store("endpoint", &s3.endpoint())
    }

    /// Credentials in the daemon's environment.
    pub fn credentials(mut self, access_key: &str, secret_key: &str) -> Self {
        let pairs = [("AWS_ACCESS_KEY_ID", access_key), ("AWS_SECRET_ACCESS_KEY", secret_key)];
        self.environment.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// Gives up early: for outages, so that a test need not wait for the default limits.
    pub fn impatient(self) -> Self {
        let setup = self.store("attempt_timeout", "500ms").store("stall_timeout", "500ms");
        setup.store("total_timeout", "2s").store("backoff_max", "100ms")
    }

    /// For long tests: how long the daemon may live.
    pub fn lives_at_most(mut self, limit: Duration) -> Self {
        self.life_time_max = limit;
        self
    }

    pub(crate) fn life_time_max(&self) -> Duration {
        self.life_time_max
    }

    /// A further mount of one store.
    pub fn mount(self, url: &str, consistency: &str) -> Self {
        self.mount_text(&format!("url = {url:?}\nconsistency = {consistency:?}\n"))
    }

    /// A further mount by its lines in the file; the mountpoint is added.
    pub fn mount_text(mut self, text: &str) -> Self {
        let mountpoint = self.dir.path().join(format!("mnt{}", self.mountpoints.len()));
        fs::create_dir(&mountpoint).expect("make a mountpoint");
        let transport = &self.transport;
        write!(self.mounts, "[[mount]]\npath = {mountpoint:?}\ntransport = {transport:?}\n{text}")
            .expect("a String takes all");
        self.mountpoints.push(mountpoint);
        self
    }

    /// Where the mounts are, in the order in which they were added.
    pub fn mountpoints(&self) -> &[PathBuf] {
        &self.mountpoints
    }

    /// Directory of the cache.
    pub fn cache_dir(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// The largest file of the cache directory: the slabs.
    pub fn slab_file(&self) -> PathBuf {
        let entries = fs::read_dir(self.cache_dir()).expect("list the cache directory");
        let files = entries.map(|entry| entry.expect("list the cache directory").path());
        files.max_by_key(|path| fs::metadata(path).map_or(0, |meta| meta.len())).expect("the cache has files")
    }

    /// Directory of the large files in the cache.
    pub fn large_dir(&self) -> PathBuf {
        self.cache_dir().join("large")
    }

    /// The control socket.
    pub fn control_socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    /// Where the daemon's stderr goes, that of all starts in turn.
    pub fn log_file(&self) -> PathBuf {
        self.dir.path().join("daemon.log")
    }

    /// A directory for whatever else the test needs.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the daemon and waits until everything is mounted and the control socket answers.
    #[track_caller]
    pub fn start(&self) -> Daemon<'_> {
        Daemon::start(self)
    }

    /// `forebay run` with this setup, not started yet.
    pub fn run_command(&self) -> Command {
        let file = self.dir.path().join("forebay.toml");
        let socket = self.control_socket();
        let (top, cache, store) = (&self.top, &self.cache, &self.store);
        let (writeback, mounts) = (&self.writeback, &self.mounts);
        let text = format!("control_socket = {socket:?}\n{top}{cache}[store]\n{store}{writeback}{mounts}");
        fs::write(&file, text).expect("write the configuration");
        let mut command = self.command();
        command.arg("run").arg("--config").arg(file);
        command
    }

    /// The program in this setup's environment: no settings of whoever runs the tests shine through.
    pub fn command(&self) -> Command {
        let mut command = Command::new(forebay());
        for (name, _) in std::env::vars_os() {
            let inherited = name.to_string_lossy();
            if inherited.starts_with("AWS_") || inherited.starts_with("FOREBAY_") || inherited == "RUST_LOG" {
                command.env_remove(&name);
            }
        }
        command.env("HOME", self.dir.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Setup {
    /// Mounts go before the directories that they lie in: removing a mounted tree would reach into the store.
    fn drop(&mut self) {
        for mountpoint in &self.mountpoints {
            if let Err(error) = detach(mountpoint) {
                eprintln!("{mountpoint:?} stays mounted: {error}");
            }
        }
    }
}
