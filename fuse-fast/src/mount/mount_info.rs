//! What /proc/thread-self/mountinfo says (format: proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The mount on top at some path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountedAt {
    /// Device number, major and minor.
    pub(crate) device: (u32, u32),
    pub(crate) file_system_type: String,
    pub(crate) source: String,
}

impl MountedAt {
    /// The last mount at exactly `path`, which has no symbolic links.
    pub(crate) fn find(path: &Path) -> io::Result<Option<MountedAt>> {
        Ok(find_in(&fs::read("/proc/thread-self/mountinfo")?, path))
    }
}

fn find_in(mount_info: &[u8], path: &Path) -> Option<MountedAt> {
    mount_info.split(|&byte| byte == b'\n').rev().find_map(|line| parse(line, path))
}

/// One line, if it is a mount at `path`. Fields: id, parent, major:minor, root, mount point, options, optional fields,
/// `-`, type, source, options.
fn parse(line: &[u8], path: &Path) -> Option<MountedAt> {
    let mut fields = line.split(|&byte| byte == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let mount_point = unescape(fields.nth(1)?);
    if mount_point.as_bytes() != path.as_os_str().as_bytes() {
        return None;
    }
    let mut fields = fields.skip_while(|&field| field != b"-").skip(1);
    Some(MountedAt {
        device: (major.parse().ok()?, minor.parse().ok()?),
        file_system_type: unescape(fields.next()?).to_string_lossy().into_owned(),
        source: unescape(fields.next()?).to_string_lossy().into_owned(),
    })
}

/// Undoes the kernel's `\ooo` for space, tab, newline and backslash.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten().and_then(octal_byte);
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(bytes)
}

fn octal_byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lines of the example in proc_pid_mountinfo(5), and two mounts over each other at a path with a space.
    const SAMPLE: &[u8] = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n\
        40 35 0:50 / /mnt/a\\040b rw - fuse.other old rw\n\
        41 40 0:51 / /mnt/a\\040b rw shared:7 master:1 - fuse.forebay s3://bucket/a\\134b rw,user_id=0\n";

    #[test]
    fn last_mount_at_an_escaped_path() {
        let found = find_in(SAMPLE, Path::new("/mnt/a b")).expect("the path is in the sample");
        let source = "s3://bucket/a\\b".to_owned();
        assert_eq!(found, MountedAt { device: (0, 51), file_system_type: "fuse.forebay".to_owned(), source });
    }

    #[test]
    fn other_paths_are_not_found() {
        assert_eq!(find_in(SAMPLE, Path::new("/mnt")), None);
        assert_eq!(find_in(b"36 35 broken\n\n x", Path::new("/mnt")), None);
        assert_eq!(find_in(SAMPLE, Path::new("/mnt2")).map(|found| found.device), Some((98, 0)));
    }

    #[test]
    fn a_backslash_without_digits_stays() {
        assert_eq!(unescape(b"a\\9zz\\"), OsString::from("a\\9zz\\"));
    }
}
