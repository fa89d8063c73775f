//! What is measured.

pub(crate) mod ckpt;
pub(crate) mod cold_seq;
pub(crate) mod demo;
pub(crate) mod drain;
pub(crate) mod large_files;
pub(crate) mod list_import;
pub(crate) mod rss;
pub(crate) mod server;
pub(crate) mod small_transports;
pub(crate) mod stat;
pub(crate) mod warm_seq;
pub(crate) mod warm_small;

use std::path::PathBuf;

use crate::rig::daemon::{Setup, program};
use crate::rig::fileset::{BUCKET, File};
use crate::rig::readers::{Reading, read_all};
use crate::rig::server_process::ServerProcess;
use crate::rig::workdir::WorkDir;

/// What all scenarios are told.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) work_dir: PathBuf,
    pub(crate) runs: u32,
    pub(crate) quick: bool,
    /// Size of the file of `large-files`.
    pub(crate) large_mib: u64,
    /// Size of each of the four files of `ckpt` and `drain`.
    pub(crate) shard_mib: u64,
}

impl Common {
    fn shard_mib(&self) -> u64 {
        if self.quick { self.shard_mib.min(128) } else { self.shard_mib }
    }
}

/// A mount of the bucket of a server process.
fn setup(server: &ServerProcess, dir: &WorkDir, name: &str, cache_size: &str) -> anyhow::Result<Setup> {
    Ok(Setup {
        program: program()?,
        url: format!("s3://{BUCKET}/"),
        endpoint: server.endpoint().to_owned(),
        dir: dir.sub(name)?,
        cache_size: cache_size.to_owned(),
        memory: None,
        more: Vec::new(),
        is_read_write: false,
    })
}

/// A mount that takes writes, and sends them when `forebay flush` says so.
fn writing_setup(server: &ServerProcess, dir: &WorkDir) -> anyhow::Result<Setup> {
    Ok(Setup { is_read_write: true, ..setup(server, dir, "mount", "1GiB")? })
}

/// Reads files once through a mount, so that the cache holds them.
fn warm_up(mountpoint: &std::path::Path, files: &[File]) -> anyhow::Result<()> {
    let reading = Reading { threads: 8, seed: 0, verify: true };
    read_all(mountpoint, files, reading, &|_, _| {}).map(drop)
}
