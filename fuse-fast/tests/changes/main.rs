//! Operations that change a file system, as the kernel encodes them: each call arrives as what it was.

mod recorder;
#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::time::{Duration, UNIX_EPOCH};

use fuse_fast::NodeId;
use fuse_fast::mount::MountOptions;
use fuse_fast::session::{SessionConfig, Transport};
use recorder::Recorder;
use support::{Mounted, on_every_transport};

fn mounted_rw(transport: Transport, default_permissions: bool) -> Mounted<Recorder> {
    let options = MountOptions { read_only: false, default_permissions, ..MountOptions::default() };
    Mounted::new(
        Recorder::default(),
        &options,
        SessionConfig { threads: 2, transport, ..SessionConfig::default() },
    )
}

/// Runs `act` and gives what arrived.
fn calls(mounted: &Mounted<Recorder>, act: impl FnOnce()) -> Vec<String> {
    mounted.fs.calls.lock().clear();
    act();
    std::mem::take(&mut *mounted.fs.calls.lock())
}

#[test]
fn names_are_made_moved_and_removed() {
    on_every_transport(|transport| {
        let mounted = mounted_rw(transport, true);
        let path = |name: &str| mounted.path(name);
        // A umask of the whole process, which other tests here do not depend on.
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o027));
        let arrived = calls(&mounted, || {
            fs::create_dir(path("new-dir")).expect("mkdir");
            fs::create_dir(path("dir/new-dir")).expect("mkdir");
            nix::unistd::mkfifo(&path("new-pipe"), nix::sys::stat::Mode::from_bits_truncate(0o666))
                .expect("mkfifo");
            std::os::unix::fs::symlink("some/where", path("new-link")).expect("symlink");
            fs::hard_link(path("file"), path("dir/new-name")).expect("link");
            fs::rename(path("file"), path("dir/new-name")).expect("rename");
            fs::remove_file(path("file")).expect("unlink");
            fs::remove_dir(path("dir")).expect("rmdir");
        });
        let expected = [
            r#"mkdir 1 "new-dir" 750"#,
            r#"mkdir 2 "new-dir" 750"#,
            r#"mknod 1 "new-pipe" 10640"#,
            r#"symlink 1 "new-link" "some/where""#,
            r#"link 3 2 "new-name""#,
            r#"rename 1 "file" 2 "new-name" 0"#,
            r#"unlink 1 "file""#,
            r#"rmdir 1 "dir""#,
        ];
        assert_eq!(arrived, expected);
    });
}

#[test]
fn attributes_are_set() {
    on_every_transport(|transport| {
        let mounted = mounted_rw(transport, true);
        let file = mounted.path("file");
        let arrived = calls(&mounted, || {
            fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("chmod");
            std::os::unix::fs::chown(&file, Some(7), None).expect("chown");
            let open = OpenOptions::new().write(true).open(&file).expect("opens");
            open.set_len(55).expect("ftruncate");
            let times = fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::new(100, 5));
            open.set_times(times).expect("futimens");
        });
        assert_eq!(arrived[0], "setattr 3 mode=100600");
        assert_eq!(arrived[1], "setattr 3 uid=7");
        assert_eq!(arrived[2], "open 3 append=false");
        assert!(arrived[3].starts_with("setattr 3 handle=300 size=55"), "{arrived:?}");
        assert!(arrived[4].ends_with("mtime=100.5"), "{arrived:?}");
    });
}

#[test]
fn data_is_written_and_made_durable() {
    on_every_transport(|transport| {
        let mounted = mounted_rw(transport, true);
        let arrived = calls(&mounted, || {
            let mut options = OpenOptions::new();
            let mut fresh = options
                .write(true)
                .create_new(true)
                .mode(0o640)
                .open(mounted.path("new-file"))
                .expect("create");
            fresh.write_all(b"hello").expect("write");
            fresh.sync_all().expect("fsync");
        });
        assert!(arrived[0].starts_with(r#"create 1 "new-file" 100640 umask="#), "{arrived:?}");
        assert_eq!(arrived[1], "write 13 1300 +0 5 hello");
        assert_eq!(arrived[2], "fsync 13 1300 data_only=false");
        let arrived = calls(&mounted, || {
            let file = OpenOptions::new().append(true).open(mounted.path("file")).expect("opens");
            file.write_all_at(&vec![b'x'; 300_000], 4096).expect("write");
            file.sync_data().expect("fdatasync");
            File::open(mounted.path("dir")).expect("opens").sync_all().expect("fsync of a directory");
        });
        assert_eq!(arrived[0], "open 3 append=true");
        // Appended at the size, 1000, in pieces of at most max_write; with pages that are not aligned one more may come.
        let written: u64 = arrived
            .iter()
            .filter(|call| call.starts_with("write"))
            .map(|call| call.split(' ').nth(4).and_then(|size| size.parse::<u64>().ok()).expect("a size"))
            .sum();
        assert_eq!(written, 300_000);
        assert!(arrived[1].starts_with("write 3 300 +1000 "), "{arrived:?}");
        assert!(arrived.contains(&"fsync 3 300 data_only=true".to_owned()), "{arrived:?}");
        assert!(arrived.contains(&"fsyncdir 2 200 data_only=false".to_owned()), "{arrived:?}");
    });
}

fn copy_file_range(from: &File, mut from_offset: i64, to: &File, mut to_offset: i64, length: usize) -> isize {
    // SAFETY: the call reads and writes the two offsets, which live over it; the descriptors are open.
    unsafe {
        libc::copy_file_range(from.as_raw_fd(), &mut from_offset, to.as_raw_fd(), &mut to_offset, length, 0)
    }
}

#[test]
fn space_holes_and_copies_arrive() {
    on_every_transport(|transport| {
        let mounted = mounted_rw(transport, true);
        let arrived = calls(&mounted, || {
            let file = OpenOptions::new().read(true).write(true).open(mounted.path("file")).expect("opens");
            let other = OpenOptions::new().read(true).write(true).open(mounted.path("other")).expect("opens");
            nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::FALLOC_FL_KEEP_SIZE, 10, 20)
                .expect("fallocate");
            let hole = nix::unistd::lseek(&file, 30, nix::unistd::Whence::SeekHole).expect("lseek");
            assert_eq!(hole, 31);
            assert_eq!(copy_file_range(&file, 5, &other, 6, 70), 70);
        });
        assert!(arrived.contains(&"fallocate 3 +10 20 1".to_owned()), "{arrived:?}");
        assert!(arrived.contains(&"lseek 3 30 Hole".to_owned()), "{arrived:?}");
        assert!(arrived.contains(&"copy 3 +5 4 +6 70".to_owned()), "{arrived:?}");
    });
}

#[test]
fn extended_attributes_and_access_arrive() {
    on_every_transport(|transport| {
        // With default_permissions the kernel would check access itself.
        let mounted = mounted_rw(transport, false);
        let script = "import os,sys\np=sys.argv[1]\nos.setxattr(p,'user.a',b'value',os.XATTR_CREATE)\n\
                  os.removexattr(p,'user.a')\nassert os.access(p,os.R_OK)\n";
        let mut ran = false;
        let arrived = calls(&mounted, || {
            let status = std::process::Command::new("python3")
                .arg("-c")
                .arg(script)
                .arg(mounted.path("file"))
                .status();
            ran = status.map(|status| assert!(status.success())).is_ok();
        });
        if !ran {
            println!("SKIP: no python3 to set extended attributes with");
            return;
        }
        assert!(arrived.contains(&r#"setxattr 3 "user.a" value 1"#.to_owned()), "{arrived:?}");
        assert!(arrived.contains(&r#"removexattr 3 "user.a""#.to_owned()), "{arrived:?}");
        assert!(arrived.contains(&"access 3 4".to_owned()), "{arrived:?}");
    });
}

#[test]
fn the_time_of_birth_arrives() {
    on_every_transport(|transport| {
        let mounted = mounted_rw(transport, true);
        if mounted.session.info().protocol.minor < 39 {
            println!("SKIP: this kernel speaks less than 7.39");
            return;
        }
        let created = fs::metadata(mounted.path("file")).expect("there").created().expect("statx has it");
        assert_eq!(created.duration_since(UNIX_EPOCH).expect("after 1970"), Duration::new(77, 5));
    });
}

/// Without a word about changes a file system refuses them like one that is read-only, though the mount is not.
#[test]
fn defaults_refuse_changes() {
    on_every_transport(|transport| {
        let fs = support::memory(support::LONG);
        fs.add_file(NodeId::ROOT, "file", &b"data"[..]);
        fs.add_directory(NodeId::ROOT, "dir");
        let options = MountOptions { read_only: false, ..MountOptions::default() };
        let mounted = Mounted::new(fs, &options, SessionConfig { transport, ..SessionConfig::default() });
        let path = |name: &str| mounted.path(name);
        let errnos = [
            fs::create_dir(path("new")).err(),
            File::create(path("new")).err(),
            fs::remove_file(path("file")).err(),
            fs::remove_dir(path("dir")).err(),
            fs::rename(path("file"), path("new")).err(),
            fs::hard_link(path("file"), path("new")).err(),
            std::os::unix::fs::symlink("x", path("new")).err(),
            OpenOptions::new().write(true).open(path("file")).err(),
            fs::set_permissions(path("file"), Permissions::from_mode(0o600)).err(),
        ]
        .map(|error| error.and_then(|error| error.raw_os_error()));
        assert_eq!(errnos, [Some(libc::EROFS); 9]);
        // Locks are the kernel's own affair, and a sync of what can't be dirty is done.
        File::open(path("file")).expect("opens").sync_all().expect("nothing to do");
    });
}
