//! Mounts that a dead daemon left behind.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use tokio::sync::oneshot;

use super::Finding;

/// How the kernel's mount table calls our mounts.
const FSTYPE: &str = "fuse.forebay";
/// Mounts that are looked at.
const MOUNTS_MAX: usize = 256;
/// A mount that does not answer for this long hangs.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

pub(super) async fn examine() -> Vec<Finding> {
    let table = match std::fs::read("/proc/self/mountinfo") {
        Ok(table) => table,
        Err(error) => {
            return vec![Finding::warn("mounts", format!("unknown ({error})"), "is /proc mounted?")];
        }
    };
    let mut findings = Vec::new();
    for mountpoint in mountpoints(&table) {
        findings.push(examine_one(mountpoint).await);
    }
    if findings.is_empty() {
        findings.push(Finding::ok("mounts", "none, and no dead ones"));
    }
    findings
}

/// Asks the mount in a thread of its own: the call may never return.
async fn examine_one(mountpoint: PathBuf) -> Finding {
    let check = format!("mount {}", mountpoint.display());
    let (tell, told) = oneshot::channel();
    let asked = mountpoint.clone();
    let thread = std::thread::Builder::new().name("forebay-statfs".into()).spawn(move || {
        // Nobody listens any more when the limit is over.
        tell.send(statvfs(&asked).map(drop)).ok();
    });
    if let Err(error) = thread {
        return Finding::warn(check, format!("cannot be asked ({error})"), "check ulimit -u");
    }
    match tokio::time::timeout(ANSWER_TIME_MAX, told).await {
        Ok(Ok(answer)) => judge(check, &mountpoint, answer),
        Ok(Err(_)) | Err(_) => {
            let fix = format!("look at its daemon's log; forebay umount --lazy {}", mountpoint.display());
            Finding::fail(check, format!("gives no answer for {ANSWER_TIME_MAX:?}"), fix)
        }
    }
}

fn judge(check: String, mountpoint: &Path, answer: Result<(), Errno>) -> Finding {
    match answer {
        Ok(()) => Finding::ok(check, "answers"),
        Err(Errno::ENOTCONN) => Finding::fail(
            check,
            "dead: its daemon is gone (transport endpoint is not connected)",
            format!("forebay umount --lazy {}", mountpoint.display()),
        ),
        Err(errno) => Finding::warn(check, io::Error::from(errno).to_string(), "look at its daemon's log"),
    }
}

/// The mountpoints of our file system (proc_pid_mountinfo(5): field 5, and the type after ` - `).
fn mountpoints(table: &[u8]) -> Vec<PathBuf> {
    let of_line = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().position(|field| *field == b"-")?;
        let is_ours = *fields.get(dash + 1)? == FSTYPE.as_bytes();
        is_ours.then(|| unescape(fields.get(4)?)).flatten()
    };
    table.split(|byte| *byte == b'\n').filter_map(of_line).take(MOUNTS_MAX).collect()
}

/// Space, tab, newline and backslash are written as `\ooo`.
fn unescape(field: &[u8]) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'\\', [a, b, c, after @ ..]) => {
                let octal =
                    std::str::from_utf8(&[*a, *b, *c]).ok().and_then(|text| u8::from_str_radix(text, 8).ok());
                bytes.push(octal?);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn our_mounts_are_found_in_the_table() {
        // Lines in the form of proc_pid_mountinfo(5).
        let table = b"36 35 98:0 / / rw,noatime master:1 - ext4 /dev/root rw\n\
            40 36 0:35 / /mnt/a\\040b ro,nosuid - fuse.forebay s3://x/ ro,user_id=0\n\
            41 36 0:36 / /mnt/sshfs rw shared:3 - fuse.sshfs host: rw\n";
        assert_eq!(mountpoints(table), [PathBuf::from("/mnt/a b")]);
    }

    #[test]
    fn a_dead_mount_fails_with_the_command_that_clears_it() {
        let finding = judge("mount /m".into(), Path::new("/m"), Err(Errno::ENOTCONN));
        assert_eq!((finding.level, finding.fix.as_str()), (Level::Fail, "forebay umount --lazy /m"));
        assert_eq!(judge("mount /m".into(), Path::new("/m"), Ok(())).level, Level::Ok);
    }
}
