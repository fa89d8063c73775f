//! What a test needs of the machine, and what happens when it is not there.

use std::fs::OpenOptions;
use std::path::Path;

use nix::unistd::geteuid;

/// Why the kernel reads no file by itself.
pub fn missing_passthrough() -> Option<String> {
    let release = nix::sys::utsname::uname().expect("uname always answers").release().to_owned();
    let release = release.to_string_lossy().into_owned();
    let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?);
    (version < (6, 9)).then(|| format!("Linux {release} has no FUSE passthrough (6.9)"))
}

/// Says that a test cannot run here. With FOREBAY_NO_SKIP=1 that is a failure, so that a CI which must run all tests
/// cannot lose some unnoticed.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("FOREBAY_NO_SKIP").is_none_or(|value| value != "1"), "must not skip: {reason}");
    println!("SKIP: {reason}");
}

/// What mounting needs and this machine lacks.
pub fn missing_fuse() -> Option<String> {
    if !geteuid().is_root() {
        return Some("these tests mount as root".to_owned());
    }
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    device.err().map(|error| format!("/dev/fuse cannot be opened: {error}"))
}

/// Whether loop devices are missing.
pub fn missing_loop_devices() -> Option<String> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/loop-control");
    let control = device.err().map(|error| format!("/dev/loop-control cannot be opened: {error}"));
    control.or_else(|| missing_program("losetup"))
}

/// Whether a program is not in the search path.
pub fn missing_program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = [Path::new("/usr/sbin").to_owned(), Path::new("/sbin").to_owned()];
    let found = std::env::split_paths(&path).chain(usual).any(|dir| dir.join(name).is_file());
    (!found).then(|| format!("{name} is not installed"))
}
