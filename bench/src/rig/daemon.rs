//! The `forebay` program as a child process with one mount.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machine::cpu_time_of;
use super::mountinfo::mounted_on;
use super::{interrupt, sys};

const READY_TIME_MAX: Duration = Duration::from_secs(30);
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// How often a condition is looked at while waiting for it.
const POLL_TIME: Duration = Duration::from_millis(20);
const LOG_LINES_SHOWN: usize = 15;
/// The one key pair of the S3 server.
pub(crate) const ACCESS_KEY: &str = "testaccess";
pub(crate) const SECRET_KEY: &str = "testsecret";

/// How to start it.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The program.
    pub(crate) program: PathBuf,
    /// `s3://bucket/prefix`
    pub(crate) url: String,
    pub(crate) endpoint: String,
    /// Holds `mnt`, `cache` and the log.
    pub(crate) dir: PathBuf,
    /// As on the command line, e.g. `4GiB`.
    pub(crate) cache_size: String,
    /// As on the command line; `None` leaves the default.
    pub(crate) memory: Option<String>,
    /// Further arguments.
    pub(crate) more: Vec<String>,
    /// Takes writes, with delays so long that only `flush` sends them; `memory` and `more` are not read then.
    pub(crate) is_read_write: bool,
}

impl Setup {
    pub(crate) fn mountpoint(&self) -> PathBuf {
        self.dir.join("mnt")
    }

    fn cache_dir(&self) -> PathBuf {
        self.dir.join("cache")
    }

    fn control_socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("forebay.log")
    }

    fn command(&self) -> anyhow::Result<Command> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .context("open the daemon's log")?;
        let mut command = Command::new(&self.program);
        if self.is_read_write {
            command.arg("run").arg("--config").arg(self.write_config()?);
        } else {
            self.add_mount_arguments(&mut command);
        }
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.env_remove("AWS_SESSION_TOKEN").env_remove("AWS_PROFILE");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        sys::tie_to_this_thread(&mut command);
        Ok(command)
    }

    fn add_mount_arguments(&self, command: &mut Command) {
        command.arg("mount").arg(&self.url).arg(self.mountpoint());
        command.args(["--endpoint", &self.endpoint, "--consistency", "immutable"]);
        command.arg("--cache-dir").arg(self.cache_dir()).args(["--cache-size", &self.cache_size]);
        command.arg("--control-socket").arg(self.control_socket());
        if let Some(memory) = &self.memory {
            command.args(["--memory", memory]);
        }
        command.args(&self.more);
    }

    /// The delays of write-back have no flags.
    fn write_config(&self) -> anyhow::Result<PathBuf> {
        let (socket, cache, path) = (self.control_socket(), self.cache_dir(), self.mountpoint());
        let (endpoint, size, url) = (&self.endpoint, &self.cache_size, &self.url);
        let text = format!(
            "control_socket = {socket:?}\n\
             [cache]\ndir = {cache:?}\nsize = {size:?}\n\
             [store]\nendpoint = {endpoint:?}\n\
             [writeback]\ndelay_large = \"1h\"\ndelay_small = \"1h\"\n\
             [[mount]]\npath = {path:?}\nurl = {url:?}\nread_write = true\n"
        );
        let file = self.dir.join("forebay.toml");
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        Ok(file)
    }

    /// Starts the daemon and waits until it has mounted.
    pub(crate) fn start(&self) -> anyhow::Result<Daemon> {
        for dir in [self.mountpoint(), self.cache_dir()] {
            fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        }
        let started = Instant::now();
        let child = self.command()?.spawn().with_context(|| format!("start {}", self.program.display()))?;
        let mut daemon = Daemon { setup: self.clone(), child, start_time: Duration::ZERO, has_ended: false };
        daemon.wait_until_mounted(started)?;
        daemon.start_time = started.elapsed();
        Ok(daemon)
    }
}

/// A running daemon; dropping it unmounts.
pub(crate) struct Daemon {
    setup: Setup,
    child: Child,
    /// From the start of the process to the mount.
    pub(crate) start_time: Duration,
    has_ended: bool,
}

impl Daemon {
    pub(crate) fn mountpoint(&self) -> PathBuf {
        self.setup.mountpoint()
    }

    /// Ends the daemon as systemd would, and checks that the mount is gone.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let status = self.terminate()?;
        if let Some(kind) = mounted_on(&self.mountpoint())? {
            bail!(
                "{} ({kind}) is still mounted after SIGTERM, {status}{}",
                self.mountpoint().display(),
                self.log()
            );
        }
        if !status.success() {
            bail!("the daemon ended with {status}{}", self.log());
        }
        Ok(())
    }

    /// CPU time that it has used.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu_time_of(self.child.id())
    }

    /// Resident memory in bytes: (now, at most so far). From /proc/PID/status, proc(5).
    pub(crate) fn memory_bytes(&self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .context("read /proc/PID/status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kib.map(|kib| kib * 1024).with_context(|| format!("no {name} in /proc/PID/status"))
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Runs another `forebay` command against this daemon; what it printed.
    pub(crate) fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.setup.program);
        command.args(arguments).arg("--control-socket").arg(self.setup.control_socket());
        let output = command.output().with_context(|| format!("run forebay {}", arguments.join(" ")))?;
        if !output.status.success() {
            bail!("forebay {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn wait_until_mounted(&mut self, started: Instant) -> anyhow::Result<()> {
        let mountpoint = self.mountpoint();
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.has_ended = true;
                bail!("forebay mount ended with {status}{}", self.log());
            }
            // mounted, and it answers: its root is another device than the directory above
            if mounted_on(&mountpoint)?.is_some() && device_of(&mountpoint)? != device_of(&self.setup.dir)? {
                return Ok(());
            }
            if started.elapsed() > READY_TIME_MAX {
                bail!("not mounted after {READY_TIME_MAX:?}{}", self.log());
            }
            interrupt::check()?;
            thread::sleep(POLL_TIME);
        }
    }

    fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).context("a process id")?);
        kill(pid, Signal::SIGTERM).context("send SIGTERM to the daemon")?;
        let started = Instant::now();
        while started.elapsed() < STOP_TIME_MAX {
            if let Some(status) = self.child.try_wait()? {
                self.has_ended = true;
                return Ok(status);
            }
            thread::sleep(POLL_TIME);
        }
        bail!("the daemon runs {STOP_TIME_MAX:?} after SIGTERM{}", self.log());
    }

    /// The end of its log, to be put behind an error.
    fn log(&self) -> String {
        let text = fs::read_to_string(self.setup.log_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        if shown.is_empty() {
            String::new()
        } else {
            format!("; its log ends with\n  {}", shown.join("\n  "))
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.has_ended
            && let Err(error) = self.terminate()
        {
            eprintln!("forebay-bench: {error:#}; it is killed");
            if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
                eprintln!("forebay-bench: kill the daemon: {error}");
            }
        }
        if matches!(mounted_on(&self.mountpoint()), Ok(Some(_)))
            && let Err(error) = umount2(&self.mountpoint(), MntFlags::MNT_DETACH)
        {
            eprintln!("forebay-bench: unmount {}: {error}", self.mountpoint().display());
        }
    }
}

fn device_of(path: &Path) -> anyhow::Result<u64> {
    Ok(fs::metadata(path).with_context(|| format!("stat {}", path.display()))?.dev())
}

/// The `forebay` program: `$FOREBAY_BINARY`, or the one beside this program.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("FOREBAY_BINARY") {
        return Ok(given.into());
    }
    let beside = std::env::current_exe().context("find this program")?.with_file_name("forebay");
    if !beside.is_file() {
        bail!(
            "no {}: build it with cargo build --release -p forebay, or set FOREBAY_BINARY",
            beside.display()
        );
    }
    Ok(beside)
}
