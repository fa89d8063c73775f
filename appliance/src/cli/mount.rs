//! `forebay mount`: from flags to a [`Config`] of one mount, through the same checks as a file.

use std::path::{Path, PathBuf};

use super::args::{CacheArgs, MountArgs, StoreArgs, WritebackArgs};
use super::error::CliError;
use crate::config::given::{
    Given, GivenCache, GivenConfig, GivenCredentials, GivenMount, GivenStore, GivenWriteback,
};
use crate::config::{self, Config, ConfigError, Place};

/// The checked configuration of the mount that the flags describe.
pub(super) fn config(args: Box<MountArgs>) -> Result<Config, CliError> {
    let mountpoint = real_path(&args.mountpoint)?;
    let control_socket = match &args.control_socket {
        Some(path) => absolute(path)?,
        None => config::mount_socket(&mountpoint),
    };
    let given = GivenConfig {
        memory: args.cache.memory.map(|bytes| Given::flag("--memory", bytes)),
        control_socket: Some(Given::flag("--control-socket", control_socket)),
        mounts: vec![given_mount(&args, mountpoint)?],
        cache: given_cache(args.cache)?,
        store: given_store(args.store)?,
        writeback: given_writeback(args.writeback)?,
        io_threads: None,
    };
    Ok(given.resolve()?)
}

fn given_mount(args: &MountArgs, mountpoint: PathBuf) -> Result<GivenMount, CliError> {
    let place = Place::Flag("URL");
    let url = args
        .url
        .parse()
        .map_err(|source: ufs::Error| ConfigError::Value { place: place.clone(), source: source.into() })?;
    Ok(GivenMount {
        place,
        path: Given::flag("MOUNTPOINT", mountpoint),
        url: Some(Given::flag("URL", url)),
        trees: Vec::new(),
        store: GivenStore::default(),
        consistency: Some(Given::flag("--consistency", args.consistency)),
        transport: Some(Given::flag("--transport", args.transport)),
        read_write: Some(Given::flag("--read-write", args.read_write)),
        allow_other: Some(Given::flag("--allow-other", args.allow_other)),
        threads: args.threads.map(|count| Given::flag("--threads", count)),
        uid: None,
        gid: None,
        file_mode: None,
        dir_mode: None,
    })
}

fn given_store(args: StoreArgs) -> Result<GivenStore, CliError> {
    let file = args.credentials_file.as_deref().map(absolute).transpose()?;
    let ca_file = args.ca_file.as_deref().map(absolute).transpose()?;
    Ok(GivenStore {
        endpoint: args.endpoint.map(|url| Given::flag("--endpoint", url)),
        region: args.region.map(|name| Given::flag("--region", name)),
        credentials: GivenCredentials {
            profile: args.profile.map(|name| Given::flag("--profile", name)),
            file: file.map(|path| Given::flag("--credentials-file", path)),
            anonymous: args.anonymous.then(|| Given::flag("--anonymous", true)),
        },
        path_style: args.path_style.map(|style| Given::flag("--path-style", style)),
        ca_file: ca_file.map(|path| Given::flag("--ca-file", path)),
        ..GivenStore::default()
    })
}

fn given_cache(args: CacheArgs) -> Result<GivenCache, CliError> {
    let dir = args.cache_dir.as_deref().map(absolute).transpose()?;
    let device = args.cache_device.as_deref().map(absolute).transpose()?;
    Ok(GivenCache {
        section: None,
        dir: dir.map(|path| Given::flag("--cache-dir", path)),
        device: device.map(|path| Given::flag("--cache-device", path)),
        size: args.cache_size.map(|bytes| Given::flag("--cache-size", bytes)),
        passthrough: args.passthrough.map(|mode| Given::flag("--passthrough", mode)),
        large_file_min: args.large_file_min.map(|bytes| Given::flag("--large-file-min", bytes)),
        large_files_size: args.large_files_size.map(|bytes| Given::flag("--large-files-size", bytes)),
        scrub_rate: None,
    })
}

fn given_writeback(args: WritebackArgs) -> Result<GivenWriteback, CliError> {
    let dir = args.staging_dir.as_deref().map(absolute).transpose()?;
    Ok(GivenWriteback {
        dir: dir.map(|path| Given::flag("--staging-dir", path)),
        dirty_limit: args.dirty_limit.map(|bytes| Given::flag("--dirty-limit", bytes)),
        ..GivenWriteback::default()
    })
}

/// The path from `/`, without asking the file system: it may lie in a mount that hangs.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|source| CliError::Path { path: path.to_owned(), source })
}

/// The path without symbolic links, as the kernel's mount table shows it; as it is written where it cannot be
/// followed, which the mount itself then tells in its own words.
fn real_path(path: &Path) -> Result<PathBuf, CliError> {
    let absolute = absolute(path)?;
    Ok(absolute.canonicalize().unwrap_or(absolute))
}
