//! Operations that change a file system, as the kernel encodes them: each call arrives as what it was.

mod support;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::time::{Duration, UNIX_EPOCH};

use fuse_fast::mount::MountOptions;
use fuse_fast::reply::{Reply, ReplyData, ReplyDirectory};
use fuse_fast::session::SessionConfig;
use fuse_fast::types::{
    AccessMask, CopyRange, CreateArgs, Created, FallocateArgs, FileLock, FileOffset, LockArgs, OpenFlags,
    RenameFlags, SeekFrom, SetAttributes, SetTime, StatxArgs, StatxAttributes, WriteArgs, Written,
};
use fuse_fast::{
    Attributes, DirHandle, Entry, FileHandle, FileKind, FileSystem, NodeId, Opened, OpenedDir, OpenedFlags,
    ReadArgs, ReadDirArgs, RequestHeader, StatFs, Timestamp,
};
use parking_lot::Mutex;
use support::{Mounted, cannot_mount};

/// Answers every change with success and writes down what it was. Names that start with `new` do not exist.
#[derive(Default)]
struct Recorder {
    calls: Mutex<Vec<String>>,
}

impl Recorder {
    fn record(&self, call: String) {
        self.calls.lock().push(call);
    }
}

fn attributes(node: NodeId, kind: FileKind) -> Attributes {
    Attributes {
        ino: node.0,
        size_bytes: 1000,
        blocks_512: 2,
        atime: Timestamp::default(),
        mtime: Timestamp::default(),
        ctime: Timestamp::default(),
        kind,
        permissions: 0o755,
        links: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        block_size_bytes: 4096,
        valid: Duration::ZERO,
    }
}

fn kind_of(node: NodeId) -> FileKind {
    if matches!(node, NodeId::ROOT | NodeId(2)) { FileKind::Directory } else { FileKind::Regular }
}

fn entry(node: u64, kind: FileKind) -> Entry {
    Entry::new(NodeId(node), attributes(NodeId(node), kind), Duration::ZERO)
}

impl FileSystem for Recorder {
    type Worker = ();

    fn worker(&self, _index: usize) -> io::Result<()> {
        Ok(())
    }

    fn lookup(&self, _request: &RequestHeader, _parent: NodeId, name: &OsStr, reply: Reply<Entry>) {
        match name.to_str() {
            Some("dir") => reply.ok(entry(2, FileKind::Directory)),
            Some("file") => reply.ok(entry(3, FileKind::Regular)),
            Some("other") => reply.ok(entry(4, FileKind::Regular)),
            _ => reply.ok(Entry::negative(Duration::ZERO)),
        }
    }

    fn forget(&self, _node: NodeId, _count: u64) {}

    fn getattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        _handle: Option<FileHandle>,
        reply: Reply<Attributes>,
    ) {
        reply.ok(attributes(node, kind_of(node)));
    }

    fn statx(&self, _request: &RequestHeader, args: &StatxArgs, reply: Reply<StatxAttributes>) {
        let attributes = attributes(args.node, kind_of(args.node));
        reply.ok(StatxAttributes { attributes, btime: Some(Timestamp { seconds: 77, nanos: 5 }) });
    }

    fn setattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        change: &SetAttributes,
        reply: Reply<Attributes>,
    ) {
        let mut words = vec![format!("setattr {}", node.0)];
        words.extend(change.handle.map(|handle| format!("handle={}", handle.0)));
        words.extend(change.mode.map(|mode| format!("mode={mode:o}")));
        words.extend(change.uid.map(|uid| format!("uid={uid}")));
        words.extend(change.gid.map(|gid| format!("gid={gid}")));
        words.extend(change.size_bytes.map(|size| format!("size={size}")));
        for (name, time) in [("atime", change.atime), ("mtime", change.mtime)] {
            words.extend(time.map(|time| match time {
                SetTime::Now => format!("{name}=now"),
                SetTime::At(at) => format!("{name}={}.{}", at.seconds, at.nanos),
            }));
        }
        self.record(words.join(" "));
        reply.ok(attributes(node, kind_of(node)));
    }

    fn symlink(
        &self,
        _request: &RequestHeader,
        parent: NodeId,
        name: &OsStr,
        target: &OsStr,
        reply: Reply<Entry>,
    ) {
        self.record(format!("symlink {} {name:?} {target:?}", parent.0));
        reply.ok(entry(10, FileKind::Symlink));
    }

    fn mknod(
        &self,
        _request: &RequestHeader,
        parent: NodeId,
        name: &OsStr,
        mode: u32,
        _rdev: u32,
        reply: Reply<Entry>,
    ) {
        self.record(format!("mknod {} {name:?} {mode:o}", parent.0));
        reply.ok(entry(11, FileKind::Fifo));
    }

    fn mkdir(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, mode: u32, reply: Reply<Entry>) {
        self.record(format!("mkdir {} {name:?} {mode:o}", parent.0));
        reply.ok(entry(12, FileKind::Directory));
    }

    fn unlink(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<()>) {
        self.record(format!("unlink {} {name:?}", parent.0));
        reply.ok(());
    }

    fn rmdir(&self, _request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<()>) {
        self.record(format!("rmdir {} {name:?}", parent.0));
        reply.ok(());
    }

    fn rename(
        &self,
        _request: &RequestHeader,
        from: (NodeId, &OsStr),
        to: (NodeId, &OsStr),
        flags: RenameFlags,
        reply: Reply<()>,
    ) {
        self.record(format!("rename {} {:?} {} {:?} {:x}", from.0.0, from.1, to.0.0, to.1, flags.0));
        reply.ok(());
    }

    fn link(&self, _request: &RequestHeader, node: NodeId, to: (NodeId, &OsStr), reply: Reply<Entry>) {
        self.record(format!("link {} {} {:?}", node.0, to.0.0, to.1));
        reply.ok(entry(node.0, FileKind::Regular));
    }

    fn open(&self, _request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<Opened>) {
        if flags.writes() {
            self.record(format!("open {} append={}", node.0, flags.appends()));
        }
        reply.ok(Opened { handle: FileHandle(node.0 * 100), flags: OpenedFlags::DIRECT_IO });
    }

    fn create(
        &self,
        _request: &RequestHeader,
        parent: NodeId,
        name: &OsStr,
        args: &CreateArgs,
        reply: Reply<Created>,
    ) {
        self.record(format!("create {} {name:?} {:o} umask={:o}", parent.0, args.mode, args.umask));
        let opened = Opened { handle: FileHandle(1300), flags: OpenedFlags::NONE };
        reply.ok(Created { entry: entry(13, FileKind::Regular), opened });
    }

    fn read(&self, (): &mut (), _request: &RequestHeader, _args: &ReadArgs, reply: ReplyData) {
        reply.bytes(&[]);
    }

    fn write(
        &self,
        (): &mut (),
        _request: &RequestHeader,
        args: &WriteArgs,
        data: &[u8],
        reply: Reply<Written>,
    ) {
        let text = String::from_utf8_lossy(&data[..data.len().min(20)]);
        self.record(format!(
            "write {} {} +{} {} {text}",
            args.node.0,
            args.handle.0,
            args.offset,
            data.len()
        ));
        reply.ok(Written(data.len() as u32));
    }

    fn flush(&self, _request: &RequestHeader, _node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn release(&self, _request: &RequestHeader, _node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn fsync(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        handle: FileHandle,
        data_only: bool,
        reply: Reply<()>,
    ) {
        self.record(format!("fsync {} {} data_only={data_only}", node.0, handle.0));
        reply.ok(());
    }

    fn fallocate(&self, _request: &RequestHeader, args: &FallocateArgs, reply: Reply<()>) {
        self.record(format!(
            "fallocate {} +{} {} {}",
            args.node.0, args.offset, args.length_bytes, args.mode
        ));
        reply.ok(());
    }

    fn lseek(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        _handle: FileHandle,
        offset: FileOffset,
        from: SeekFrom,
        reply: Reply<FileOffset>,
    ) {
        self.record(format!("lseek {} {} {from:?}", node.0, offset.0));
        reply.ok(FileOffset(offset.0 + 1));
    }

    fn copy_file_range(&self, _request: &RequestHeader, args: &CopyRange, reply: Reply<Written>) {
        let (from, to) = (args.from.0, args.to.0);
        self.record(format!(
            "copy {from} +{} {to} +{} {}",
            args.from_offset, args.to_offset, args.length_bytes
        ));
        reply.ok(Written(args.length_bytes as u32));
    }

    fn opendir(&self, _request: &RequestHeader, node: NodeId, _flags: OpenFlags, reply: Reply<OpenedDir>) {
        reply.ok(OpenedDir { handle: DirHandle(node.0 * 100), flags: OpenedFlags::NONE });
    }

    fn readdir(&self, _request: &RequestHeader, _args: &ReadDirArgs, reply: ReplyDirectory) {
        reply.ok();
    }

    fn releasedir(&self, _request: &RequestHeader, _node: NodeId, _handle: DirHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn fsyncdir(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        handle: DirHandle,
        data_only: bool,
        reply: Reply<()>,
    ) {
        self.record(format!("fsyncdir {} {} data_only={data_only}", node.0, handle.0));
        reply.ok(());
    }

    fn statfs(&self, _request: &RequestHeader, _node: NodeId, reply: Reply<StatFs>) {
        reply.error(fuse_fast::Errno::ENOSYS);
    }

    fn access(&self, _request: &RequestHeader, node: NodeId, mask: AccessMask, reply: Reply<()>) {
        self.record(format!("access {} {}", node.0, mask.0));
        reply.ok(());
    }

    fn setxattr(
        &self,
        _request: &RequestHeader,
        node: NodeId,
        name: &OsStr,
        value: &[u8],
        flags: u32,
        reply: Reply<()>,
    ) {
        self.record(format!("setxattr {} {name:?} {} {flags}", node.0, String::from_utf8_lossy(value)));
        reply.ok(());
    }

    fn removexattr(&self, _request: &RequestHeader, node: NodeId, name: &OsStr, reply: Reply<()>) {
        self.record(format!("removexattr {} {name:?}", node.0));
        reply.ok(());
    }

    fn getlk(&self, _request: &RequestHeader, _args: &LockArgs, _reply: Reply<FileLock>) {
        panic!("locks stay in the kernel");
    }
}

fn mounted_rw(default_permissions: bool) -> Mounted<Recorder> {
    let options = MountOptions { read_only: false, default_permissions, ..MountOptions::default() };
    Mounted::new(Recorder::default(), &options, SessionConfig { threads: 2, ..SessionConfig::default() })
}

/// Runs `act` and gives what arrived.
fn calls(mounted: &Mounted<Recorder>, act: impl FnOnce()) -> Vec<String> {
    mounted.fs.calls.lock().clear();
    act();
    std::mem::take(&mut *mounted.fs.calls.lock())
}

#[test]
fn names_are_made_moved_and_removed() {
    if cannot_mount() {
        return;
    }
    let mounted = mounted_rw(true);
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
}

#[test]
fn attributes_are_set() {
    if cannot_mount() {
        return;
    }
    let mounted = mounted_rw(true);
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
}

#[test]
fn data_is_written_and_made_durable() {
    if cannot_mount() {
        return;
    }
    let mounted = mounted_rw(true);
    let arrived = calls(&mounted, || {
        let mut options = OpenOptions::new();
        let mut fresh =
            options.write(true).create_new(true).mode(0o640).open(mounted.path("new-file")).expect("create");
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
}

fn copy_file_range(from: &File, mut from_offset: i64, to: &File, mut to_offset: i64, length: usize) -> isize {
    // SAFETY: the call reads and writes the two offsets, which live over it; the descriptors are open.
    unsafe {
        libc::copy_file_range(from.as_raw_fd(), &mut from_offset, to.as_raw_fd(), &mut to_offset, length, 0)
    }
}

#[test]
fn space_holes_and_copies_arrive() {
    if cannot_mount() {
        return;
    }
    let mounted = mounted_rw(true);
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
}

#[test]
fn extended_attributes_and_access_arrive() {
    if cannot_mount() {
        return;
    }
    // With default_permissions the kernel would check access itself.
    let mounted = mounted_rw(false);
    let script = "import os,sys\np=sys.argv[1]\nos.setxattr(p,'user.a',b'value',os.XATTR_CREATE)\n\
                  os.removexattr(p,'user.a')\nassert os.access(p,os.R_OK)\n";
    let mut ran = false;
    let arrived = calls(&mounted, || {
        let status =
            std::process::Command::new("python3").arg("-c").arg(script).arg(mounted.path("file")).status();
        ran = status.map(|status| assert!(status.success())).is_ok();
    });
    if !ran {
        println!("SKIP: no python3 to set extended attributes with");
        return;
    }
    assert!(arrived.contains(&r#"setxattr 3 "user.a" value 1"#.to_owned()), "{arrived:?}");
    assert!(arrived.contains(&r#"removexattr 3 "user.a""#.to_owned()), "{arrived:?}");
    assert!(arrived.contains(&"access 3 4".to_owned()), "{arrived:?}");
}

#[test]
fn the_time_of_birth_arrives() {
    if cannot_mount() {
        return;
    }
    let mounted = mounted_rw(true);
    if mounted.session.info().protocol.minor < 39 {
        println!("SKIP: this kernel speaks less than 7.39");
        return;
    }
    let created = fs::metadata(mounted.path("file")).expect("there").created().expect("statx has it");
    assert_eq!(created.duration_since(UNIX_EPOCH).expect("after 1970"), Duration::new(77, 5));
}

/// Without a word about changes a file system refuses them like one that is read-only, though the mount is not.
#[test]
fn defaults_refuse_changes() {
    if cannot_mount() {
        return;
    }
    let fs = support::memory(support::LONG);
    fs.add_file(NodeId::ROOT, "file", &b"data"[..]);
    fs.add_directory(NodeId::ROOT, "dir");
    let options = MountOptions { read_only: false, ..MountOptions::default() };
    let mounted = Mounted::new(fs, &options, SessionConfig::default());
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
}
