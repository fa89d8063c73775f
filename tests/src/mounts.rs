//! The kernel's own list of mounts: the tests believe it and nothing that the daemon says.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

/// Type and source of the file system that is mounted last at exactly this path, such as `fuse.forebay`. A thread may
/// have mounts of its own, so its table counts and not the process's.
/// Fields of a line: proc_pid_mountinfo(5).
pub fn mounted_at(path: &Path) -> Option<(String, String)> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").expect("/proc is mounted");
    let path = path.to_str().expect("test paths are UTF-8");
    let mount = table.lines().filter_map(parse).rfind(|mount| mount.0 == path);
    mount.map(|(_, kind, source)| (kind.to_owned(), source.to_owned()))
}

fn parse(line: &str) -> Option<(&str, &str, &str)> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut kind_and_source = file_system.split(' ');
    Some((mount.split(' ').nth(4)?, kind_and_source.next()?, kind_and_source.next()?))
}

/// Takes away every mount at a path, however its server is. Nothing mounted is fine.
pub fn detach(path: &Path) -> io::Result<()> {
    while mounted_at(path).is_some() {
        match umount2(path, MntFlags::MNT_DETACH) {
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_manual_page_is_read() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        assert_eq!(parse(line), Some(("/mnt2", "ext3", "/dev/root")));
    }
}
