//! Whole files: what they mean, and the exact message for what is wrong with them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ufs::Location;
use ufs::s3::Credentials;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("forebay.toml"), text)
}

/// The message for a text that must be refused.
fn refused(text: &str) -> String {
    let message = parse(text).map(|_| ()).expect_err(text).to_string();
    assert!(!message.contains('\n'), "more than one line: {message}");
    message
}

const MOUNT: &str = "[[mount]]\npath = \"/mnt/data\"\nurl = \"s3://data\"\n";

#[test]
fn the_shortest_file_gets_the_defaults() {
    let config = parse(MOUNT).expect("a mount is enough");
    assert_eq!(config.memory_bytes, 512 << 20);
    assert_eq!(config.cache, None);
    assert_eq!(config.control_socket.file_name(), Some("control.sock".as_ref()));
    assert!((2..=4).contains(&config.io_threads));
    let [mount] = config.mounts.as_slice() else { panic!("one mount") };
    assert_eq!(mount.mountpoint, Path::new("/mnt/data"));
    assert_eq!(mount.consistency, Consistency::Ttl(Duration::from_secs(30)));
    assert_eq!((mount.file_mode, mount.dir_mode, mount.allow_other), (0o444, 0o555, false));
    assert!((2..=8).contains(&mount.threads));
    let [branch] = mount.tree.as_slice() else { panic!("one branch") };
    assert!(branch.at.is_root());
    assert_eq!(branch.location, Location::S3 { bucket: "data".into(), prefix: String::new() });
    assert_eq!(branch.settings.s3.credentials, Credentials::Chain);
}

#[test]
fn a_full_file_is_read_and_inner_settings_win() {
    let config = parse(
        r#"
        memory = "1GiB"
        io_threads = 3
        control_socket = "/tmp/x.sock"
        [cache]
        dir = "/var/cache/forebay"
        size = "300GiB"
        [store]
        endpoint = "http://10.0.0.1:9000"
        connections_max = 64
        attempt_timeout = "3s"
        profile = "cluster"
        [[mount]]
        path = "/mnt/data/"
        consistency = "immutable"
        allow_other = true
        threads = 5
        uid = 1000
        gid = 100
        file_mode = "0640"
        dir_mode = "750"
        region = "eu-1"
        [[mount.tree]]
        at = "train/a"
        url = "s3://bucket/prefix"
        anonymous = true
        path_style = false
        attempts_max = 2
        [[mount.tree]]
        at = "val"
        url = "file:///srv/nfs"
        [[mount]]
        path = "/mnt/other"
        url = "s3://other"
        endpoint = "https://s3.example"
        "#,
    )
    .expect("a good file");
    assert_eq!((config.memory_bytes, config.io_threads), (1 << 30, 3));
    assert_eq!(config.control_socket, PathBuf::from("/tmp/x.sock"));
    let dir = CacheLocation::Directory("/var/cache/forebay".into());
    let large =
        Some(LargeFiles { budget_bytes: 150 << 30, object_bytes_min: 8 << 20, scrub_bytes_per_s: 32 << 20 });
    assert_eq!(config.cache, Some(CacheConfig { location: dir, size_bytes: 300 << 30, large }));
    let [data, other] = config.mounts.as_slice() else { panic!("two mounts") };
    assert_eq!(data.mountpoint.as_os_str(), "/mnt/data");
    assert_eq!((data.uid, data.gid, data.file_mode, data.dir_mode), (1000, 100, 0o640, 0o750));
    let [train, val] = data.tree.as_slice() else { panic!("two trees") };
    assert_eq!((train.at.as_str(), val.at.as_str()), ("train/a", "val"));
    assert_eq!(train.settings.s3.credentials, Credentials::Anonymous);
    assert_eq!(val.settings.s3.credentials, Credentials::Profile("cluster".into()));
    assert_eq!(train.settings.s3.path_style, Some(false));
    assert_eq!(train.settings.s3.region.as_deref(), Some("eu-1"));
    assert_eq!((train.settings.calls.attempts_max, val.settings.calls.attempts_max), (2, 8));
    assert_eq!(train.settings.calls.attempt_timeout, Duration::from_secs(3));
    assert_eq!(train.settings.s3.connections_max, 64);
    let other = &other.tree[0].settings.s3;
    assert_eq!((other.endpoint.as_deref(), &other.region), (Some("https://s3.example"), &None));
}

#[test]
fn unknown_keys_are_named_with_line_suggestion_and_choices() {
    let cases = [
        (
            format!("{MOUNT}[cache]\ndir = \"/c\"\nsise = \"1GiB\"\n"),
            "forebay.toml:6: unknown key \"sise\" in [cache]; did you mean \"size\"? allowed: dir, device, size, \
             passthrough, large_file_min, large_files_size, scrub_rate",
        ),
        (
            "memmory = \"1GiB\"\n".to_owned(),
            "forebay.toml:1: unknown key \"memmory\" in the top level; did you mean \"memory\"? \
             allowed: memory, io_threads, control_socket, cache, store, writeback, mount",
        ),
        (
            "[cache]\nbandwidth = 1\n".to_owned(),
            "forebay.toml:2: unknown key \"bandwidth\" in [cache]; allowed: dir, device, size, passthrough, \
             large_file_min, large_files_size, scrub_rate",
        ),
        (
            format!("{MOUNT}[[mount.tree]]\nurl = \"s3://x\"\nat = \"t\"\nsecret_key = \"s\"\n"),
            "forebay.toml:7: unknown key \"secret_key\" in [[mount.tree]]; allowed: at, url, endpoint, region, profile, \
             credentials_file, anonymous, path_style, ca_file, connections_max, attempt_timeout, total_timeout, \
             stall_timeout, attempts_max, backoff_min, backoff_max",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refused(&text), message);
    }
}

#[test]
fn wrong_values_are_named_with_line_key_and_what_is_allowed() {
    let cases = [
        (
            "memory = \"10\"".to_owned(),
            "forebay.toml:1: memory: \"10\" is no size; a size is a whole number with a unit \
             (B, KiB, MiB, GiB, TiB, PiB, KB, MB, GB, TB, PB), such as 300GiB",
        ),
        ("memory = 10".to_owned(), "forebay.toml:1: memory: is a whole number; it must be text in quotes"),
        (
            format!("memory = \"100MiB\"\n{MOUNT}"),
            "forebay.toml:1: memory: 100MiB is too small; at least 128MiB",
        ),
        (
            format!("{MOUNT}[cache]\ndir = \"/c\"\nsize = \"1MiB\""),
            "forebay.toml:6: cache.size: 1MiB is too small; at least 256MiB",
        ),
        (
            format!("{MOUNT}[cache]\ndir = \"c\""),
            "forebay.toml:5: cache.dir: \"c\" is not absolute; it must begin with /",
        ),
        ("io_threads = 0".to_owned(), "forebay.toml:1: io_threads: 0 is out of range; allowed: 1 to 64"),
        (
            "io_threads = 99999999999".to_owned(),
            "forebay.toml:1: io_threads: 99999999999 is out of range; allowed: 1 to 64",
        ),
        (
            format!("{MOUNT}consistency = \"lazy\""),
            "forebay.toml:4: mount.consistency: \"lazy\" is not one of immutable, ttl=TIME (such as ttl=30s), strict",
        ),
        (
            format!("{MOUNT}allow_other = \"yes\""),
            "forebay.toml:4: mount.allow_other: is text; it must be true or false",
        ),
        (
            format!("{MOUNT}file_mode = \"0999\""),
            "forebay.toml:4: mount.file_mode: \"0999\" is no file mode; write the permission bits in octal, \"0000\" to \"0777\"",
        ),
        (
            format!("[store]\nendpoint = \"minio:9000\"\n{MOUNT}"),
            "forebay.toml:2: store.endpoint: \"minio:9000\" is no endpoint; write http://HOST[:PORT] or \
             https://HOST[:PORT], without credentials",
        ),
        (
            format!("[store]\nstall_timeout = \"0s\"\n{MOUNT}"),
            "forebay.toml:2: store.stall_timeout: must be longer than 0s",
        ),
        (
            format!("[store]\nregion = \"\"\n{MOUNT}"),
            "forebay.toml:2: store.region: is empty; leave the key out to use its default",
        ),
        (
            "[[mount]]\npath = \"/m\"\nurl = \"gs://x\"".to_owned(),
            "forebay.toml:3: mount.url: gs://x: a store is written s3://bucket/prefix or file:///directory",
        ),
        (
            format!("{MOUNT}[[mount.tree]]\nat = \"a/../b\"\nurl = \"s3://b\""),
            "forebay.toml:5: mount.tree.at: \"..\" is no name inside a mount: names have 1 to 255 bytes, no NUL, and are \
             not \".\" or \"..\"",
        ),
        ("cache = 3".to_owned(), "forebay.toml:1: cache: is a whole number; it must be a section"),
        (
            "[mount]\npath = \"/m\"".to_owned(),
            "forebay.toml:1: mount: is a section; it must be a list of sections, each headed by the name in double brackets",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refused(&text), message);
    }
}

#[test]
fn missing_and_contradicting_settings_are_named() {
    let cases = [
        (String::new(), "\"forebay.toml\" has no mount; add a [[mount]] section"),
        (
            "[[mount]]\nurl = \"s3://x\"".to_owned(),
            "forebay.toml:1: [[mount]]: path is missing; write path = \"/mnt/NAME\"",
        ),
        (
            "[[mount]]\npath = \"/m\"".to_owned(),
            "forebay.toml:1: [[mount]]: url is missing; write url = \"s3://BUCKET/PREFIX\", or [[mount.tree]] sections",
        ),
        (
            format!("{MOUNT}[[mount.tree]]\nat = \"t\""),
            "forebay.toml:4: [[mount.tree]]: url is missing; write url = \"s3://BUCKET/PREFIX\" or \"file:///DIRECTORY\"",
        ),
        (
            format!("{MOUNT}[cache]\nsize = \"1GiB\""),
            "forebay.toml:4: [cache]: dir or device is missing; name the directory or block device of the cache \
             (--cache-dir, --cache-device)",
        ),
        (
            format!("{MOUNT}[cache]\ndir = \"/c\"\ndevice = \"/dev/x\""),
            "forebay.toml:6: cache.device: cannot stand beside forebay.toml:5: cache.dir; keep the one that the cache lies on",
        ),
        (
            format!("{MOUNT}profile = \"p\"\nanonymous = true"),
            "forebay.toml:5: mount.anonymous: cannot stand beside forebay.toml:4: mount.profile; anonymous requests have \
             no credentials; keep one of them",
        ),
        (
            format!("{MOUNT}[[mount]]\npath = \"/mnt/./data/\"\nurl = \"s3://y\""),
            "forebay.toml:5: mount.path: \"/mnt/data\" is already used by another mount; give each mount a path of its own",
        ),
        (
            format!("{MOUNT}[[mount]]\npath = \"/mnt/data/x\"\nurl = \"s3://y\""),
            "forebay.toml:5: mount.path: \"/mnt/data/x\" is inside the mount \"/mnt/data\"; use a tree of that mount instead",
        ),
        (
            format!("{MOUNT}[[mount]]\npath = \"/mnt\"\nurl = \"s3://y\""),
            "forebay.toml:2: mount.path: \"/mnt/data\" is inside the mount \"/mnt\"; use a tree of that mount instead",
        ),
        (
            format!("{MOUNT}[[mount.tree]]\nurl = \"s3://y\"\nat = \"/\""),
            "forebay.toml:6: mount.tree.at: \"\" is already used by another tree of this mount; give each tree a place of its own",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refused(&text), message);
    }
}

#[test]
fn broken_toml_is_named_by_line() {
    let message = refused("memory = \"1GiB\"\n[cache\n");
    assert!(message.starts_with("forebay.toml:2: "), "{message}");
    let message = refused("memory = \"1GiB\"\nmemory = \"2GiB\"\n");
    assert!(message.starts_with("forebay.toml:2: duplicate key"), "{message}");
}

#[test]
fn an_unreadable_file_names_the_flag() {
    let error = Config::load(Path::new("/nonexistent/forebay.toml")).map(|_| ()).expect_err("no such file");
    assert!(error.to_string().ends_with("check --config"), "{error}");
}

#[test]
fn credentials_in_an_endpoint_are_refused_and_not_repeated() {
    let message = refused(&format!("{MOUNT}endpoint = \"http://AK:hush@host:9000\""));
    assert!(message.contains("without credentials") && !message.contains("hush"), "{message}");
}

/// Every key stands in docs/CONFIGURATION.md, under its section, with its default; and no other key does.
#[test]
fn the_documentation_lists_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIGURATION.md");
    let text = std::fs::read_to_string(&path).expect("docs/CONFIGURATION.md");
    for section in keys::SECTIONS {
        let heading = format!("## `{}`", section.name);
        let body = text.split(&heading).nth(1).unwrap_or_else(|| panic!("no heading {heading}"));
        let body = body.split("\n## ").next().unwrap_or(body);
        let rows = body.lines().filter(|line| line.starts_with("| `"));
        let documented: Vec<(&str, &str)> = rows
            .map(|row| {
                let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
                (cells[0].trim_matches('`'), cells[2])
            })
            .collect();
        let own: Vec<(&str, &str)> = section.own_keys().iter().map(|key| (key.name, key.default)).collect();
        assert_eq!(documented, own, "the table under {heading}");
    }
}

#[test]
fn a_read_write_mount_needs_a_place_for_what_is_written() {
    let writes = format!("{MOUNT}read_write = true\n");
    assert_eq!(
        refused(&writes),
        "forebay.toml:4: mount.read_write: writeback.dir is missing; written data needs a directory to wait in: set \
         writeback.dir or cache.dir (--staging-dir, --cache-dir)"
    );
    let device = format!("[cache]\ndevice = \"/dev/null\"\nsize = \"1GiB\"\n{writes}");
    assert!(refused(&device).contains("writeback.dir is missing"));
    let config = parse(&format!("[cache]\ndir = \"/c\"\n{writes}")).expect("beside the cache");
    let writeback = config.writeback.expect("a mount writes");
    assert_eq!(writeback.directory, Path::new("/c/staging"));
    assert_eq!((writeback.dirty_limit_bytes, writeback.tree_depth), (50 << 30, 1));
    let mount = &config.mounts[0];
    assert_eq!((mount.read_write, mount.file_mode, mount.dir_mode), (true, 0o644, 0o755));
    let small = format!("[writeback]\ndir = \"/w\"\ndirty_limit = \"1MiB\"\n{writes}");
    assert_eq!(refused(&small), "forebay.toml:3: writeback.dirty_limit: 1MiB is too small; at least 16MiB");
    assert!(parse(MOUNT).expect("read-only").writeback.is_none());
}

#[test]
fn settings_of_write_back_are_read_and_checked() {
    let writes = format!("{MOUNT}read_write = true\n[writeback]\ndir = \"/w\"\n");
    let rule = "[[writeback.rule]]\npath = \"logs/**\"\nperiod = \"3s\"\n";
    let config = parse(&format!(
        "{writes}upload_bandwidth = \"200MiB/s\"\nsync_on_close = \"remote\"\nkept_limit = \"1MiB\"\n{rule}"
    ));
    let settings = config.expect("valid").writeback.expect("writes").settings;
    assert_eq!((settings.bandwidth_bytes, settings.kept_limit_bytes), (Some(200 << 20), 1 << 20));
    assert_eq!(settings.sync_on_close, crate::writeback::SyncOnClose::Remote);
    assert!(settings.rules[0].paths.is_match("logs/a/b") && !settings.rules[0].paths.is_match("other"));
    for (line, said) in [
        ("upload_bandwidth = \"200MiB\"", "is no bandwidth"),
        ("upload_bandwidth = \"0B/s\"", "is no bandwidth"),
        ("part_size = \"1MiB\"", "at least 5MiB"),
        ("sync_on_close = \"yes\"", "allowed: no, local, remote"),
        ("[[writeback.rule]]\npath = \"a[\"", "is no pattern"),
        ("[[writeback.rule]]\nperiod = \"1s\"", "path is missing"),
    ] {
        let error = refused(&format!("{writes}{line}\n"));
        assert!(error.contains(said), "{line}: {error}");
    }
}

#[test]
fn large_files_have_a_place_in_a_directory_alone() {
    let large = |cache: &str| {
        let config = parse(&format!("{MOUNT}[cache]\nsize = \"1GiB\"\n{cache}")).expect(cache);
        config.cache.and_then(|cache| cache.large)
    };
    let half = LargeFiles { budget_bytes: 512 << 20, object_bytes_min: 8 << 20, scrub_bytes_per_s: 32 << 20 };
    assert_eq!(large("dir = \"/c\""), Some(half));
    let given = "dir = \"/c\"\nlarge_files_size = \"960MiB\"\nlarge_file_min = \"1MiB\"\nscrub_rate = \"0B\"";
    let most = LargeFiles { budget_bytes: 960 << 20, object_bytes_min: 1 << 20, scrub_bytes_per_s: 0 };
    assert_eq!(large(given), Some(most));
    assert_eq!(large("device = \"/dev/x\""), None);
    assert_eq!(large("dir = \"/c\"\npassthrough = \"off\""), None);
    assert_eq!(large("dir = \"/c\"\nlarge_files_size = \"0B\""), None);
}

#[test]
fn wrong_settings_of_large_files_are_refused() {
    let cache =
        |setting: &str| refused(&format!("[cache]\ndir = \"/c\"\nsize = \"1GiB\"\n{setting}\n{MOUNT}"));
    assert_eq!(
        cache("passthrough = \"on\""),
        "forebay.toml:4: cache.passthrough: \"on\" is no way to pass through; write auto or off"
    );
    assert_eq!(
        cache("large_files_size = \"1GiB\""),
        "forebay.toml:4: cache.large_files_size: 1GiB is too large; at most 960MiB"
    );
    assert_eq!(
        cache("large_file_min = \"512KiB\""),
        "forebay.toml:4: cache.large_file_min: 512KiB is too small; at least 1MiB"
    );
}
