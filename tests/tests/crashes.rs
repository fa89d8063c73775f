//! Checkpoints under power cuts and kills: no byte that was fsynced is lost, no journal becomes unreadable, and the store
//! never shows a manifest without its shards.
//!
//! Cache and staged files lie on a disk whose power goes at a chosen write or flush. Each round writes checkpoints until
//! the power goes or the daemon is killed, with the store in reach or not, and starts the daemon again on what the medium
//! had kept, with whatever the rounds before left there.

#![expect(clippy::unwrap_used, reason = "a failure of a step ends the test")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use forebay_tests::{
    CutDisk, Daemon, MIB, S3, Setup, Survivors, Trigger, eventually, missing_fuse, missing_loop_devices,
    require, synthetic_bytes,
};

const DISK_BYTES: u64 = 1024 * MIB;
/// More than one write of the kernel, less than a second of work.
const SHARD_BYTES: u64 = 300 * 1024 + 17;
const SHARDS: u64 = 2;
/// Checkpoints that stay; older ones are removed, as trainers do.
const KEPT: u64 = 2;
const STEPS_MAX: u64 = 40;
const WORK_TIME_MAX: Duration = Duration::from_secs(30);
const DRAIN_TIME_MAX: Duration = Duration::from_secs(60);
const TEST_TIME_MAX: Duration = Duration::from_secs(1800);

/// What one checkpoint has promised so far.
#[derive(Clone, Copy, Default)]
struct Promised {
    shards: u64,
    manifest: bool,
}

/// The writer's own book: what returned from fsync before the power went.
#[derive(Default)]
struct Book {
    /// By checkpoint.
    checkpoints: Vec<Promised>,
    /// Checkpoints below this one may be gone.
    removed_below: u64,
    /// What `latest` names at least.
    latest: Option<u64>,
    /// Files that were synced, over all rounds.
    synced: Arc<AtomicU64>,
}

fn seed(checkpoint: u64, shard: u64) -> u64 {
    checkpoint * 100 + shard
}

fn directory(checkpoint: u64) -> String {
    format!("run/step-{checkpoint:06}")
}

fn manifest(checkpoint: u64) -> Vec<u8> {
    format!("{SHARDS} shards of step {checkpoint}\n").into_bytes()
}

fn write_synced(path: &Path, bytes: &[u8], book: &Book) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    book.synced.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Writes under a passing name, and makes the rename durable too.
fn publish(dir: &Path, name: &str, bytes: &[u8], book: &Book) -> io::Result<()> {
    let passing = dir.join(format!("{name}.tmp"));
    write_synced(&passing, bytes, book)?;
    fs::rename(passing, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// One checkpoint, as torch.distributed.checkpoint writes it, and the pointer to it as Megatron does.
fn save(root: &Path, checkpoint: u64, book: &mut Book) -> io::Result<()> {
    let dir = root.join(directory(checkpoint));
    fs::create_dir_all(&dir)?;
    book.checkpoints.resize(checkpoint as usize + 1, Promised::default());
    for shard in 0..SHARDS {
        let bytes = synthetic_bytes(seed(checkpoint, shard), 0..SHARD_BYTES);
        write_synced(&dir.join(format!("__{shard}_0.distcp")), &bytes, book)?;
        book.checkpoints[checkpoint as usize].shards += 1;
    }
    publish(&dir, ".metadata", &manifest(checkpoint), book)?;
    book.checkpoints[checkpoint as usize].manifest = true;
    publish(&root.join("run"), "latest", checkpoint.to_string().as_bytes(), book)?;
    book.latest = Some(checkpoint);
    Ok(())
}

/// Takes an old checkpoint away, the manifest first.
fn remove(root: &Path, checkpoint: u64, book: &mut Book) -> io::Result<()> {
    book.removed_below = checkpoint + 1;
    let dir = root.join(directory(checkpoint));
    // a cut may have left the manifest under its passing name
    let manifests = [".metadata".to_owned(), ".metadata.tmp".to_owned()];
    for name in manifests.into_iter().chain((0..SHARDS).map(|shard| format!("__{shard}_0.distcp"))) {
        match fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How a life of the daemon ends.
#[derive(Clone, Copy, Debug)]
enum Crash {
    /// The power goes.
    Power(Trigger),
    /// SIGKILL, when this many files have been synced.
    Kill(u64),
}

/// Writes checkpoints until they fail.
fn work(root: &Path, book: &mut Book) -> Option<io::Error> {
    for _ in 0..STEPS_MAX {
        let next = book.checkpoints.len() as u64;
        let step = save(root, next, book).and_then(|()| match next.checked_sub(KEPT) {
            Some(old) => remove(root, old, book),
            None => Ok(()),
        });
        if let Err(error) = step {
            return Some(error);
        }
    }
    None
}

/// Works until the daemon and, if so planned, the disk are gone. While the store is out of reach a name that only it can
/// know gives EIO; then there is less work, and what was synced before has to hold all the same.
fn work_and_crash(
    disk: &CutDisk,
    daemon: Daemon<'_>,
    book: &mut Book,
    (crash, store_is_down): (Crash, bool),
) {
    let root = daemon.mountpoint().to_owned();
    match crash {
        Crash::Power(trigger) => {
            disk.arm(trigger);
            let error = work(&root, book);
            let is_expected = error.is_none() || !disk.is_powered() || store_is_down;
            assert!(is_expected, "failed with the power on: {error:?}");
            disk.cut();
            daemon.kill();
        }
        Crash::Kill(after) => {
            let until = book.synced.load(Ordering::Relaxed) + after;
            let synced = Arc::clone(&book.synced);
            thread::scope(|scope| {
                let worker = scope.spawn(|| work(&root, book));
                eventually("files are synced", WORK_TIME_MAX, || {
                    (synced.load(Ordering::Relaxed) >= until || worker.is_finished()).then_some(())
                });
                daemon.kill();
            });
        }
    }
}

/// Everything that was promised is there, byte for byte. The number of promises that were broken.
fn broken_promises(root: &Path, book: &Book) -> usize {
    let mut broken = 0;
    for (checkpoint, promised) in (0..).zip(&book.checkpoints).skip(book.removed_below as usize) {
        let dir = root.join(directory(checkpoint));
        for shard in 0..promised.shards {
            let expected = synthetic_bytes(seed(checkpoint, shard), 0..SHARD_BYTES);
            broken += usize::from(is_wrong(&dir.join(format!("__{shard}_0.distcp")), &expected));
        }
        broken += usize::from(promised.manifest && is_wrong(&dir.join(".metadata"), &manifest(checkpoint)));
    }
    let latest = fs::read_to_string(root.join("run/latest")).ok().and_then(|text| text.parse::<u64>().ok());
    broken + usize::from(book.latest > latest)
}

fn is_wrong(path: &PathBuf, expected: &[u8]) -> bool {
    match fs::read(path) {
        Ok(bytes) if bytes == expected => false,
        Ok(bytes) => {
            eprintln!("{path:?}: {} bytes that differ", bytes.len());
            true
        }
        Err(error) => {
            eprintln!("{path:?}: {error}");
            true
        }
    }
}

/// Every manifest that the store shows has its shards there.
fn check_store(s3: &S3, book: &Book) {
    for checkpoint in 0..book.checkpoints.len() as u64 {
        let object = |name: &str| s3.get(S3::BUCKET, &format!("{}/{name}", directory(checkpoint)));
        // the manifest is looked at first: what it speaks of was there before it
        let Some(text) = object(".metadata") else { continue };
        assert_eq!(text, manifest(checkpoint), "the manifest of step {checkpoint}");
        for shard in 0..SHARDS {
            let Some(bytes) = object(&format!("__{shard}_0.distcp")) else {
                // it may be on its way out: then the manifest is gone by now
                assert!(object(".metadata").is_none(), "step {checkpoint} is shown without shard {shard}");
                continue;
            };
            assert!(
                bytes == synthetic_bytes(seed(checkpoint, shard), 0..SHARD_BYTES),
                "{checkpoint}/{shard}"
            );
        }
    }
}

fn setup(s3: &S3, disk: &CutDisk, delay: &str) -> Setup {
    Setup::new()
        .cache_dir_at(&disk.path())
        .writeback(&format!("delay_small = {delay:?}\ndelay_large = {delay:?}\ndirty_limit = \"256MiB\"\n"))
        .s3(s3)
        // a store that resets connections is given up soon, a slow one is not
        .store("backoff_max", "100ms")
        .lives_at_most(TEST_TIME_MAX)
        .mount_text(&format!("url = {:?}\nread_write = true\n", s3.url("")))
}

/// One life of the daemon, through which the store may be out of reach; gives the number of promises that those before it broke.
fn round(
    setup: &Setup,
    disk: &mut CutDisk,
    s3: &S3,
    book: &mut Book,
    how: (Crash, bool),
    seed: u64,
) -> usize {
    let daemon = setup.start();
    let broken = broken_promises(daemon.mountpoint(), book);
    check_store(s3, book);
    s3.faults().set(|knobs| knobs.down = how.1);
    work_and_crash(disk, daemon, book, how);
    s3.faults().set(|knobs| knobs.down = false);
    check_store(s3, book);
    if !disk.is_powered() {
        disk.restart(Survivors::ALL[(seed % 3) as usize], seed);
    }
    broken
}

/// After the last cut everything reaches the store.
fn drain(daemon: &Daemon<'_>, s3: &S3, book: &Book) {
    let mountpoint = daemon.mountpoint().to_str().unwrap().to_owned();
    daemon.cli(&["flush", &mountpoint]).succeeded();
    let last = book.latest.expect("at least one checkpoint was saved");
    eventually("the store has the last checkpoint", DRAIN_TIME_MAX, || {
        let latest = s3.get(S3::BUCKET, "run/latest")?;
        (String::from_utf8_lossy(&latest).parse::<u64>().ok()? >= last).then_some(())
    });
    check_store(s3, book);
}

fn crash(rounds: impl Iterator<Item = (Crash, bool)>) {
    let s3 = S3::start();
    let mut disk = CutDisk::new(DISK_BYTES);
    let setup = setup(&s3, &disk, "50ms");
    let mut book = Book::default();
    let mut count = 0;
    for (seed, how) in (0..).zip(rounds) {
        let broken = round(&setup, &mut disk, &s3, &mut book, how, seed);
        assert_eq!(broken, 0, "before crash {seed}: {how:?}");
        count += 1;
    }
    let daemon = setup.start();
    assert_eq!(broken_promises(daemon.mountpoint(), &book), 0, "after the last crash");
    drain(&daemon, &s3, &book);
    println!("{count} crashes, {} checkpoints, 0 promises broken", book.checkpoints.len());
}

#[test]
fn nothing_that_was_synced_is_lost_in_a_few_crashes() {
    require!(missing_fuse(), missing_loop_devices());
    let (up, down) = (false, true);
    crash(
        [
            (Crash::Power(Trigger::Flushes(3)), up),
            (Crash::Power(Trigger::Writes(40)), down),
            (Crash::Kill(7), up),
            (Crash::Power(Trigger::Flushes(14)), up),
            (Crash::Kill(5), down),
            (Crash::Power(Trigger::Writes(201)), up),
        ]
        .into_iter(),
    );
}

/// Every third of them while the store can't be reached.
fn crash_often(crashes: impl Iterator<Item = Crash>) {
    crash(crashes.zip(0..).map(|(crash, round)| (crash, round % 3 == 2)));
}

#[test]
#[ignore = "long"]
fn nothing_that_was_synced_is_lost_in_cuts_after_each_flush() {
    require!(missing_fuse(), missing_loop_devices());
    crash_often((1..=100).map(|count| Crash::Power(Trigger::Flushes(count))));
}

#[test]
#[ignore = "long"]
fn nothing_that_was_synced_is_lost_in_cuts_between_flushes() {
    require!(missing_fuse(), missing_loop_devices());
    crash_often((0..100).map(|round| Crash::Power(Trigger::Writes(1 + round * 37 % 400))));
}

#[test]
#[ignore = "long"]
fn nothing_that_was_synced_is_lost_in_kills() {
    require!(missing_fuse(), missing_loop_devices());
    crash_often((0..100).map(|round| Crash::Kill(round * 13 % 29)));
}

/// The test of the test: a disk that confirms flushes without carrying them out must be found.
#[test]
fn a_disk_that_lies_is_found() {
    require!(missing_fuse(), missing_loop_devices());
    let s3 = S3::start();
    let mut disk = CutDisk::new(DISK_BYTES);
    // nothing reaches the store, so what the disk loses can't be read from there
    let setup = setup(&s3, &disk, "1h");
    let mut book = Book::default();
    // a first life on an honest disk, so that there is something to start from
    round(&setup, &mut disk, &s3, &mut book, (Crash::Power(Trigger::Flushes(30)), false), 1);
    let daemon = setup.start();
    disk.lie_about_flushes();
    work_and_crash(&disk, daemon, &mut book, (Crash::Power(Trigger::Writes(400)), false));
    disk.restart(Survivors::Nothing, 0);
    let daemon = setup.start();
    assert!(broken_promises(daemon.mountpoint(), &book) > 0, "lost bytes went unnoticed");
}
