//! The generated datasets: what lies in the bucket, known to server and readers alike without being sent.

use std::path::PathBuf;

use clap::Args;
use s3_server::{Frames, Server, SyntheticObject};

/// The bucket of all scenarios.
pub(crate) const BUCKET: &str = "demo";
/// Keys of a directory of the listing.
pub(crate) const KEYS_PER_DIRECTORY: u64 = 1000;

/// The objects of a bucket. The same numbers make the same objects in every process.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Dataset {
    /// Directories of frames
    #[arg(long, default_value_t = 0)]
    pub(crate) videos: u32,
    /// Frames in each directory, of log-normal size
    #[arg(long, default_value_t = 0)]
    pub(crate) frames_per_video: u32,
    /// Files of 100 KB
    #[arg(long, default_value_t = 0)]
    pub(crate) small_files: u32,
    /// Large files
    #[arg(long, default_value_t = 0)]
    pub(crate) large_files: u32,
    /// Size of each large file in bytes
    #[arg(long, default_value_t = 0)]
    pub(crate) large_bytes: u64,
    /// Tiny files for listings, 1000 a directory
    #[arg(long, default_value_t = 0)]
    pub(crate) keys: u64,
}

/// A file and what it must hold.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Below the mount point; also the key.
    pub(crate) path: PathBuf,
    pub(crate) object: SyntheticObject,
}

const SMALL_FILE_BYTES: u64 = 100_000;
const SEED: u64 = 20_240_601;

impl Dataset {
    /// All but the tiny files.
    pub(crate) fn files(&self) -> Vec<File> {
        let frames = Frames { seed: SEED, videos: self.videos, frames_per_video: self.frames_per_video };
        let frames = frames.iter().map(|frame| File { path: frame.key.into(), object: frame.object });
        let small = (0..self.small_files).map(|index| File {
            path: format!("small/{:03}/{index:06}.jpg", index / 500).into(),
            object: SyntheticObject {
                seed: SEED ^ (1 << 40) ^ u64::from(index),
                size_bytes: SMALL_FILE_BYTES,
            },
        });
        frames.chain(small).chain((0..self.large_files).map(|index| self.large_file(index))).collect()
    }

    pub(crate) fn large_file(&self, index: u32) -> File {
        let object =
            SyntheticObject { seed: SEED ^ (2 << 40) ^ u64::from(index), size_bytes: self.large_bytes };
        File { path: format!("large/{index:03}.bin").into(), object }
    }

    /// Puts everything into the bucket.
    pub(crate) fn fill(&self, server: &Server) {
        server.create_bucket(BUCKET);
        for file in self.files() {
            server.put_synthetic(BUCKET, &file.path.to_string_lossy(), file.object);
        }
        for index in 0..self.keys {
            let key = format!("keys/{:04}/key-{index:08}.jpg", index / KEYS_PER_DIRECTORY);
            server.put_synthetic(BUCKET, &key, SyntheticObject { seed: index, size_bytes: 100 });
        }
    }
}

/// Sum of the sizes.
pub(crate) fn total_bytes(files: &[File]) -> u64 {
    files.iter().map(|file| file.object.size_bytes).sum()
}
