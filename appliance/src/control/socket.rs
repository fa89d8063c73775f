//! The socket file: created closed to others, never over a living daemon, removed by the one who made it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

const SOCKET_MODE: u32 = 0o660;
const DIRECTORY_MODE: u32 = 0o755;

/// Why the control socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon answers there.
    #[error(
        "{path:?}: another forebay daemon answers on this control socket; stop it or set --control-socket"
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else lies there.
    #[error("{path:?} is no socket; remove it or set --control-socket")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The directory belongs to somebody who could swap the socket.
    #[error("{directory:?} belongs to user {owner}; remove it or set --control-socket")]
    ForeignDirectory {
        /// The directory.
        directory: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The kernel refused.
    #[error(
        "{path:?}: cannot create the control socket ({source}); check the directory or set --control-socket"
    )]
    Io {
        /// The socket.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// A bound socket; the file goes away with it.
#[derive(Debug)]
pub(super) struct BoundSocket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The file of a bound socket. Removed on drop, if it is still the same file.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Binds `path`, making its directory if need be and replacing what a dead daemon left there.
///
/// The socket is bound under a name of its own, closed to others, and then renamed: at no moment does the final name
/// lead to a socket that is open to all. Must run inside a tokio runtime.
pub(super) fn bind(path: &Path) -> Result<BoundSocket, SocketError> {
    let io_error = |source| SocketError::Io { path: path.to_owned(), source };
    let directory = path.parent().unwrap_or(Path::new("/"));
    prepare_directory(directory, path)?;
    refuse_occupied(path)?;
    // As short as can be: sun_path ends at 108 bytes (unix(7)).
    let fresh = directory.join(format!(".{:x}", std::process::id()));
    remove_if_there(&fresh).map_err(io_error)?;
    let listener = UnixListener::bind(&fresh).map_err(io_error)?;
    let placed = fs::set_permissions(&fresh, Permissions::from_mode(SOCKET_MODE))
        .and_then(|()| fs::rename(&fresh, path))
        .and_then(|()| fs::symlink_metadata(path));
    match placed {
        Ok(metadata) => {
            let file = SocketFile { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) };
            Ok(BoundSocket { listener, file })
        }
        Err(source) => {
            remove_if_there(&fresh).map_err(io_error)?;
            Err(io_error(source))
        }
    }
}

fn prepare_directory(directory: &Path, path: &Path) -> Result<(), SocketError> {
    let io_error = |source| SocketError::Io { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(io_error)?;
    let metadata = fs::metadata(directory).map_err(io_error)?;
    let (owner, me) = (metadata.uid(), nix::unistd::geteuid().as_raw());
    if owner != me && owner != 0 {
        return Err(SocketError::ForeignDirectory { directory: directory.to_owned(), owner });
    }
    Ok(())
}

/// Lets pass what is free or what a dead daemon left.
fn refuse_occupied(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(SocketError::Io { path: path.to_owned(), source }),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(SocketError::NotASocket { path: path.to_owned() })
        }
        Ok(_) if is_stale(path) => Ok(()),
        Ok(_) => Err(SocketError::InUse { path: path.to_owned() }),
    }
}

/// Whether nobody listens there: the kernel refuses at once (connect(2), ECONNREFUSED).
pub(super) fn is_stale(path: &Path) -> bool {
    matches!(UnixStream::connect(path), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl SocketFile {
    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours()
            && let Err(error) = remove_if_there(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the control socket could not be removed");
        }
    }
}
