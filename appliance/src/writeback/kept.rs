//! Kept copies: data in the staging directory that the stores have too. It stays for readers until its space is wanted.
//!
//! Two things want it: `kept_limit`, and a staging file system that runs short, which new writes need more. Copies go
//! that were published longest ago; never one that somebody has open, never what a store lacks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::engine::Engine;

/// Between two looks: at the least, since publications come in thousands, and at the most, since the disk fills by itself.
const LOOK_PERIOD_MIN: Duration = Duration::from_millis(200);
const LOOK_PERIOD_MAX: Duration = Duration::from_secs(5);
/// What stays free on the file system: this part of it, or so much if that is less.
const FREE_SHARE: u64 = 20;
const FREE_BYTES_MAX: u64 = 1 << 30;

/// Keeps the copies within their limits until told to stop.
pub(super) async fn run(engine: Arc<Engine>, directory: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut ended = engine.ended.subscribe();
    loop {
        evict(&engine, &directory).await;
        let published = async {
            tokio::time::sleep(LOOK_PERIOD_MIN).await;
            // The engine, and with it the sender, is held here.
            tokio::time::timeout(LOOK_PERIOD_MAX, ended.changed()).await.is_ok()
        };
        tokio::select! {
            _ = stop.changed() => return,
            _ = published => {}
        }
    }
}

async fn evict(engine: &Engine, directory: &Path) {
    let kept_bytes = engine.staging.stats().kept_bytes;
    let wanted = surplus(kept_bytes, engine.settings.kept_limit_bytes).max(missing(directory));
    if wanted == 0 || kept_bytes == 0 {
        return;
    }
    let staging = engine.staging.clone();
    match tokio::task::spawn_blocking(move || staging.evict_kept(wanted)).await {
        Ok(Ok(freed)) => tracing::debug!(wanted, freed, "kept copies gave way"),
        // A staging directory that has failed is in the status; it is read-only until a restart.
        Ok(Err(error)) => tracing::debug!(%error, "kept copies stay"),
        Err(error) => tracing::error!(%error, "eviction of kept copies ended badly"),
    }
}

/// Bytes above a limit, and a tenth of it, so that the next file does not evict again.
fn surplus(kept_bytes: u64, limit_bytes: u64) -> u64 {
    match kept_bytes > limit_bytes {
        true => kept_bytes - (limit_bytes - limit_bytes / 10),
        false => 0,
    }
}

/// Bytes that the file system lacks of what is to stay free.
fn missing(directory: &Path) -> u64 {
    let Ok(disk) = nix::sys::statvfs::statvfs(directory) else { return 0 };
    let reserve = (disk.blocks() * disk.fragment_size() / FREE_SHARE).min(FREE_BYTES_MAX);
    reserve.saturating_sub(disk.blocks_available() * disk.fragment_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eviction_begins_above_the_limit_and_goes_to_nine_tenths() {
        assert_eq!(surplus(1000, 1000), 0);
        assert_eq!(surplus(1001, 1000), 101);
        assert_eq!(surplus(5, 0), 5, "nothing is kept with a limit of nothing");
    }
}
