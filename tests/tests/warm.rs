//! `forebay warm`: what it names is read without the store afterwards, and what failed is told.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use forebay_tests::{
    Access, Daemon, Finished, MIB, Operation, S3, Setup, Tree, eventually, missing_fuse, read_whole, require,
    synthetic_bytes,
};

const LARGE_BYTES: u64 = 120 * MIB;
const SEED: u64 = 91;
const PROGRESS_TIME_MAX: Duration = Duration::from_secs(30);

fn dataset() -> (S3, Tree, Setup) {
    let s3 = S3::start();
    let tree = Tree::flat(90, 200, 15_000);
    tree.each(|path, bytes| s3.put(&format!("train/{path}"), bytes));
    s3.put("other/file", "other");
    let setup = Setup::new().s3(&s3).mount(&s3.url(""), "immutable");
    (s3, tree, setup)
}

fn warm(daemon: &Daemon<'_>, paths: &[&str]) -> Finished {
    let paths: Vec<String> = paths.iter().map(|path| daemon.path(path).display().to_string()).collect();
    let mut arguments = vec!["warm", "--wait"];
    arguments.extend(paths.iter().map(String::as_str));
    daemon.cli(&arguments)
}

/// Reads the files that `wanted` names and gives the number of requests for data that this took.
fn gets_for(s3: &S3, daemon: &Daemon<'_>, tree: &Tree, wanted: impl Fn(&str) -> bool) -> u64 {
    s3.reset_stats();
    for file in tree.files.iter().filter(|file| wanted(&file.path)) {
        let data = read_whole(&daemon.path(&format!("train/{}", file.path)), Access::Direct).unwrap();
        assert!(data == file.bytes(), "{}", file.path);
    }
    s3.stats().get
}

#[test]
fn a_warmed_directory_is_read_without_the_store() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    let daemon = setup.start();
    let warmed = warm(&daemon, &["train"]).succeeded();
    assert_eq!(warmed.stdout, "200 objects, 0 failed\n");
    assert_eq!(gets_for(&s3, &daemon, &tree, |_| true), 0);
    assert_eq!(fs::read(daemon.path("other/file")).unwrap(), b"other");
    assert!(s3.stats().get > 0, "more was warmed than was named");
    let progress = &daemon.status()["warm_jobs"][0]["progress"];
    let figure = |name: &str| progress[name].as_u64().unwrap();
    assert_eq!((figure("objects_total"), figure("objects_done")), (200, 200));
    assert_eq!((figure("bytes_done"), figure("bytes_fetched")), (tree.total_bytes(), tree.total_bytes()));
    assert_eq!(progress["finished"], true);
}

#[test]
fn what_is_warm_already_is_not_fetched_again() {
    require!(missing_fuse());
    let (s3, _tree, setup) = dataset();
    let daemon = setup.start();
    warm(&daemon, &["train"]).succeeded();
    s3.reset_stats();
    assert_eq!(warm(&daemon, &["train"]).succeeded().stdout, "200 objects, 0 failed\n");
    assert_eq!(s3.stats().get, 0);
}

#[test]
fn a_pattern_warms_what_it_matches() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    let daemon = setup.start();
    let warmed = warm(&daemon, &["train/part-[34]/*5?.bin"]).succeeded();
    let matches = |path: &str| {
        let (dir, name) = path.split_once('/').unwrap();
        matches!(dir, "part-3" | "part-4") && name.as_bytes()[3] == b'5'
    };
    let count = tree.files.iter().filter(|file| matches(&file.path)).count();
    assert!(count > 2);
    assert_eq!(warmed.stdout, format!("{count} objects, 0 failed\n"));
    assert_eq!(gets_for(&s3, &daemon, &tree, matches), 0);
    assert!(gets_for(&s3, &daemon, &tree, |path| path.starts_with("part-5/")) > 0);
}

#[test]
fn a_manifest_warms_its_lines_and_tells_which_failed() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    let daemon = setup.start();
    let manifest = setup.scratch().join("manifest");
    let listed: Vec<&str> = tree.files.iter().step_by(4).map(|file| file.path.as_str()).collect();
    let mut lines: String =
        listed.iter().map(|path| format!("{}\n", daemon.path("train").join(path).display())).collect();
    lines.push_str(&format!("{}\n", daemon.path("train/none.bin").display()));
    fs::write(&manifest, lines).unwrap();
    let warmed = daemon.cli(&["warm", "--wait", "--manifest", manifest.to_str().unwrap()]);
    assert_eq!(warmed.code(), 1, "{warmed:?}");
    assert!(warmed.stdout.contains(" 1 failed: "), "{}", warmed.stdout);
    assert!(warmed.stdout.contains("train/none.bin: "), "{}", warmed.stdout);
    assert_eq!(gets_for(&s3, &daemon, &tree, |path| listed.contains(&path)), 0);
}

#[test]
fn objects_that_cannot_be_fetched_are_counted_with_their_cause() {
    require!(missing_fuse());
    let (s3, tree, _) = dataset();
    let setup = Setup::new().s3(&s3).impatient().mount(&s3.url(""), "immutable");
    let daemon = setup.start();
    s3.faults().set(|knobs| {
        knobs.p_500 = 1.0;
        knobs.only = Some(Operation::Get);
    });
    let warmed = warm(&daemon, &["train/part-1"]);
    assert_eq!(warmed.code(), 1, "{warmed:?}");
    assert!(warmed.stdout.starts_with("20 objects, 20 failed: "), "{}", warmed.stdout);
    for file in tree.files.iter().filter(|file| file.path.starts_with("part-1/")) {
        let line = warmed.stdout.lines().find(|line| line.contains(&file.path));
        assert!(
            line.is_some_and(|line| line.contains("does not answer")),
            "{} in {}",
            file.path,
            warmed.stdout
        );
    }
    s3.faults().clear();
    assert_eq!(warm(&daemon, &["train/part-1"]).succeeded().stdout, "20 objects, 0 failed\n");
}

/// `forebay warm --wait` of the large object, in the background.
fn start_warming(setup: &Setup, daemon: &Daemon<'_>) -> Child {
    let mut command = setup.command();
    command.args(["warm", "--wait"]).arg(daemon.path("large.bin"));
    command.arg("--control-socket").arg(setup.control_socket());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_warm_up_that_was_killed_goes_on_where_it_was() {
    require!(missing_fuse());
    let (s3, _tree, setup) = dataset();
    s3.put_synthetic("large.bin", SEED, LARGE_BYTES);
    let daemon = setup.start();
    // slow enough to be caught half-way
    s3.faults().set(|knobs| knobs.rate_bytes_per_s = 8 << 20);
    let mut warming = start_warming(&setup, &daemon);
    eventually("the warm-up is half-way", PROGRESS_TIME_MAX, || {
        (daemon.inserted_bytes() > LARGE_BYTES / 2).then_some(())
    });
    daemon.kill();
    let failed = eventually("the command notices", PROGRESS_TIME_MAX, || warming.try_wait().unwrap());
    assert!(!failed.success());
    s3.faults().clear();
    let daemon = setup.start();
    s3.reset_stats();
    assert_eq!(warm(&daemon, &["large.bin"]).succeeded().stdout, "1 objects, 0 failed\n");
    let again = s3.stats().bytes_sent;
    assert!(again < LARGE_BYTES * 3 / 4, "{again} of {LARGE_BYTES} bytes were fetched after half was cached");
    s3.reset_stats();
    assert!(
        read_whole(&daemon.path("large.bin"), Access::Direct).unwrap()
            == synthetic_bytes(SEED, 0..LARGE_BYTES)
    );
    assert_eq!(s3.stats().get, 0);
}

#[test]
fn a_reader_goes_before_a_warm_up() {
    require!(missing_fuse());
    let (s3, tree, setup) = dataset();
    s3.put_synthetic("large.bin", SEED, 16 * LARGE_BYTES);
    let daemon = setup.start();
    s3.faults().set(|knobs| knobs.rate_bytes_per_s = 2 << 20);
    let mut warming = start_warming(&setup, &daemon);
    eventually("the warm-up has begun", PROGRESS_TIME_MAX, || (s3.stats().get > 2).then_some(()));
    for file in tree.files.iter().take(20) {
        let data = read_whole(&daemon.path(&format!("train/{}", file.path)), Access::Buffered).unwrap();
        assert!(data == file.bytes());
    }
    assert!(warming.try_wait().unwrap().is_none(), "the warm-up was to be still running");
    daemon.terminate();
    eventually("the command notices", PROGRESS_TIME_MAX, || warming.try_wait().unwrap());
}
