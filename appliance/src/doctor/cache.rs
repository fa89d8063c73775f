//! Where the slabs go: file system, direct I/O, free space, and a quick look at its speed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statfs::{self, FsType};
use nix::sys::statvfs::fstatvfs;

use super::Finding;
use super::sys::{Alignment, direct_io_alignment};
use crate::config::units::SizeText;
use crate::config::{CacheConfig, CacheLocation};
use crate::daemon::open_cache;

/// Bytes that the speed test writes and reads.
const PROBE_BYTES: usize = 64 << 20;
/// Bytes of one write or read of it.
const STEP_BYTES: usize = 1 << 20;
/// The speed test ends after this long, however little it has moved.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);
/// Slower than this, the store is likely to be as fast as the cache.
const RATE_MIN: f64 = 200e6;

/// Kinds by name; the kernel has no call that names them.
const KINDS: [(FsType, &str); 6] = [
    (statfs::EXT4_SUPER_MAGIC, "ext4"),
    (statfs::XFS_SUPER_MAGIC, "xfs"),
    (statfs::BTRFS_SUPER_MAGIC, "btrfs"),
    (statfs::OVERLAYFS_SUPER_MAGIC, "overlayfs"),
    (statfs::TMPFS_MAGIC, "tmpfs"),
    (statfs::NFS_SUPER_MAGIC, "nfs"),
];

pub(super) fn examine(config: &CacheConfig) -> Vec<Finding> {
    match &config.location {
        CacheLocation::Directory(directory) => {
            let mut findings = examine_directory(directory, config.size_bytes);
            findings.push(passthrough(directory, config.large.is_some()));
            findings
        }
        CacheLocation::BlockDevice(device) => vec![examine_device(device, config.size_bytes)],
    }
}

fn examine_device(device: &Path, size_bytes: u64) -> Finding {
    let check = format!("cache {}", device.display());
    let opened = File::options().read(true).write(true).custom_flags(libc::O_DIRECT).open(device);
    let end = opened.and_then(|mut file| io::Seek::seek(&mut file, io::SeekFrom::End(0)));
    match end {
        Ok(bytes) if bytes < size_bytes => Finding::fail(
            check,
            format!("{} long, {} wanted", SizeText(bytes), SizeText(size_bytes)),
            "lower cache.size (--cache-size)",
        ),
        Ok(bytes) => Finding::ok(check, format!("{} long, takes direct I/O", SizeText(bytes))),
        Err(error) => Finding::fail(check, error.to_string(), "check cache.device (--cache-device)"),
    }
}

fn examine_directory(directory: &Path, size_bytes: u64) -> Vec<Finding> {
    let check = format!("cache {}", directory.display());
    let probe = match Probe::create(directory) {
        Ok(probe) => probe,
        Err(error) => {
            let fix = "make the directory writable on a local file system, or change cache.dir (--cache-dir)";
            return vec![Finding::fail(check, error.to_string(), fix)];
        }
    };
    vec![
        kind(&check, &probe.file),
        space(&check, directory, &probe.file, size_bytes),
        alignment(&check, &probe),
        speed(&check, &probe),
    ]
}

/// Whether the kernel will read large files by itself.
fn passthrough(directory: &Path, wanted: bool) -> Finding {
    let check = format!("cache {}: passthrough", directory.display());
    if !wanted {
        return Finding::ok(check, "switched off");
    }
    match open_cache::probe(directory) {
        Ok(()) => Finding::ok(check, "the kernel reads large complete files by itself"),
        Err(reason) => Finding::warn(
            check,
            format!("{reason}; large files are read through the daemon"),
            "use Linux 6.9 or later, run as root, and keep the cache on ext4 or xfs; or cache.passthrough = \"off\"",
        ),
    }
}

/// A file in the cache directory that goes away with this value.
struct Probe {
    file: File,
    path: PathBuf,
    direct: io::Result<File>,
}

impl Probe {
    fn create(directory: &Path) -> io::Result<Self> {
        let path = directory.join(format!(".forebay-doctor-{}", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let direct = File::options().read(true).write(true).custom_flags(libc::O_DIRECT).open(&path);
        Ok(Self { file, path, direct })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the probe file stays; remove it by hand");
        }
    }
}

fn kind(check: &str, file: &File) -> Finding {
    let check = format!("{check}: file system");
    let kind = match statfs::fstatfs(file) {
        Ok(info) => info.filesystem_type(),
        Err(errno) => return Finding::warn(check, format!("unknown ({errno})"), "use ext4 or xfs"),
    };
    let name = KINDS.iter().find(|(known, _)| *known == kind).map_or("unknown", |(_, name)| *name);
    match name {
        "ext4" | "xfs" => Finding::ok(check, name),
        "nfs" | "tmpfs" => {
            Finding::fail(check, name, "put the cache on a local NVMe file system, ext4 or xfs")
        }
        _ => Finding::warn(check, name, "ext4 and xfs are tested; others may copy on write or cache twice"),
    }
}

/// What an existing cache holds counts as free: the slabs are allocated once.
fn space(check: &str, directory: &Path, file: &File, size_bytes: u64) -> Finding {
    let check = format!("{check}: space");
    let info = match fstatvfs(file) {
        Ok(info) => info,
        Err(errno) => return Finding::warn(check, format!("unknown ({errno})"), "check it by hand: df"),
    };
    let free = info.blocks_available().saturating_mul(info.fragment_size());
    let held = held_bytes(directory);
    let found = format!(
        "{} free, {} held by the directory, {} wanted",
        SizeText(free),
        SizeText(held),
        SizeText(size_bytes)
    );
    if free.saturating_add(held) < size_bytes {
        return Finding::fail(check, found, "free space, or lower cache.size (--cache-size)");
    }
    Finding::ok(check, found)
}

/// Bytes allocated by the files in the directory and in those below it.
fn held_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let held = |entry: fs::DirEntry| match entry.metadata().ok()? {
        metadata if metadata.is_dir() => Some(held_bytes(&entry.path())),
        // st_blocks counts units of 512 bytes (inode(7)).
        metadata => Some(metadata.blocks() * 512),
    };
    entries.filter_map(held).sum()
}

fn alignment(check: &str, probe: &Probe) -> Finding {
    let check = format!("{check}: O_DIRECT");
    if let Err(error) = &probe.direct {
        return Finding::fail(
            check,
            error.to_string(),
            "use a file system with direct I/O, such as ext4 or xfs",
        );
    }
    match direct_io_alignment(&probe.file) {
        Ok(Some(Alignment { offset_bytes: 0, .. })) => Finding::fail(
            check,
            "not supported for this file",
            "use a file system with direct I/O, such as ext4 or xfs",
        ),
        Ok(Some(Alignment { memory_bytes, offset_bytes })) if offset_bytes <= 4096 => {
            Finding::ok(check, format!("offsets by {offset_bytes}, memory by {memory_bytes} bytes"))
        }
        Ok(Some(Alignment { offset_bytes, .. })) => Finding::warn(
            check,
            format!("offsets by {offset_bytes} bytes: small objects waste space"),
            "use 4KiB blocks",
        ),
        Ok(None) => Finding::ok(check, "supported; the kernel does not tell the alignment (before 6.1)"),
        Err(error) => Finding::warn(check, error.to_string(), "check the file system"),
    }
}

fn speed(check: &str, probe: &Probe) -> Finding {
    let check = format!("{check}: speed");
    let Ok(direct) = &probe.direct else {
        return Finding::warn(check, "not measured: no direct I/O", "see O_DIRECT");
    };
    match measure(direct) {
        Ok((write, read)) => {
            let found = format!(
                "writes {}/s, reads {}/s, one at a time",
                SizeText(write as u64),
                SizeText(read as u64)
            );
            if read < RATE_MIN {
                return Finding::warn(check, found, "put the cache on NVMe");
            }
            Finding::ok(check, found)
        }
        Err(error) => {
            Finding::warn(check, format!("not measured ({error})"), "free space, or check the device")
        }
    }
}

/// Bytes a second of sequential direct writes and then reads of [`STEP_BYTES`] each.
fn measure(file: &File) -> io::Result<(f64, f64)> {
    let mut memory = vec![0x5a_u8; STEP_BYTES + 4096];
    let start = memory.as_ptr().align_offset(4096);
    let buffer = &mut memory[start..start + STEP_BYTES];
    let (written, write) = timed(|offset| file.write_all_at(buffer, offset), PROBE_BYTES)?;
    let (_, read) = timed(|offset| file.read_exact_at(buffer, offset), written)?;
    Ok((write, read))
}

/// Steps through a file until its end or the time limit; the bytes and the rate.
fn timed(mut step: impl FnMut(u64) -> io::Result<()>, length_bytes: usize) -> io::Result<(usize, f64)> {
    let started = Instant::now();
    let mut done_bytes = 0;
    while done_bytes < length_bytes && started.elapsed() < PROBE_TIME_MAX {
        step(done_bytes as u64)?;
        done_bytes += STEP_BYTES;
    }
    Ok((done_bytes, done_bytes as f64 / started.elapsed().as_secs_f64().max(1e-9)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn directory(path: &Path, size_bytes: u64) -> Vec<Finding> {
        examine(&CacheConfig { location: CacheLocation::Directory(path.to_owned()), size_bytes, large: None })
    }

    #[test]
    fn a_directory_is_looked_at_and_left_as_it_was() {
        let dir = tempfile::tempdir().expect("temp dir");
        let findings = directory(dir.path(), 1 << 20);
        assert_eq!(findings.len(), 5, "{findings:?}");
        let space = &findings[1];
        assert!(space.check.ends_with(": space") && space.level == Level::Ok, "{space:?}");
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);
    }

    #[test]
    fn too_large_a_cache_and_a_missing_directory_fail_with_the_setting() {
        let dir = tempfile::tempdir().expect("temp dir");
        let space = directory(dir.path(), u64::MAX).remove(1);
        assert!(space.level == Level::Fail && space.fix.contains("cache.size"), "{space:?}");
        let missing = directory(&dir.path().join("none"), 1 << 20).remove(0);
        assert!(missing.level == Level::Fail && missing.fix.contains("cache.dir"), "{missing:?}");
        let device = CacheLocation::BlockDevice(dir.path().join("none"));
        let findings = examine(&CacheConfig { location: device, size_bytes: 1 << 20, large: None });
        assert!(findings[0].level == Level::Fail && findings[0].fix.contains("cache.device"), "{findings:?}");
    }
}
