//! Settings that cannot be used: one line with the place, what is allowed, and exit code 2; code 3 without a daemon.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forebay_tests::{Finished, Setup, mounted_at, run};

const TIME_MAX: Duration = Duration::from_secs(20);

#[track_caller]
fn one_line_of(refused: &Finished, code: i32) -> String {
    assert_eq!(refused.code(), code, "{refused:?}");
    let line = refused.stderr.strip_suffix('\n').unwrap_or_default();
    assert!(line.starts_with("forebay: ") && !line.contains('\n'), "not one line: {:?}", refused.stderr);
    line.to_owned()
}

#[track_caller]
fn assert_line(refused: &Finished, code: i32, parts: &[&str]) {
    let line = one_line_of(refused, code);
    for part in parts {
        assert!(line.contains(part), "no {part:?} in {line:?}");
    }
}

/// A daemon with this text as its file.
fn run_with(setup: &Setup, text: &str) -> Finished {
    let file = setup.scratch().join("broken.toml");
    std::fs::write(&file, text).unwrap();
    run(setup.command().arg("run").arg("--config").arg(file), TIME_MAX)
}

fn forebay(setup: &Setup, arguments: &[&str]) -> Finished {
    run(setup.command().args(arguments), TIME_MAX)
}

#[test]
fn a_broken_file_is_refused_with_file_line_and_key() {
    let setup = Setup::new();
    let mount = "[[mount]]\npath = \"/mnt/none\"\nurl = \"file:///usr\"\n";
    let cases: [(String, &[&str]); 9] = [
        (format!("memory = \n{mount}"), &["broken.toml:1: "]),
        (format!("memroy = \"1GiB\"\n{mount}"), &["broken.toml:1: ", "memroy", "did you mean \"memory\"?"]),
        (
            format!("{mount}consistency = \"sometimes\"\n"),
            &["broken.toml:4: ", "mount.consistency", "ttl=TIME"],
        ),
        (format!("{mount}[cache]\ndir = \"/x\"\nsize = \"20\"\n"), &["broken.toml:6: ", "cache.size"]),
        (format!("{mount}[cache]\ndir = \"/x\"\nsize = \"1MiB\"\n"), &["cache.size", "at least 256MiB"]),
        (format!("memory = \"1MiB\"\n{mount}"), &["broken.toml:1: ", "memory", "at least 128MiB"]),
        (
            "[[mount]]\npath = \"mnt\"\nurl = \"file:///usr\"\n".to_owned(),
            &["broken.toml:2: ", "must begin with /"],
        ),
        (
            "[[mount]]\npath = \"/m\"\nurl = \"http://x\"\n".to_owned(),
            &["broken.toml:3: ", "s3://bucket/prefix"],
        ),
        (String::new(), &["broken.toml", "[[mount]]"]),
    ];
    for (text, parts) in cases {
        println!("{text}");
        assert_line(&run_with(&setup, &text), 2, parts);
    }
}

#[test]
fn a_missing_file_is_named() {
    let setup = Setup::new();
    let refused = forebay(&setup, &["run", "--config", "/nonexistent/forebay.toml"]);
    assert_line(&refused, 2, &["/nonexistent/forebay.toml", "--config"]);
}

#[test]
fn flags_are_held_to_the_same_limits() {
    let setup = Setup::new();
    let mountpoint = setup.scratch().join("mnt");
    std::fs::create_dir(&mountpoint).unwrap();
    let at = mountpoint.to_str().unwrap();
    let cache = setup.cache_dir();
    let cache = cache.to_str().unwrap();
    let cases: [(&[&str], &[&str]); 7] = [
        (&["--cache-dir", cache, "--cache-size", "255MiB"], &["--cache-size", "at least 256MiB"]),
        (&["--cache-size", "1GiB"], &["--cache-dir"]),
        (&["--cache-size", "lots"], &["--cache-size", "lots"]),
        (&["--memory", "127MiB"], &["--memory", "at least 128MiB"]),
        (&["--consistency", "always"], &["--consistency", "immutable"]),
        (&["--endpoint", "127.0.0.1:9000"], &["--endpoint", "http://HOST"]),
        (&["--anonymous", "--profile", "x"], &["anonymous", "profile"]),
    ];
    for (flags, parts) in cases {
        let refused = forebay(&setup, &[&["mount", "s3://bucket", at], flags].concat());
        assert_line(&refused, 2, parts);
        assert_eq!(mounted_at(&mountpoint), None);
    }
    assert_line(&forebay(&setup, &["mount", "ftp://x/y", at]), 2, &["ftp://x/y", "s3://bucket/prefix"]);
    assert_line(&forebay(&setup, &["mount", "s3://bucket"]), 2, &["MOUNTPOINT"]);
}

#[test]
fn commands_without_a_daemon_say_so() {
    let setup = Setup::new();
    let socket = setup.control_socket();
    let socket = socket.to_str().unwrap();
    for command in [&["status"][..], &["sync", "/mnt/x"], &["warm", "/mnt/x"]] {
        let refused = forebay(&setup, &[command, &["--control-socket", socket]].concat());
        assert_line(&refused, 3, &[socket]);
    }
    assert_line(&forebay(&setup, &["sync", "/nonexistent/mount"]), 3, &["/nonexistent/mount"]);
}

#[test]
fn a_path_that_is_no_mount_cannot_be_unmounted() {
    let setup = Setup::new();
    let dir: &Path = setup.scratch();
    assert_line(&forebay(&setup, &["umount", dir.to_str().unwrap()]), 1, &["not a mount point"]);
}

#[test]
fn help_and_version_are_no_errors() {
    let setup = Setup::new();
    for arguments in [&["--help"][..], &["--version"], &["mount", "--help"]] {
        let shown = run(Command::new(forebay_tests::forebay()).args(arguments), TIME_MAX).succeeded();
        assert!(shown.stdout.contains("forebay") && shown.stderr.is_empty(), "{shown:?}");
    }
    drop(setup);
}
