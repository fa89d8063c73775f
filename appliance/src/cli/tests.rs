//! What the command line takes, and what it says when it does not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::args::{Cli, Command};
use super::error::{CliError, usage_line};
use super::mount;
use super::status::Human;
use crate::config::{CacheLocation, Config, Consistency};
use crate::status::{
    BranchStatus, CacheStatus, FeatureStatus, LargeFilesStatus, MemoryStatus, MountStatus, PassthroughStatus,
    ReadStatus, Status, StoreStatus, TransportStatus, WarmStatus,
};
use crate::warm::Progress;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

fn mount_config(line: &str) -> Result<Config, CliError> {
    match parse(line).expect(line).command {
        Command::Mount(args) => mount::config(args),
        other => panic!("not a mount: {other:?}"),
    }
}

#[test]
fn the_description_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn flags_of_mount_become_a_configuration() {
    let config = mount_config(
        "forebay mount s3://bucket/p /nonexistent/data --consistency immutable --endpoint http://127.0.0.1:9000 \
         --region eu-1 --anonymous --path-style false --cache-dir /var/cache/forebay --cache-size 30GiB --memory 1GiB \
         --allow-other --control-socket /tmp/f.sock --threads 3 --log-format json",
    )
    .expect("a good line");
    let cache = config.cache.expect("a cache");
    assert_eq!(cache.location, CacheLocation::Directory("/var/cache/forebay".into()));
    assert_eq!((cache.size_bytes, config.memory_bytes), (30 << 30, 1 << 30));
    assert_eq!(config.control_socket, Path::new("/tmp/f.sock"));
    let [mount] = config.mounts.as_slice() else { panic!("one mount") };
    assert_eq!((mount.mountpoint.as_path(), mount.threads), (Path::new("/nonexistent/data"), 3));
    assert_eq!((mount.consistency, mount.allow_other), (Consistency::Immutable, true));
    let [branch] = mount.tree.as_slice() else { panic!("one store") };
    assert_eq!(branch.location.to_string(), "s3://bucket/p/");
    let s3 = &branch.settings.s3;
    assert_eq!((s3.endpoint.as_deref(), s3.path_style), (Some("http://127.0.0.1:9000"), Some(false)));
    assert_eq!((s3.region.as_deref(), &s3.credentials), (Some("eu-1"), &ufs::s3::Credentials::Anonymous));
}

#[test]
fn mount_without_flags_has_the_defaults_and_a_socket_of_its_own() {
    let config = mount_config("forebay mount file:///srv /nonexistent/a").expect("a good line");
    assert_eq!((config.cache, config.memory_bytes), (None, 512 << 20));
    assert_eq!(config.mounts[0].consistency, Consistency::Ttl(Duration::from_secs(30)));
    let other = mount_config("forebay mount file:///srv /nonexistent/b").expect("a good line");
    assert_ne!(config.control_socket, other.control_socket);
}

#[test]
fn flags_of_writing_become_a_configuration() {
    let line = "forebay mount s3://b /nonexistent/a --read-write --staging-dir /s --dirty-limit 1GiB";
    let config = mount_config(line).expect("a good line");
    let writeback = config.writeback.expect("the mount writes");
    assert_eq!((writeback.directory.as_path(), writeback.dirty_limit_bytes), (Path::new("/s"), 1 << 30));
    assert!(config.mounts[0].read_write);
    assert!(mount_config("forebay mount s3://b /nonexistent/a --read-write").is_err());
}

#[test]
fn wrong_flags_are_one_line_with_the_flag_and_what_is_allowed() {
    let cases = [
        (
            "forebay mount s3://b /m --cache-size 10",
            "invalid value '10' for '--cache-size <SIZE>': \"10\" is no size; a size is a whole number with a unit (B, KiB, \
             MiB, GiB, TiB, PiB, KB, MB, GB, TB, PB), such as 300GiB; see forebay --help",
        ),
        (
            "forebay mount s3://b /m --consistency never",
            "invalid value 'never' for '--consistency <WHEN>': \"never\" is not one of immutable, ttl=TIME (such as \
             ttl=30s), strict; see forebay --help",
        ),
        (
            "forebay mount s3://b",
            "the following required arguments were not provided: <MOUNTPOINT>; see forebay --help",
        ),
        (
            "forebay warm /m --wiat",
            "unexpected argument '--wiat' found; a similar argument exists: '--wait'; see forebay --help",
        ),
        (
            "forebay stats",
            "unrecognized subcommand 'stats'; a similar subcommand exists: 'status'; see forebay --help",
        ),
    ];
    for (line, message) in cases {
        assert_eq!(usage_line(&parse(line).expect_err(line)), message);
    }
}

#[test]
fn wrong_settings_of_mount_name_the_flag() {
    let cases = [
        (
            "forebay mount gs://b /m",
            "URL: gs://b: a store is written s3://bucket/prefix or file:///directory",
        ),
        (
            "forebay mount s3://b /m --cache-dir /c --cache-size 1MiB",
            "--cache-size: 1MiB is too small; at least 256MiB",
        ),
        ("forebay mount s3://b /m --memory 1MiB", "--memory: 1MiB is too small; at least 128MiB"),
        (
            "forebay mount s3://b /m --cache-dir /c --cache-device /dev/x",
            "--cache-device: cannot stand beside --cache-dir; keep the one that the cache lies on",
        ),
        (
            "forebay mount s3://b /m --cache-size 1GiB",
            "--cache-size: dir or device is missing; name the directory or block device of the cache (--cache-dir, \
             --cache-device)",
        ),
        (
            "forebay mount s3://b /m --endpoint host:9000",
            "--endpoint: \"host:9000\" is no endpoint; write http://HOST[:PORT] or https://HOST[:PORT], without credentials",
        ),
    ];
    for (line, message) in cases {
        let error = mount_config(line).map(|_| ()).expect_err(line);
        assert_eq!((error.to_string().as_str(), error.code()), (message, 2));
    }
}

#[test]
fn credentials_on_the_command_line_are_not_repeated() {
    let error = mount_config("forebay mount s3://AK:hush@b /m").map(|_| ()).expect_err("credentials");
    assert!(!format!("{error} {error:?}").contains("hush"));
}

#[test]
fn exit_codes_tell_use_failure_and_absence_apart() {
    let (path, directory) = (PathBuf::from("/m"), PathBuf::from("/run/forebay"));
    assert_eq!(CliError::Usage(String::new()).code(), 2);
    assert_eq!(CliError::Interrupted.code(), 1);
    assert_eq!(CliError::NoDaemonFor { path, directory }.code(), 3);
}

fn example() -> Status {
    let mount = MountStatus {
        mountpoint: "/mnt/data".into(),
        branches: vec![
            BranchStatus { at: "train".into(), url: "s3://frames/train/".into() },
            BranchStatus { at: "labels".into(), url: "file:///srv/labels".into() },
        ],
        consistency: "ttl=30s".into(),
        requests: 5000,
        known_inodes: 1200,
        inode_memory_bytes: 160 << 10,
        hidden_names: 2,
        reads: ReadStatus {
            requests: 1000,
            bytes: 1 << 30,
            cache_hits: 900,
            memory_hits: 25,
            misses: 75,
            errors: 1,
        },
        fuse: vec![
            FeatureStatus {
                name: "PARALLEL_DIROPS".into(),
                taken: true,
                reason: "lookups in parallel".into(),
            },
            FeatureStatus { name: "WRITEBACK_CACHE".into(), taken: false, reason: "read only".into() },
        ],
        transport: TransportStatus {
            used: "dev".into(),
            wanted: "auto".into(),
            fallbacks: 1,
            reason: "this kernel has no FUSE over io_uring".into(),
            ring_bytes_max: 0,
        },
        passthrough: PassthroughStatus { active: true, opens: 30, cached_opens: 4, failures: 0 },
        ..MountStatus::default()
    };
    let cache = CacheStatus {
        location: "/var/cache/forebay".into(),
        capacity_bytes: 20 << 30,
        used_bytes: 5 << 30,
        blocks: 40_960,
        inserted_bytes: 6 << 30,
        evicted_bytes: 1 << 30,
        checksum_mismatches: 3,
        memory_bytes: 4 << 20,
        passthrough: "on".into(),
        large_files: Some(LargeFilesStatus {
            capacity_bytes: 10 << 30,
            used_bytes: 2 << 30,
            files: 12,
            complete_files: 9,
            promoted: 11,
            demoted: 2,
            checksum_mismatches: 1,
            device_errors: 1,
            scrubbed_bytes: 6 << 30,
            scrub_rounds: 3,
            scrub_files_done: 4,
            ..LargeFilesStatus::default()
        }),
        ..CacheStatus::default()
    };
    let progress = Progress {
        objects_total: 400,
        objects_done: 120,
        bytes_total: 4 << 30,
        bytes_done: 1 << 30,
        failed_count: 2,
        ..Progress::default()
    };
    Status {
        version: "0.1.0".into(),
        pid: 42,
        uptime_s: 11_520,
        mounts: vec![mount],
        cache: Some(cache),
        memory: MemoryStatus {
            limit_bytes: 512 << 20,
            fetch_bytes: 32 << 20,
            fetch_limit_bytes: 256 << 20,
            resident_bytes: 210 << 20,
        },
        stores: vec![StoreStatus {
            url: "s3://frames/train/".into(),
            reads: 75,
            read_bytes: 75 << 20,
            errors: 1,
            last_error: "s3://frames/train/: the store throttles requests".into(),
        }],
        warm_jobs: vec![WarmStatus { id: 7, progress }],
        left_over: Vec::new(),
    }
}

#[test]
fn the_status_for_people_looks_like_this() {
    let expected = "\
forebay 0.1.0, pid 42, up 3h 12m
memory   210MiB resident of 512MiB; fetches 32MiB of 256MiB
cache    /var/cache/forebay: 5GiB of 20GiB (25.0%) in 40960 blocks
         inserted 6GiB, evicted 1GiB, index 4MiB
         3 checksum mismatches, 0 device errors
         large files: 2GiB of 10GiB (20.0%), 9 of 12 complete, passed through
         scrubbed 6GiB, 3 rounds, 4 of 9 files; 11 promoted, 2 demoted
         1 checksum mismatches, 1 device errors in large files
mount    /mnt/data (ttl=30s)
         /train = s3://frames/train/
         /labels = file:///srv/labels
         reads 1000, 1GiB: 90.0% cache, 2.5% memory, 7.5% stores; 1 errors
         names 1200 known (160KiB), 2 hidden; requests 5000, 0 dropped
         transport dev: this kernel has no FUSE over io_uring
         large files opened: 30 passed through, 4 not, 0 failed
         fuse PARALLEL_DIROPS
store    s3://frames/train/: 75 reads, 75MiB, 1 errors
         last error: s3://frames/train/: the store throttles requests
warm     7: 120 of 400 objects, 1GiB of 4GiB, still listing, 2 failed
";
    assert_eq!(Human(&example()).to_string(), expected);
}

#[test]
fn a_daemon_without_cache_or_reads_says_so() {
    let text = Human(&Status { mounts: vec![MountStatus::default()], ..Status::default() }).to_string();
    assert!(text.contains("cache    none") && text.contains("- cache"), "{text}");
}

#[test]
fn a_cache_without_passthrough_says_why() {
    let mut status = example();
    let cache = status.cache.as_mut().expect("the example has one");
    cache.large_files = None;
    cache.passthrough = "the cache is a block device: everything lies in slabs".into();
    let text = Human(&status).to_string();
    assert!(text.contains("         passthrough the cache is a block device"), "{text}");
}

#[test]
fn the_status_survives_json() {
    let text = serde_json::to_string(&example()).expect("to JSON");
    let back: Status = serde_json::from_str(&text).expect("from JSON");
    assert_eq!(Human(&back).to_string(), Human(&example()).to_string());
}

/// docs/CONFIGURATION.md names every flag of `forebay mount` and of logging.
#[test]
fn the_documentation_lists_every_flag_of_mount() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIGURATION.md");
    let text = std::fs::read_to_string(&path).expect("docs/CONFIGURATION.md");
    let command = Cli::command();
    let mount = command.find_subcommand("mount").expect("mount");
    for flag in mount.get_arguments().chain(command.get_arguments()).filter(|flag| !flag.is_hide_set()) {
        if let Some(name) = flag.get_long().filter(|name| !["help", "version"].contains(name)) {
            assert!(text.contains(&format!("`--{name}")), "--{name} is not in docs/CONFIGURATION.md");
        }
    }
}
