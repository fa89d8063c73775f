//! The machine that a figure belongs to, and its page cache.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use nix::sys::statvfs::statvfs;
use nix::unistd::{SysconfVar, sync, sysconf};
use serde::Serialize;

/// What to write beside every figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) cpus: usize,
    pub(crate) memory_mib: u64,
}

impl Machine {
    pub(crate) fn of_this_host() -> anyhow::Result<Self> {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("read the kernel's release")?;
        let value_of = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
        let meminfo = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
        let memory_kib =
            value_of(&meminfo, "MemTotal").and_then(|it| it.strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(Self {
            kernel: kernel.trim().to_owned(),
            cpu: value_of(&cpuinfo, "model name").unwrap_or_else(|| "unknown".to_owned()),
            cpus: std::thread::available_parallelism()?.get(),
            memory_mib: memory_kib.unwrap_or(0) / 1024,
        })
    }
}

/// CPU time that a process has used, user and system: fields 14 and 15 of /proc/PID/stat, in clock ticks (proc(5)).
pub(crate) fn cpu_time_of(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("read /proc/PID/stat")?;
    // the second field is the program's name in parentheses, and may hold spaces
    let (_, after_name) = stat.rsplit_once(')').context("the format of /proc/PID/stat")?;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>();
    let ticks_per_s = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
    Ok(Duration::from_secs_f64(ticks.context("the times in /proc/PID/stat")? as f64 / ticks_per_s as f64))
}

/// What the kernel is to forget.
#[derive(Clone, Copy)]
pub(crate) enum Forget {
    /// File contents.
    Pages = 1,
    /// Contents, names and inodes.
    All = 3,
}

/// Writes dirty pages out and drops clean ones (proc(5), drop_caches). Needs root.
pub(crate) fn drop_caches(what: Forget) -> anyhow::Result<()> {
    sync();
    fs::write("/proc/sys/vm/drop_caches", format!("{}\n", what as i32))
        .context("drop the page cache (needs root)")
}

/// Uses and gives back some memory more than `bytes`. A virtual machine's host takes free memory away and gives it back
/// page by page when it is next used, which would be counted against whoever fills the page cache first.
pub(crate) fn touch_memory(bytes: u64) {
    const SPARE_BYTES: u64 = 256 << 20;
    let touched = vec![1u8; usize::try_from(bytes + SPARE_BYTES).unwrap_or(0)];
    drop(std::hint::black_box(touched));
}

/// Fails when the file system of `dir` has less than this free.
pub(crate) fn require_free_space(dir: &Path, wanted_bytes: u64) -> anyhow::Result<()> {
    let about = statvfs(dir).with_context(|| format!("statvfs {}", dir.display()))?;
    let free_bytes = about.blocks_available() * about.fragment_size();
    anyhow::ensure!(
        free_bytes >= wanted_bytes,
        "{} has {} MiB free, {} MiB are needed; choose another place with --work-dir",
        dir.display(),
        free_bytes >> 20,
        wanted_bytes >> 20
    );
    Ok(())
}
