//! `[writeback]`: where written data waits for its store, and how much of it.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::{ConfigError, Place};
use super::given::{Given, GivenWriteback};
use super::resolve::{at_least, value_or};
use super::{CacheConfig, CacheLocation};
use crate::writeback::{Rule, Settings};

/// Default of `dirty_limit`.
pub const DIRTY_BYTES_DEFAULT: u64 = 50 << 30;
/// Least `dirty_limit`: below it writers would be slowed down by their first writes.
pub const DIRTY_BYTES_MIN: u64 = 16 << 20;
/// Default of `files_max`.
pub const FILES_DEFAULT: u32 = 1_000_000;
/// Default of `tree_depth`.
pub const TREE_DEPTH_DEFAULT: u32 = 1;
/// Default of `rename_max`.
pub const RENAME_DEFAULT: u32 = 10_000;
/// S3 takes no smaller part but the last: "Amazon S3 multipart upload limits".
const PART_BYTES_MIN: u64 = 5 << 20;
/// The staging directory inside a cache directory.
const STAGING_DIRECTORY: &str = "staging";

/// What to do when written data has no place.
const NO_DIRECTORY: &str =
    "written data needs a directory to wait in: set writeback.dir or cache.dir (--staging-dir, --cache-dir)";

/// How mounts that are read-write keep what their stores do not have yet.
#[derive(Clone, Debug)]
pub struct WritebackConfig {
    /// Holds a directory for each mount; by absolute path.
    pub directory: PathBuf,
    /// Bytes of one mount that its stores do not have; at least [`DIRTY_BYTES_MIN`].
    pub dirty_limit_bytes: u64,
    /// Files, directories and links of one mount that are staged at once.
    pub files_max: u32,
    /// Directories at the head of a path that make a tree, within which stores see changes in their order.
    pub tree_depth: u32,
    /// Most names below a directory of a store that a rename of it moves.
    pub rename_max: u32,
    /// When changes are sent, and how much at a time.
    pub settings: Arc<Settings>,
}

impl GivenWriteback {
    /// `None` when nothing is written: `writes` is where a mount is said to be read-write. With the section alone,
    /// what earlier read-write mounts left is still found.
    pub(super) fn resolve(
        self,
        cache: Option<&CacheConfig>,
        writes: Option<Place>,
    ) -> Result<Option<WritebackConfig>, ConfigError> {
        let Some(directory) = staging_directory(self.dir.clone(), cache) else {
            return writes.map_or(Ok(None), |place| {
                Err(ConfigError::Missing { place, key: "writeback.dir", fix: NO_DIRECTORY })
            });
        };
        let settings = Arc::new(settings(&self)?);
        Ok(Some(WritebackConfig {
            settings,
            directory,
            dirty_limit_bytes: at_least(self.dirty_limit, DIRTY_BYTES_MIN)?.unwrap_or(DIRTY_BYTES_DEFAULT),
            files_max: value_or(self.files_max, FILES_DEFAULT),
            tree_depth: value_or(self.tree_depth, TREE_DEPTH_DEFAULT),
            rename_max: value_or(self.rename_max, RENAME_DEFAULT),
        }))
    }
}

fn settings(given: &GivenWriteback) -> Result<Settings, ConfigError> {
    let defaults = Settings::default();
    let rules = given.rules.iter().map(|rule| Rule {
        paths: rule.path.value.clone(),
        delay: rule.delay.as_ref().map(|given| given.value),
        period: rule.period.as_ref().map(|given| given.value),
    });
    Ok(Settings {
        delay_large: given.delay_large.as_ref().map_or(defaults.delay_large, |given| given.value),
        delay_small: given.delay_small.as_ref().map_or(defaults.delay_small, |given| given.value),
        small_file_bytes: given.small_file.as_ref().map_or(defaults.small_file_bytes, |given| given.value),
        period: given.period.as_ref().map_or(defaults.period, |given| given.value),
        part_bytes: at_least(given.part_size.clone(), PART_BYTES_MIN)?.unwrap_or(defaults.part_bytes),
        uploads_max: given.uploads_max.as_ref().map_or(defaults.uploads_max, |given| given.value as usize),
        bandwidth_bytes: given.upload_bandwidth.as_ref().map(|given| given.value),
        kept_limit_bytes: given.kept_limit.as_ref().map_or(defaults.kept_limit_bytes, |given| given.value),
        sync_on_close: given.sync_on_close.as_ref().map_or(defaults.sync_on_close, |given| given.value),
        rules: rules.collect(),
    })
}

fn staging_directory(given: Option<Given<PathBuf>>, cache: Option<&CacheConfig>) -> Option<PathBuf> {
    let beside_cache = || match cache.map(|cache| &cache.location) {
        Some(CacheLocation::Directory(directory)) => Some(directory.join(STAGING_DIRECTORY)),
        Some(CacheLocation::BlockDevice(_)) | None => None,
    };
    given.map(|dir| dir.value).or_else(beside_cache)
}
