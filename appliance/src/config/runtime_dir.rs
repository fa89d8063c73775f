//! Where control sockets lie, and what they are called.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, geteuid};

/// The suffix of every control socket.
pub const SOCKET_SUFFIX: &str = ".sock";
/// The socket of `forebay run`.
pub const DAEMON_SOCKET_NAME: &str = "control.sock";
/// Longest readable part of a socket's name: `sun_path` has 108 bytes (unix(7)), of which the directory needs some.
const SLUG_BYTES_MAX: usize = 32;

/// The directory of the control sockets: `/run/forebay` for root, `$XDG_RUNTIME_DIR/forebay` for others, and
/// `/tmp/forebay-UID` for others without a session.
pub fn runtime_dir() -> PathBuf {
    runtime_dir_of(geteuid(), std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from))
}

fn runtime_dir_of(user: Uid, session_dir: Option<PathBuf>) -> PathBuf {
    match session_dir.filter(|dir| dir.is_absolute()) {
        _ if user.is_root() => PathBuf::from("/run/forebay"),
        Some(dir) => dir.join("forebay"),
        None => PathBuf::from(format!("/tmp/forebay-{user}")),
    }
}

/// The socket of a daemon that was started with `forebay run`.
pub fn daemon_socket() -> PathBuf {
    runtime_dir().join(DAEMON_SOCKET_NAME)
}

/// The socket of a daemon that was started with `forebay mount`: named after the mountpoint, so that several daemons
/// of one host do not clash.
pub fn mount_socket(mountpoint: &Path) -> PathBuf {
    runtime_dir().join(mount_socket_name(mountpoint))
}

/// `mnt-data-<hash>.sock`: a readable tail of the path, and 64 bits that tell paths with the same tail apart.
fn mount_socket_name(mountpoint: &Path) -> String {
    let text = mountpoint.to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    let slug: String = text.trim_matches('/').chars().map(plain).collect();
    let tail = &slug[slug.len().saturating_sub(SLUG_BYTES_MAX)..];
    let hash = xxhash_rust::xxh3::xxh3_64(mountpoint.as_os_str().as_bytes());
    format!("{tail}-{hash:016x}{SOCKET_SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_follows_the_user() {
        let session = Some(PathBuf::from("/run/user/1000"));
        assert_eq!(runtime_dir_of(Uid::from_raw(0), session.clone()), Path::new("/run/forebay"));
        assert_eq!(runtime_dir_of(Uid::from_raw(1000), session), Path::new("/run/user/1000/forebay"));
        assert_eq!(runtime_dir_of(Uid::from_raw(1000), None), Path::new("/tmp/forebay-1000"));
        assert_eq!(runtime_dir_of(Uid::from_raw(7), Some("rel".into())), Path::new("/tmp/forebay-7"));
    }

    #[test]
    fn socket_names_are_short_readable_and_different() {
        let name = |path: &str| mount_socket_name(Path::new(path));
        assert!(name("/mnt/data").starts_with("mnt-data-"), "{}", name("/mnt/data"));
        assert_ne!(name("/mnt/data"), name("/mnt-data"));
        assert!(name(&format!("/mnt/{}", "é".repeat(500))).len() < 60);
    }
}
