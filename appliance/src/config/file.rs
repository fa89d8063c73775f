//! From the text of a configuration file to [`GivenConfig`].

use globset::{GlobBuilder, GlobMatcher};
use toml::de::DeTable;

use super::error::{ConfigError, ValueError};
use super::given::{
    GivenCache, GivenConfig, GivenCredentials, GivenMount, GivenRule, GivenStore, GivenTree, GivenWriteback,
};
use super::keys;
use super::reader::{Source, Table};
use super::units;
use crate::writeback::SyncOnClose;

/// Reads the text of a file; every error names the line.
pub(super) fn parse(source: &Source<'_>) -> Result<GivenConfig, ConfigError> {
    let document = DeTable::parse(source.text).map_err(|error| source.syntax_error(&error))?;
    let top = Table::open(source, &keys::TOP, document.get_ref(), 0)?;
    let cache = top.section("cache", &keys::CACHE)?;
    let stores = top.section("store", &keys::STORE)?;
    let writeback = top.section("writeback", &keys::WRITEBACK)?;
    Ok(GivenConfig {
        memory: top.size("memory")?,
        io_threads: top.count("io_threads", 1, 64)?,
        control_socket: top.path("control_socket")?,
        cache: cache.as_ref().map(read_cache).transpose()?.unwrap_or_default(),
        store: stores.as_ref().map(read_store).transpose()?.unwrap_or_default(),
        writeback: writeback.as_ref().map(read_writeback).transpose()?.unwrap_or_default(),
        mounts: top.sections("mount", &keys::MOUNT)?.iter().map(read_mount).collect::<Result<_, _>>()?,
    })
}

fn read_cache(table: &Table<'_>) -> Result<GivenCache, ConfigError> {
    Ok(GivenCache {
        section: Some(table.place()),
        dir: table.path("dir")?,
        device: table.path("device")?,
        size: table.size("size")?,
        passthrough: table.parsed("passthrough", str::parse)?,
        large_file_min: table.size("large_file_min")?,
        large_files_size: table.size("large_files_size")?,
        scrub_rate: table.size("scrub_rate")?,
    })
}

fn read_writeback(table: &Table<'_>) -> Result<GivenWriteback, ConfigError> {
    Ok(GivenWriteback {
        section: Some(table.place()),
        dir: table.path("dir")?,
        dirty_limit: table.size("dirty_limit")?,
        kept_limit: table.size("kept_limit")?,
        files_max: table.count("files_max", 1000, 100_000_000)?,
        tree_depth: table.count("tree_depth", 0, 16)?,
        rename_max: table.count("rename_max", 0, 10_000_000)?,
        delay_large: table.duration("delay_large")?,
        delay_small: table.duration("delay_small")?,
        small_file: table.size("small_file")?,
        period: table.duration("period")?,
        part_size: table.size("part_size")?,
        uploads_max: table.count("uploads_max", 1, 256)?,
        upload_bandwidth: table.parsed("upload_bandwidth", units::parse_rate)?,
        sync_on_close: table.parsed("sync_on_close", parse_sync_on_close)?,
        rules: table.sections("rule", &keys::RULE)?.iter().map(read_rule).collect::<Result<_, _>>()?,
    })
}

fn read_rule(table: &Table<'_>) -> Result<GivenRule, ConfigError> {
    let fix = "write path = \"logs/**\"";
    Ok(GivenRule {
        path: table.parsed("path", parse_pattern)?.ok_or_else(|| missing(table, "path", fix))?,
        delay: table.duration("delay")?,
        period: table.duration("period")?,
    })
}

fn parse_pattern(text: &str) -> Result<GlobMatcher, ValueError> {
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    let invalid =
        |error: globset::Error| ValueError::Pattern { text: text.to_owned(), reason: error.to_string() };
    Ok(glob.map_err(invalid)?.compile_matcher())
}

fn parse_sync_on_close(text: &str) -> Result<SyncOnClose, ValueError> {
    match text {
        "no" => Ok(SyncOnClose::No),
        "local" => Ok(SyncOnClose::Local),
        "remote" => Ok(SyncOnClose::Remote),
        _ => Err(ValueError::SyncOnClose { text: text.to_owned() }),
    }
}

fn read_store(table: &Table<'_>) -> Result<GivenStore, ConfigError> {
    Ok(GivenStore {
        endpoint: table.text("endpoint")?,
        region: table.text("region")?,
        credentials: GivenCredentials {
            profile: table.text("profile")?,
            file: table.path("credentials_file")?,
            anonymous: table.switch("anonymous")?,
        },
        path_style: table.switch("path_style")?,
        ca_file: table.path("ca_file")?,
        connections_max: table.count("connections_max", 1, 4096)?,
        attempt_timeout: table.duration("attempt_timeout")?,
        total_timeout: table.duration("total_timeout")?,
        stall_timeout: table.duration("stall_timeout")?,
        attempts_max: table.count("attempts_max", 1, 100)?,
        backoff_min: table.duration("backoff_min")?,
        backoff_max: table.duration("backoff_max")?,
    })
}

fn read_mount(table: &Table<'_>) -> Result<GivenMount, ConfigError> {
    let path = table.path("path")?.ok_or_else(|| missing(table, "path", "write path = \"/mnt/NAME\""))?;
    Ok(GivenMount {
        place: table.place(),
        path,
        url: table.parsed("url", str::parse)?,
        trees: table.sections("tree", &keys::TREE)?.iter().map(read_tree).collect::<Result<_, _>>()?,
        store: read_store(table)?,
        consistency: table.parsed("consistency", str::parse)?,
        transport: table.parsed("transport", str::parse)?,
        read_write: table.switch("read_write")?,
        allow_other: table.switch("allow_other")?,
        threads: table.count("threads", 1, 256)?,
        uid: table.count("uid", 0, u32::MAX - 1)?,
        gid: table.count("gid", 0, u32::MAX - 1)?,
        file_mode: table.parsed("file_mode", parse_mode)?,
        dir_mode: table.parsed("dir_mode", parse_mode)?,
    })
}

fn read_tree(table: &Table<'_>) -> Result<GivenTree, ConfigError> {
    let fix = "write url = \"s3://BUCKET/PREFIX\" or \"file:///DIRECTORY\"";
    Ok(GivenTree {
        place: table.place(),
        at: table.parsed("at", str::parse)?,
        url: table.parsed("url", str::parse)?.ok_or_else(|| missing(table, "url", fix))?,
        store: read_store(table)?,
    })
}

fn missing(table: &Table<'_>, key: &'static str, fix: &'static str) -> ConfigError {
    ConfigError::Missing { place: table.place(), key, fix }
}

/// Permission bits in octal, as chmod(1) takes them.
fn parse_mode(text: &str) -> Result<u16, ValueError> {
    let invalid = || ValueError::Mode { text: text.to_owned() };
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = u16::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
    mode.ok_or_else(invalid)
}
