//! Passthrough as this kernel does it: what it reads and writes itself, what still comes here, and which opens of an
//! inode it takes together.

mod mirror;
mod rules;
#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU64, Ordering};

use fuse_fast::mount::MountOptions;
use fuse_fast::negotiate::Capability;
use fuse_fast::passthrough::{self, PassthroughError};
use fuse_fast::session::SessionConfig;
use mirror::{Answer, Mirror};
use support::{Mounted, cannot_mount, pattern};

const MIB: usize = 1 << 20;

/// A mount over a directory on disk; `None` where the kernel has no passthrough.
struct Rig {
    mounted: Mounted<Mirror>,
    /// Holds the backing files.
    _directory: tempfile::TempDir,
}

fn rig(answer: Answer) -> Option<Rig> {
    if cannot_mount() {
        return None;
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for the files");
    let fs = Mirror::new(directory.path().to_owned());
    *fs.answer.lock() = answer;
    let options = MountOptions { read_only: false, ..MountOptions::default() };
    let mounted = Mounted::new(fs, &options, SessionConfig { threads: 2, ..SessionConfig::default() });
    if !mounted.session.info().has(Capability::Passthrough) {
        println!("SKIP: this kernel has no FUSE passthrough (Linux 6.9)");
        return None;
    }
    Some(Rig { mounted, _directory: directory })
}

impl Rig {
    fn file(&self, name: &str, bytes: &[u8]) {
        fs::write(self.mounted.fs.directory.join(name), bytes).expect("writable");
    }

    fn backing(&self, name: &str) -> Vec<u8> {
        fs::read(self.mounted.fs.directory.join(name)).expect("readable")
    }

    fn count(&self, counter: impl Fn(&mirror::Counts) -> &AtomicU64) -> u64 {
        counter(&self.mounted.fs.counts).load(Ordering::Relaxed)
    }
}

/// A mapping of a whole file.
struct Map(*mut libc::c_void, usize);

impl Map {
    fn new(file: &File, length: usize, protection: i32) -> Map {
        // SAFETY: a fresh mapping, of an open file, at an address that the kernel chooses.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(start, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Map(start, length)
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `self.1` bytes long and lives as long as `self`; a write needs PROT_WRITE.
        unsafe { std::slice::from_raw_parts_mut(self.0.cast(), self.1) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` and nothing refers to it any more.
        assert_eq!(unsafe { libc::munmap(self.0, self.1) }, 0);
    }
}

#[test]
fn every_way_to_read_leads_to_the_backing_file() {
    let Some(rig) = rig(Answer::ByTheRules) else { return };
    let data = pattern(5 * MIB + 123);
    rig.file("file", &data);
    let path = rig.mounted.path("file");
    assert!(fs::read(&path).expect("read") == data);

    let file = File::open(&path).expect("opens");
    let mut some = vec![0; MIB];
    file.read_exact_at(&mut some, 4_000_001).expect("pread");
    assert!(some == data[4_000_001..4_000_001 + MIB]);

    assert!(*Map::new(&file, data.len(), libc::PROT_READ).bytes() == data);

    let mut copied = tempfile::tempfile().expect("a file");
    let mut at = 0;
    while at < data.len() {
        let mut offset = at as i64;
        // SAFETY: both descriptors are open and the offset lives over the call.
        let sent =
            unsafe { libc::sendfile(copied.as_raw_fd(), file.as_raw_fd(), &mut offset, data.len() - at) };
        assert!(sent > 0, "{}", std::io::Error::last_os_error());
        at += sent as usize;
    }
    copied.rewind().expect("seeks");
    let mut sent = Vec::new();
    copied.read_to_end(&mut sent).expect("readable");
    assert!(sent == data, "sendfile");

    let direct = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path).expect("opens");
    let mut memory = vec![0; 2 * MIB];
    let start = memory.as_ptr().align_offset(4096);
    let buffer = &mut memory[start..start + MIB];
    assert_eq!(direct.read_at(buffer, MIB as u64).expect("direct read"), MIB);
    assert!(*buffer == data[MIB..2 * MIB]);

    assert_eq!(rig.count(|counts| &counts.reads), 0, "reads came here");
}

#[test]
fn writes_land_in_the_backing_file_and_the_size_follows() {
    let Some(rig) = rig(Answer::ByTheRules) else { return };
    let path = rig.mounted.path("new");
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).expect("creates");
    file.write_all(b"0123456789").expect("write");
    file.seek(SeekFrom::Start(1_000_000)).expect("seek");
    file.write_all(b"end").expect("write past the end");
    assert_eq!(rig.backing("new").len(), 1_000_003);

    // The kernel drops the attributes that it had and asks for those of the backing file.
    let before = rig.count(|counts| &counts.getattrs);
    let shown = fs::metadata(&path).expect("stat");
    assert!(rig.count(|counts| &counts.getattrs) > before);
    assert_eq!(shown.len(), 1_000_003);
    let backing = fs::metadata(rig.mounted.fs.directory.join("new")).expect("stat");
    assert_eq!(shown.modified().expect("mtime"), backing.modified().expect("mtime"));

    let mut map = Map::new(&file, 1_000_003, libc::PROT_READ | libc::PROT_WRITE);
    map.bytes()[..4].copy_from_slice(b"MMAP");
    drop(map);
    file.set_len(500_000).expect("ftruncate");
    assert_eq!(file.metadata().expect("fstat").len(), 500_000);
    let mut appended = OpenOptions::new().append(true).open(&path).expect("opens");
    appended.write_all(b"tail").expect("append");
    let data = rig.backing("new");
    assert_eq!((&data[..10], &data[500_000..]), (&b"MMAP456789"[..], &b"tail"[..]));
    assert_eq!(rig.count(|counts| &counts.writes), 0, "writes came here");
}

#[test]
fn direct_writes_land_in_the_backing_file() {
    let Some(rig) = rig(Answer::ByTheRules) else { return };
    let path = rig.mounted.path("new");
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(libc::O_DIRECT)
        .open(&path)
        .expect("creates");
    let memory = pattern(MIB + 4096);
    let start = memory.as_ptr().align_offset(4096);
    file.write_all_at(&memory[start..start + MIB], 8192).expect("direct write");
    assert!(rig.backing("new")[8192..] == memory[start..start + MIB]);
    assert_eq!(fs::metadata(&path).expect("stat").len(), (MIB + 8192) as u64);
    assert_eq!(rig.count(|counts| &counts.writes), 0);
}

/// The kernel hands an fsync to the file system, which has to make the backing file durable itself.
#[test]
fn fsync_still_arrives() {
    let Some(rig) = rig(Answer::ByTheRules) else { return };
    rig.file("file", b"old");
    let mut file = OpenOptions::new().write(true).open(rig.mounted.path("file")).expect("opens");
    file.write_all(b"new").expect("write");
    file.sync_all().expect("fsync");
    file.sync_data().expect("fdatasync");
    assert_eq!(rig.count(|counts| &counts.fsyncs), 2);
}

#[test]
fn a_backing_file_without_a_name_stays_readable_and_openable() {
    let Some(rig) = rig(Answer::Passthrough) else { return };
    let data = pattern(3 * MIB);
    rig.file("file", &data);
    let first = File::open(rig.mounted.path("file")).expect("opens");
    fs::rename(rig.mounted.fs.directory.join("file"), rig.mounted.fs.directory.join("gone")).expect("moves");
    fs::remove_file(rig.mounted.fs.directory.join("gone")).expect("removes");
    let second = File::open(rig.mounted.path("file")).expect("the registration is what counts");
    for file in [first, second] {
        let mut read = vec![0; data.len()];
        file.read_exact_at(&mut read, 0).expect("readable");
        assert!(read == data);
    }
    assert_eq!(rig.count(|counts| &counts.reads), 0);
}

#[test]
fn a_registration_that_was_taken_back_fails_the_open() {
    let Some(rig) = rig(Answer::PassthroughGone) else { return };
    rig.file("file", b"data");
    let error = File::open(rig.mounted.path("file")).expect_err("the kernel does not find the id");
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    *rig.mounted.fs.answer.lock() = Answer::ByTheRules;
    rig.mounted.fs.wait_released(1);
    assert_eq!(fs::read(rig.mounted.path("file")).expect("reads"), b"data");
}

#[test]
fn files_that_cannot_back_are_refused_by_name() {
    let Some(rig) = rig(Answer::ByTheRules) else { return };
    rig.file("file", b"data");
    let files = rig.mounted.fs.backing.lock().clone().expect("agreed on");
    let other = self::rig(Answer::ByTheRules).expect("one more");
    other.file("file", b"data");
    let stacked = File::open(other.mounted.path("file")).expect("opens");
    assert!(matches!(files.register(&stacked), Err(PassthroughError::Stacked)));
    let (pipe, _end) = nix::unistd::pipe().expect("a pipe");
    assert!(files.register(&pipe).is_err(), "a pipe is no file");

    let file = File::open(rig.mounted.fs.directory.join("file")).expect("opens");
    let denied = std::thread::scope(|scope| {
        let unprivileged = scope.spawn(|| {
            // SAFETY: the bare call changes the ids of this thread alone, which ends with the closure; an effective id
            // that is not 0 takes its effective capabilities.
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) };
            assert_eq!(changed, 0);
            files.register(&file)
        });
        unprivileged.join().expect("no panic")
    });
    assert!(matches!(denied, Err(PassthroughError::NotAllowed)), "{denied:?}");

    let Rig { mounted, .. } = rig;
    drop(mounted);
    assert!(matches!(files.register(&stacked), Err(PassthroughError::Ended)));
}

#[test]
fn a_probe_needs_no_mount() {
    if cannot_mount() {
        return;
    }
    let file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    match passthrough::probe(&file) {
        Err(PassthroughError::NotOffered) => {
            println!("SKIP: this kernel has no FUSE passthrough (Linux 6.9)");
            return;
        }
        probed => probed.expect("the kernel takes files of a real file system"),
    }
    let (pipe, _end) = nix::unistd::pipe().expect("a pipe");
    assert!(passthrough::probe(&pipe).is_err(), "a pipe is no file");
}

#[test]
fn switched_off_it_is_not_agreed_on() {
    if cannot_mount() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let config = SessionConfig { threads: 1, passthrough: false, ..SessionConfig::default() };
    let mounted = Mounted::new(Mirror::new(directory.path().to_owned()), &MountOptions::default(), config);
    let info = mounted.session.info();
    assert!(!info.has(Capability::Passthrough));
    let row = info.capabilities.iter().find(|row| row.capability == Capability::Passthrough);
    let reason = row.expect("every capability has a row").reason();
    assert!(reason == "switched off" || reason == "this kernel does not have it", "{reason}");
    assert!(mounted.fs.backing.lock().is_none());
}
