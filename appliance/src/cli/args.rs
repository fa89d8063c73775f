//! Every flag and argument, with its help text.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::config::{Consistency, PassthroughMode, Transport, units};

const AFTER_HELP: &str = "Sizes are written 300GiB, 20GB or 512MiB, times 250ms, 30s, 5m or 1h.
Exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 no daemon answers.";

/// Mounts object stores as local files and keeps what is read on this host's NVMe.
#[derive(Debug, Parser)]
#[command(name = "forebay", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) log: LogArgs,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Logging, for every command.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Log level or directives: error, warn, info, debug, trace, or such as forebay=debug,info
    /// [default: RUST_LOG, else info for daemons and warn for other commands]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Logging")]
    pub(super) log_level: Option<String>,
    /// Form of the log on stderr
    #[arg(long, global = true, value_name = "FORM", default_value = "text", help_heading = "Logging")]
    pub(super) log_format: LogFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Mount one store and serve it until it is unmounted
    #[command(after_help = AFTER_HELP)]
    Mount(Box<MountArgs>),
    /// Serve the mounts of a configuration file
    Run(RunArgs),
    /// Show what the daemons of this host do
    Status(StatusArgs),
    /// Bring files into the cache before they are read
    Warm(WarmArgs),
    /// Ask the stores again what is at and below a path
    Sync(PathArgs),
    /// Wait until everything at and below a path is in its store
    Flush(FlushArgs),
    /// Unmount
    Umount(UmountArgs),
    /// Check this host and tell what to fix
    Doctor(DoctorArgs),
}

#[derive(Debug, Args)]
pub(super) struct MountArgs {
    /// The store: s3://BUCKET[/PREFIX] or file:///DIRECTORY
    pub(super) url: String,
    /// Directory to mount on; must exist
    pub(super) mountpoint: PathBuf,
    /// When names and attributes are asked for again: immutable, ttl=TIME (such as ttl=30s) or strict
    #[arg(long, value_name = "WHEN", default_value_t = Consistency::DEFAULT, help_heading = "Mount")]
    pub(super) consistency: Consistency,
    /// How the kernel's requests travel: auto, uring (FUSE over io_uring, Linux 6.14) or dev (/dev/fuse)
    #[arg(long, value_name = "HOW", default_value_t = Transport::DEFAULT, help_heading = "Mount")]
    pub(super) transport: Transport,
    /// Let files be made and changed; what is written waits in the cache directory for its store
    #[arg(long, help_heading = "Mount")]
    pub(super) read_write: bool,
    /// Let users other than this one use the mount
    #[arg(long, help_heading = "Mount")]
    pub(super) allow_other: bool,
    /// Threads that answer the kernel [default: CPUs, 2 to 8]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=256), help_heading = "Mount")]
    pub(super) threads: Option<u32>,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) cache: CacheArgs,
    #[command(flatten)]
    pub(super) writeback: WritebackArgs,
    /// Socket that `forebay status` and kin use [default: named after the mountpoint, in /run/forebay]
    #[arg(long, value_name = "PATH")]
    pub(super) control_socket: Option<PathBuf>,
    /// Return when the mount is ready and go on without a terminal; the log goes to syslog
    #[arg(long)]
    pub(super) background: bool,
    /// The second process of --background.
    #[arg(long, hide = true, conflicts_with = "background")]
    pub(super) background_child: bool,
}

/// How to reach the store. Keys come from the environment, a profile, a role or a file; never from a flag.
#[derive(Debug, Args)]
#[command(next_help_heading = "Store")]
pub(super) struct StoreArgs {
    /// Where an S3 store answers: http://HOST:PORT or https://HOST [default: AWS]
    #[arg(long, value_name = "URL")]
    pub(super) endpoint: Option<String>,
    /// Region that requests are signed for [default: AWS_REGION, the profile's, us-east-1]
    #[arg(long, value_name = "NAME")]
    pub(super) region: Option<String>,
    /// Profile of ~/.aws/credentials, or of --credentials-file
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// File in the format of ~/.aws/credentials, mode 0600
    #[arg(long, value_name = "FILE")]
    pub(super) credentials_file: Option<PathBuf>,
    /// Send unsigned requests, for public buckets
    #[arg(long)]
    pub(super) anonymous: bool,
    /// http://host/bucket/key in place of http://bucket.host/key [default: true with --endpoint]
    #[arg(long, value_name = "true|false", action = ArgAction::Set)]
    pub(super) path_style: Option<bool>,
    /// PEM file of the authorities that may sign the certificate of an https endpoint [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Cache and memory")]
pub(super) struct CacheArgs {
    /// Directory of the cache, on a local file system [default: no cache]
    #[arg(long, value_name = "DIR")]
    pub(super) cache_dir: Option<PathBuf>,
    /// Block device to use as the cache; what is on it is lost
    #[arg(long, value_name = "DEVICE")]
    pub(super) cache_device: Option<PathBuf>,
    /// Size of the cache, at least 256MiB [default: 20GiB in a directory, all of a device]
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub(super) cache_size: Option<u64>,
    /// Let the kernel read large complete files itself: auto or off [default: auto]
    #[arg(long, value_name = "auto|off")]
    pub(super) passthrough: Option<PassthroughMode>,
    /// Least size of a file that is kept as a file of its own in the cache directory [default: 8MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub(super) large_file_min: Option<u64>,
    /// Part of --cache-size for such files [default: half, none on a device]
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub(super) large_files_size: Option<u64>,
    /// Ceiling of the daemon's memory, at least 128MiB [default: 512MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub(super) memory: Option<u64>,
}

/// How written data waits for its store.
#[derive(Debug, Args)]
#[command(next_help_heading = "Writes")]
pub(super) struct WritebackArgs {
    /// Directory in which written data waits for its store [default: staging in the cache directory]
    #[arg(long, value_name = "DIR", requires = "read_write")]
    pub(super) staging_dir: Option<PathBuf>,
    /// Most data that the store does not have yet, at least 16MiB [default: 50GiB]
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, requires = "read_write")]
    pub(super) dirty_limit: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Configuration file; docs/CONFIGURATION.md lists its keys
    #[arg(long, value_name = "FILE", default_value = "/etc/forebay/forebay.toml")]
    pub(super) config: PathBuf,
}

/// Which daemon to ask.
#[derive(Debug, Args)]
pub(super) struct ControlArgs {
    /// Ask the daemon behind this socket [default: the one that has the path]
    #[arg(long, value_name = "PATH")]
    pub(super) control_socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Only the daemon that has this path
    pub(super) path: Option<PathBuf>,
    /// Print JSON: {"daemons": [..]}
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) control: ControlArgs,
}

#[derive(Debug, Args)]
pub(super) struct WarmArgs {
    /// Files, directories or patterns inside mounts; *, ?, [..], {..} and ** are matched by the daemon
    #[arg(required_unless_present = "manifest")]
    pub(super) paths: Vec<PathBuf>,
    /// File with one path or pattern a line; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(super) manifest: Option<PathBuf>,
    /// Show progress and return when everything is cached; exit 1 when something failed
    #[arg(long)]
    pub(super) wait: bool,
    #[command(flatten)]
    pub(super) control: ControlArgs,
}

#[derive(Debug, Args)]
pub(super) struct PathArgs {
    /// A path inside a mount
    pub(super) path: PathBuf,
    #[command(flatten)]
    pub(super) control: ControlArgs,
}

#[derive(Debug, Args)]
pub(super) struct FlushArgs {
    /// A path inside a read-write mount
    pub(super) path: PathBuf,
    /// Give up after this time; without it, wait as long as the store can be hoped for
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    pub(super) timeout: Option<std::time::Duration>,
    #[command(flatten)]
    pub(super) control: ControlArgs,
}

#[derive(Debug, Args)]
pub(super) struct UmountArgs {
    /// The mountpoint
    pub(super) mountpoint: PathBuf,
    /// Detach now, and let what is open be closed later
    #[arg(long)]
    pub(super) lazy: bool,
    #[command(flatten)]
    pub(super) control: ControlArgs,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Also check the cache and the stores of this configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print JSON: {"findings": [..]}
    #[arg(long)]
    pub(super) json: bool,
}
