//! Opening on real files and devices: what works, and what is refused with which words.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use slab_store::{DeviceSpec, OpenError, Options, SlabStore};
use tempfile::TempDir;

use crate::support::*;

fn file_options(path: &Path) -> Options {
    let mut options = Options::new(DeviceSpec::File { path: path.into() }, CAPACITY as u64);
    options.memory_bytes = MEMORY;
    options
}

fn refusal(options: Options) -> OpenError {
    match SlabStore::open(options) {
        Ok(_) => panic!("must be refused"),
        Err(error) => error,
    }
}

/// The error's text is one line and names the setting.
fn assert_names(error: &OpenError, setting: &str) {
    let text = error.to_string();
    assert!(text.contains(setting) && !text.contains('\n'), "{text}");
}

#[test]
fn a_file_is_made_filled_and_found_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("slabs");
    let all = objects(19, 60);
    let (store, recovery) = SlabStore::open(file_options(&path)).unwrap();
    assert_eq!((recovery.slabs, recovery.blocks), (0, 0));
    let size = || fs::metadata(&path).unwrap().len();
    assert_eq!(size(), CAPACITY as u64);
    let mut reader = store.reader().unwrap();
    for object in &all {
        insert(&store, *object).unwrap();
        read(&mut reader, *object, 1, 300_000);
    }
    let before = read_all(&store, &mut reader, &all);
    drop(reader);
    store.close();
    let (store, recovery) = SlabStore::open(file_options(&path)).unwrap();
    let mut reader = store.reader().unwrap();
    let after = read_all(&store, &mut reader, &all);
    assert_eq!((after as u64, recovery.discarded), (recovery.blocks, 0));
    assert!(after > 0 && after <= before, "{before} blocks before, {after} after");
    for object in &all {
        read(&mut reader, *object, 4_097 % object.size, 10_000);
    }
    assert_eq!((store.stats().checksum_mismatches, size()), (0, CAPACITY as u64));
}

#[test]
fn a_reader_may_change_threads() {
    let dir = TempDir::new().unwrap();
    let object = Object { id: 1, size: 300_000 };
    let (store, _) = SlabStore::open(file_options(&dir.path().join("slabs"))).unwrap();
    insert(&store, object).unwrap();
    store.close();
    let (store, _) = SlabStore::open(file_options(&dir.path().join("slabs"))).unwrap();
    let mut reader = store.reader().unwrap();
    for _ in 0..3 {
        reader = std::thread::spawn(move || {
            assert!(read(&mut reader, object, 5_000, 200_000));
            reader
        })
        .join()
        .unwrap();
    }
    assert_eq!((store.stats().hits, store.stats().device_errors), (3, 0));
}

#[test]
fn a_cache_grows_and_shrinks_with_its_budget() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("slabs");
    let object = Object { id: 1, size: 500_000 };
    let (store, _) = SlabStore::open(file_options(&path)).unwrap();
    insert(&store, object).unwrap();
    store.close();
    for mib in [30, 17, 9] {
        let (store, recovery) =
            SlabStore::open(Options { capacity_bytes: mib << 20, ..file_options(&path) }).unwrap();
        assert_eq!((recovery.slabs, fs::metadata(&path).unwrap().len()), (1, mib << 20));
        assert!(read(&mut store.reader().unwrap(), object, 0, 500_000));
        store.close();
    }
}

#[test]
fn a_cache_is_opened_once() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("slabs");
    let (store, _) = SlabStore::open(file_options(&path)).unwrap();
    let error = refusal(file_options(&path));
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert_names(&error, "--cache-dir");
    store.close();
    assert!(SlabStore::open(file_options(&path)).is_ok());
}

#[test]
fn foreign_files_stay_as_they_are() {
    let dir = TempDir::new().unwrap();
    for (name, content) in
        [("text", b"precious".to_vec()), ("zeroes", vec![0; 2 << 20]), ("noise", vec![7; 2 << 20])]
    {
        let path = dir.path().join(name);
        fs::write(&path, &content).unwrap();
        let error = refusal(file_options(&path));
        assert!(matches!(error, OpenError::Foreign { .. }), "{name}: {error}");
        assert_names(&error, "--cache-dir");
        assert!(fs::read(&path).unwrap() == content, "{name} was touched");
    }
}

#[test]
fn another_version_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("slabs");
    SlabStore::open(file_options(&path)).unwrap().0.close();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&9u32.to_le_bytes(), 8).unwrap();
    let error = refusal(file_options(&path));
    assert!(matches!(error, OpenError::Version { found: 9, .. }), "{error}");
    assert_names(&error, "version 9");
}

#[test]
fn budgets_that_are_too_small_say_how_much_is_needed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("slabs");
    let error = refusal(Options { capacity_bytes: 1 << 20, ..file_options(&path) });
    assert!(matches!(error, OpenError::CapacityTooSmall { needed_bytes: 9_437_184, .. }), "{error}");
    assert_names(&error, "--cache-size");
    let error = refusal(Options { memory_bytes: 4096, ..file_options(&path) });
    assert!(matches!(error, OpenError::MemoryTooSmall { .. }), "{error}");
    assert_names(&error, "--memory");
    assert!(!path.exists(), "a refusal leaves no file");
}

#[test]
fn a_missing_directory_and_a_directory_in_the_way_are_named() {
    let dir = TempDir::new().unwrap();
    for path in [dir.path().join("missing/slabs"), dir.path().into()] {
        let error = refusal(file_options(&path));
        assert!(matches!(error, OpenError::Io { .. }), "{error}");
        assert_names(&error, "--cache-dir");
        assert_names(&error, &path.display().to_string());
    }
}

/// Runs a command; None (and a SKIP line) when it cannot be run here.
fn run(program: &str, args: &[&str]) -> Option<String> {
    match Command::new(program).args(args).output() {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => {
            println!("SKIP: {program} {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
            None
        }
        Err(error) => {
            println!("SKIP: {program}: {error}");
            None
        }
    }
}

/// A file system image on a loop device, mounted; unmounted and detached on drop.
struct Mounted(TempDir);

impl Mounted {
    fn new(options: &str, size_bytes: u64) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let (image, point) = (dir.path().join("image"), dir.path().join("mnt"));
        fs::File::create(&image).unwrap().set_len(size_bytes).unwrap();
        fs::create_dir(&point).unwrap();
        run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()])?;
        run("mount", &["-o", options, image.to_str().unwrap(), point.to_str().unwrap()])?;
        Some(Self(dir))
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("mnt")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["--lazy", self.path().to_str().unwrap()]);
    }
}

#[test]
fn a_full_disk_is_named_and_left_clean() {
    let Some(mounted) = Mounted::new("loop", 8 << 20) else { return };
    let path = mounted.path().join("slabs");
    let error = refusal(file_options(&path));
    assert!(matches!(error, OpenError::DiskFull { .. }), "{error}");
    assert_names(&error, "--cache-size");
    assert!(!path.exists());
}

#[test]
fn a_read_only_directory_is_named() {
    let Some(mounted) = Mounted::new("loop,ro", 8 << 20) else { return };
    let error = refusal(file_options(&mounted.path().join("slabs")));
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    assert_names(&error, "Read-only file system");
    assert_names(&error, "--cache-dir");
}

/// A loop device; detached on drop.
struct Loop(String, #[allow(dead_code, reason = "keeps the image")] tempfile::NamedTempFile);

impl Loop {
    fn new(content: &[u8], size_bytes: u64, sector_bytes: &str) -> Option<Self> {
        let mut image = tempfile::NamedTempFile::new().unwrap();
        image.write_all(content).unwrap();
        image.as_file().set_len(size_bytes).unwrap();
        let path = image.path().to_str().unwrap();
        let device =
            run("losetup", &["--find", "--show", "--direct-io=on", "--sector-size", sector_bytes, path])?;
        Some(Self(device, image))
    }

    fn options(&self) -> Options {
        let mut options = file_options(Path::new(""));
        options.device = DeviceSpec::BlockDevice { path: self.0.clone().into() };
        options
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run("losetup", &["--detach", &self.0]);
    }
}

#[test]
fn a_block_device_is_a_cache_too() {
    for sector_bytes in ["512", "4096"] {
        let Some(device) = Loop::new(b"", 12 << 20, sector_bytes) else { return };
        let all = objects(23, 20);
        let (store, _) = SlabStore::open(device.options()).unwrap();
        all.iter().for_each(|object| insert(&store, *object).unwrap());
        let error = refusal(device.options());
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
        store.close();
        let (store, recovery) = SlabStore::open(device.options()).unwrap();
        let mut reader = store.reader().unwrap();
        assert_eq!(read_all(&store, &mut reader, &all) as u64, recovery.blocks);
        assert!(recovery.blocks > 20 && store.stats().checksum_mismatches == 0);
        all.iter().for_each(|object| {
            read(&mut reader, *object, object.size / 2, 9_000);
        });
        drop(reader);
        store.close();
    }
}

#[test]
fn a_block_device_with_content_or_too_small_is_refused() {
    let Some(used) = Loop::new(b"\xebXFSB or whatever", 12 << 20, "512") else { return };
    let error = refusal(used.options());
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    let Some(small) = Loop::new(b"", 4 << 20, "512") else { return };
    let error = refusal(small.options());
    assert!(matches!(error, OpenError::DeviceTooSmall { .. }), "{error}");
    assert_names(&error, "--cache-size");
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = refusal(Options { device: DeviceSpec::BlockDevice { path: file }, ..small.options() });
    assert!(matches!(error, OpenError::Kind { wanted: "block device", .. }), "{error}");
}
