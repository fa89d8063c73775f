//! Mounting as a user, through fusermount3.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use fuse_fast::NodeId;
use fuse_fast::mount::{MountError, MountMethod, MountOptions, mount, unmount};
use fuse_fast::session::{Session, SessionConfig};
use support::{LONG, cannot_mount, memory};

const NOBODY: u32 = 65_534;
const PLACE: &str = "FUSE_FAST_UNPRIVILEGED_PLACE";

/// Gives the user a /dev/fuse that he may open, as udev does, in a mount namespace that ends with the test.
const SCRIPT: &str = r#"
    mknod -m 666 "$FUSE_FAST_UNPRIVILEGED_PLACE/device" c 10 229 &&
    mount --bind "$FUSE_FAST_UNPRIVILEGED_PLACE/device" /dev/fuse &&
    exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"#;

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Runs one test of this program as nobody, in a directory of nobody's.
fn as_nobody(test: &str) {
    if cannot_mount() {
        return;
    }
    if let Some(missing) =
        ["fusermount3", "setpriv", "unshare"].into_iter().find(|program| !is_installed(program))
    {
        println!("SKIP: {missing} is not installed");
        return;
    }
    let place = tempfile::Builder::new().prefix("fuse-").tempdir().expect("a directory");
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("ours");
    chown(place.path(), Some(NOBODY), Some(NOBODY)).expect("root can");
    // The build's directory may be closed to other users.
    let program = place.path().join("test");
    fs::copy(std::env::current_exe().expect("this program"), &program).expect("copies");
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"])
        .arg(&program)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(PLACE, place.path())
        .current_dir("/")
        .status()
        .expect("unshare runs");
    assert!(status.success(), "{test} as nobody");
}

/// A directory to mount at, when this is the process that `as_nobody` started.
fn place(name: &str) -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os(PLACE)?).join(name);
    fs::create_dir(&path).expect("nobody's own");
    Some(path)
}

#[test]
fn a_user_mounts_reads_and_unmounts() {
    as_nobody("nobody_mounts_reads_and_unmounts");
}

#[test]
#[ignore = "started by another test as nobody"]
fn nobody_mounts_reads_and_unmounts() {
    let Some(path) = place("mnt") else { return };
    let options = MountOptions { source: "s3://bucket/a,b\\c".to_owned(), ..MountOptions::default() };
    let device = mount(&path, &options).expect("fusermount3 mounts");
    let fs = memory(LONG);
    fs.add_file(NodeId::ROOT, "file", &b"for a user"[..]);
    let config = SessionConfig { threads: 2, ..SessionConfig::default() };
    let session = Session::start(device, Arc::new(fs), config).expect("starts");
    assert_eq!(std::fs::read(path.join("file")).expect("readable"), b"for a user");
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("readable");
    assert!(mounts.contains("s3://bucket/a,b\\134c /"), "{mounts}");
    let error = mount(&path, &options).expect_err("a mount is there");
    assert!(matches!(error, MountError::Busy { .. }), "{error:?}");
    unmount(&path, false).expect("the user's own");
    session.wait().expect("a clean end");
    assert!(matches!(unmount(&path, false), Err(MountError::NotMounted { .. })));
}

#[test]
fn a_user_is_told_what_is_not_allowed() {
    as_nobody("nobody_is_told_what_is_not_allowed");
}

#[test]
#[ignore = "started by another test as nobody"]
fn nobody_is_told_what_is_not_allowed() {
    if place("any").is_none() {
        return;
    }
    let error = mount(Path::new("/usr"), &MountOptions::default()).expect_err("root's directory");
    assert!(matches!(error, MountError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("/usr"), "{error}");
    let mine = place("mine").expect("a directory");
    let for_all = MountOptions { allow_other: true, ..MountOptions::default() };
    let configuration = fs::read_to_string("/etc/fuse.conf").unwrap_or_default();
    if configuration.lines().any(|line| line.trim() == "user_allow_other") {
        println!("SKIP: /etc/fuse.conf allows allow_other to users");
    } else {
        let error = mount(&mine, &for_all).expect_err("user_allow_other is not set");
        assert!(error.to_string().contains("user_allow_other"), "{error}");
    }
    let direct = MountOptions { method: MountMethod::Direct, ..MountOptions::default() };
    let error = mount(&mine, &direct).expect_err("not root");
    assert!(error.to_string().contains("CAP_SYS_ADMIN"), "{error}");
}
