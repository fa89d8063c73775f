//! Telling systemd how far the daemon is (sd_notify(3), `Type=notify`).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Everything is mounted and the control socket answers.
pub(super) const READY: &str = "READY=1";
/// The daemon unmounts.
pub(super) const STOPPING: &str = "STOPPING=1";

/// Sends a state to `$NOTIFY_SOCKET`; does nothing where no service manager listens.
pub(super) fn notify(state: &str) {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&address, state) {
        tracing::warn!(%error, state, "the service manager could not be told");
    }
}

/// An address that begins with `@` is in the abstract name space.
fn send(address: &OsStr, state: &str) -> io::Result<()> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_arrive_by_path_and_by_abstract_name() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("notify");
        let name = format!("@forebay-notify-{}-{:p}", std::process::id(), &dir);
        let abstract_address = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).expect("an address");
        let sockets = [
            (UnixDatagram::bind(&path).expect("bind"), path.as_os_str()),
            (UnixDatagram::bind_addr(&abstract_address).expect("bind"), OsStr::new(&name)),
        ];
        for (socket, address) in sockets {
            send(address, READY).expect("sent");
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).expect("received");
            assert_eq!(&buffer[..length], b"READY=1");
        }
    }
}
