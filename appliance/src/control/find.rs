//! Looks through a directory of control sockets for the daemons that live there.

use std::path::{Path, PathBuf};

use futures::StreamExt;

use super::client::{Client, ClientError};
use super::socket;
use crate::config::SOCKET_SUFFIX;
use crate::status::Status;

/// Sockets of one directory that are looked at.
const SOCKETS_MAX: usize = 1024;
/// Daemons that are asked at once.
const ASKED_AT_ONCE: usize = 16;

/// A daemon that answered.
#[derive(Debug)]
pub struct Found {
    /// How to talk to it.
    pub client: Client,
    /// What it said.
    pub status: Status,
}

/// What a directory of sockets holds.
#[derive(Debug, Default)]
pub struct Daemons {
    /// Daemons that answered, in the order of their sockets' names.
    pub found: Vec<Found>,
    /// Daemons that are there and gave no usable answer.
    pub failed: Vec<ClientError>,
}

/// Asks every daemon in a directory, and removes the sockets of dead ones. A directory that is not there has none.
pub async fn daemons(directory: &Path) -> Daemons {
    let asked = futures::stream::iter(living_sockets(directory)).map(|socket| async {
        let client = Client::new(socket);
        match client.status().await {
            Ok(status) => Ok(Found { client, status }),
            Err(error) => Err(error),
        }
    });
    let mut daemons = Daemons::default();
    let mut answers = asked.buffered(ASKED_AT_ONCE);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(found) => daemons.found.push(found),
            Err(error) => daemons.failed.push(error),
        }
    }
    daemons
}

impl Daemons {
    /// The daemon whose mount holds `path`, with the mountpoint: the innermost one where mounts lie inside each other.
    pub fn holding(&self, path: &Path) -> Option<(&Found, &Path)> {
        let mounts = self.found.iter().flat_map(|found| {
            found.status.mounts.iter().map(move |mount| (found, mount.mountpoint.as_path()))
        });
        mounts
            .filter(|(_, mountpoint)| path.starts_with(mountpoint))
            .max_by_key(|(_, mountpoint)| mountpoint.components().count())
    }
}

fn living_sockets(directory: &Path) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::debug!(directory = %directory.display(), %error, "no control sockets");
            return Vec::new();
        }
    };
    let mut sockets: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(SOCKET_SUFFIX))
        .take(SOCKETS_MAX)
        .collect();
    sockets.sort();
    sockets.retain(|path| !removed_as_stale(path));
    sockets
}

fn removed_as_stale(path: &Path) -> bool {
    if !socket::is_stale(path) {
        return false;
    }
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(socket = %path.display(), %error, "a dead daemon's socket stays");
    }
    true
}
