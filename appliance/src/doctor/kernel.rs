//! Kernel version, FUSE and io_uring.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::Finding;
#[cfg(test)]
use super::Level;
use super::sys::probe_io_uring;

/// The oldest kernel that is supported.
const KERNEL_MIN: Release = Release(5, 15);

/// FUSE features by the kernel that brought them (Linux kernel changelogs of include/uapi/linux/fuse.h).
const FEATURES: [(Release, &str); 4] = [
    (Release(6, 3), "large readdirplus and expire-only invalidation"),
    (Release(6, 9), "passthrough"),
    (Release(6, 13), "requests above 1MiB"),
    (Release(6, 14), "FUSE over io_uring"),
];

/// The switch of FUSE over io_uring (6.14).
const ENABLE_URING: &str = "/sys/module/fuse/parameters/enable_uring";

/// Pages of a request when the kernel has no setting for it (FUSE_MAX_MAX_PAGES before 6.13).
const PAGES_MAX_DEFAULT: u64 = 256;

/// Major and minor number of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release(u32, u32);

impl Release {
    /// From the text of uname(2), such as `6.8.0-45-generic`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

pub(super) fn examine() -> Vec<Finding> {
    let root = geteuid().is_root();
    let mut findings = vec![kernel(), dev_fuse(), fusermount(root), allow_other(root), io_uring()];
    findings.push(max_pages(read_number(Path::new("/proc/sys/fs/fuse/max_pages_limit"))));
    findings.push(fuse_over_io_uring(Path::new(ENABLE_URING), probe_io_uring()));
    findings
}

fn kernel() -> Finding {
    let text = match nix::sys::utsname::uname() {
        Ok(name) => name.release().to_string_lossy().into_owned(),
        Err(error) => {
            return Finding::warn("kernel", format!("unknown ({error})"), "check it by hand: uname -r");
        }
    };
    judge_kernel(&text)
}

fn judge_kernel(text: &str) -> Finding {
    let Some(release) = Release::parse(text) else {
        return Finding::warn("kernel", format!("{text}: unknown version"), "use Linux 5.15 or later");
    };
    let missing: Vec<&str> =
        FEATURES.iter().filter(|(since, _)| release < *since).map(|(_, name)| *name).collect();
    if release < KERNEL_MIN {
        return Finding::fail("kernel", text, "use Linux 5.15 or later");
    }
    match FEATURES.iter().rfind(|(since, _)| release < *since) {
        None => Finding::ok("kernel", format!("{text}: has every FUSE feature that is used")),
        Some((Release(major, minor), _)) => Finding::warn(
            "kernel",
            format!("{text}: works, without {}", missing.join(", ")),
            format!("Linux {major}.{minor} has all of them"),
        ),
    }
}

fn dev_fuse() -> Finding {
    let opened = File::options().read(true).write(true).open("/dev/fuse");
    match opened {
        Ok(_) => Finding::ok("/dev/fuse", "can be opened"),
        Err(error) => {
            let fix = match error.kind() {
                ErrorKind::PermissionDenied => "chmod 666 /dev/fuse, or run as root",
                _ => "modprobe fuse; in a container pass --device /dev/fuse",
            };
            Finding::fail("/dev/fuse", error.to_string(), fix)
        }
    }
}

fn fusermount(root: bool) -> Finding {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let found: Option<PathBuf> = std::env::split_paths(&directories)
        .map(|directory| directory.join("fusermount3"))
        .find(|path| path.is_file());
    match found {
        Some(path) => Finding::ok("fusermount3", path.display().to_string()),
        None if root => Finding::ok("fusermount3", "not installed; not needed as root"),
        None => Finding::fail("fusermount3", "not installed", "install the package fuse3, or run as root"),
    }
}

fn allow_other(root: bool) -> Finding {
    let text = fs::read_to_string("/etc/fuse.conf").unwrap_or_default();
    let is_set = text.lines().any(|line| line.trim() == "user_allow_other");
    match (is_set, root) {
        (true, _) => Finding::ok("user_allow_other", "set in /etc/fuse.conf"),
        (false, true) => Finding::ok("user_allow_other", "not set; not needed as root"),
        (false, false) => Finding::warn(
            "user_allow_other",
            "not set: --allow-other will be refused",
            "write user_allow_other into /etc/fuse.conf",
        ),
    }
}

fn io_uring() -> Finding {
    let disabled = read_number(Path::new("/proc/sys/kernel/io_uring_disabled"));
    match (probe_io_uring(), disabled) {
        (Ok(()), _) => Finding::ok("io_uring", "allowed"),
        (Err(error), Some(1..)) => {
            Finding::fail("io_uring", error.to_string(), "sysctl kernel.io_uring_disabled=0")
        }
        (Err(error), _) => Finding::fail(
            "io_uring",
            error.to_string(),
            "allow io_uring_setup in the container's seccomp profile; the cache needs it",
        ),
    }
}

fn max_pages(limit: Option<u64>) -> Finding {
    let check = "fs.fuse.max_pages_limit";
    match limit {
        None => Finding::ok(
            check,
            format!("not there; the kernel's own limit is {PAGES_MAX_DEFAULT} pages (1MiB)"),
        ),
        Some(pages) if pages < PAGES_MAX_DEFAULT => Finding::warn(
            check,
            format!("{pages} pages: reads are cut into small requests"),
            format!("sysctl {check}={PAGES_MAX_DEFAULT} or more"),
        ),
        Some(pages) => Finding::ok(check, format!("{pages} pages")),
    }
}

/// Whether FUSE over io_uring can be had, and what it takes.
fn fuse_over_io_uring(switch: &Path, probe: io::Result<()>) -> Finding {
    let check = "fuse over io_uring";
    let text = match fs::read_to_string(switch) {
        Ok(text) => text,
        Err(_) => {
            return Finding::ok(check, "not in this kernel (Linux 6.14); requests go through /dev/fuse");
        }
    };
    match (text.trim(), probe) {
        ("Y", Ok(())) => Finding::ok(check, "on"),
        ("Y", Err(error)) => {
            Finding::warn(check, format!("on, but there is no io_uring: {error}"), "see the line io_uring")
        }
        _ => Finding::warn(
            check,
            "off: requests go through /dev/fuse, small files and metadata are slower",
            format!("echo Y > {}, and options fuse enable_uring=1 in /etc/modprobe.d", switch.display()),
        ),
    }
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_from_what_distributions_write() {
        let cases =
            [("6.18.0", Release(6, 18)), ("5.15.0-91-generic", Release(5, 15)), ("6.1-rt", Release(6, 1))];
        for (text, release) in cases {
            assert_eq!(Release::parse(text), Some(release));
        }
        assert_eq!(Release::parse("linux"), None);
    }

    #[test]
    fn kernels_are_judged_by_what_they_lack() {
        assert_eq!(judge_kernel("6.18.2").level, Level::Ok);
        assert_eq!(judge_kernel("5.10.0").level, Level::Fail);
        let old = judge_kernel("6.8.0-45-generic");
        assert_eq!(old.level, Level::Warn);
        assert!(old.found.contains("passthrough") && !old.found.contains("expire-only"), "{old:?}");
        assert!(old.fix.contains("6.14"), "{old:?}");
    }

    #[test]
    fn the_switch_of_fuse_over_io_uring_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let switch = directory.path().join("enable_uring");
        assert_eq!(fuse_over_io_uring(&switch, Ok(())).level, Level::Ok);
        fs::write(&switch, "N\n").expect("writable");
        let off = fuse_over_io_uring(&switch, Ok(()));
        assert_eq!(off.level, Level::Warn);
        assert!(off.fix.contains("echo Y > "), "{off:?}");
        fs::write(&switch, "Y\n").expect("writable");
        assert_eq!(fuse_over_io_uring(&switch, Ok(())).found, "on");
        assert_eq!(fuse_over_io_uring(&switch, Err(ErrorKind::PermissionDenied.into())).level, Level::Warn);
    }

    #[test]
    fn small_requests_are_warned_of() {
        assert_eq!(max_pages(Some(32)).level, Level::Warn);
        assert_eq!(max_pages(Some(1024)).level, Level::Ok);
        assert_eq!(max_pages(None).level, Level::Ok);
    }
}
