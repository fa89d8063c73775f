//! Reads that a ring fills from a device into the request's own memory, and answers that come from other threads.

mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

use fuse_fast::mount::MountOptions;
use fuse_fast::reply::{Reply, ReplyBuffer, ReplyData, ReplyDirectory};
use fuse_fast::session::{SessionConfig, Transport};
use fuse_fast::types::{Device, DeviceIndex, DeviceRead, OpenFlags, ReadToken};
use fuse_fast::{
    Attributes, DirHandle, Entry, Errno, FileHandle, FileSystem, NodeId, Opened, OpenedDir, OpenedFlags,
    ReadArgs, ReadDirArgs, RequestHeader, StatFs,
};
use parking_lot::Mutex;
use support::memory_fs::MemoryFs;
use support::{LONG, Mounted, cannot_mount, cannot_use_rings, pattern};

/// Where the file's bytes begin on the device: not at a page.
const LEAD: usize = 100;
const SIZE: usize = 1_000_003;

/// How a read is served.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Two device reads with bytes before what was asked for.
    Device,
    /// A device read behind the end of the device, then bytes from elsewhere.
    BrokenDevice,
    /// By another thread.
    Later,
    /// A panic when the device reads are done.
    PanicAfterRead,
}

/// Names and attributes of a [`MemoryFs`] with one file, whose bytes come as `how` says.
struct DeviceFs {
    names: MemoryFs,
    how: How,
    device: File,
    data: Vec<u8>,
    /// Takes answers to the thread that gives them.
    later: Mutex<Sender<(ReplyData, Vec<u8>)>>,
    finished: AtomicU64,
    failed: AtomicU64,
}

impl DeviceFs {
    fn new(how: How) -> DeviceFs {
        let names = MemoryFs::new(LONG, OpenedFlags::DIRECT_IO);
        let data = pattern(SIZE);
        names.add_file(NodeId::ROOT, "file", data.clone());
        let device = tempfile::tempfile().expect("a file");
        device.write_all_at(&data, LEAD as u64).expect("written");
        let (later, waiting) = channel::<(ReplyData, Vec<u8>)>();
        std::thread::spawn(move || waiting.into_iter().for_each(|(reply, bytes)| reply.bytes(&bytes)));
        DeviceFs { names, how, device, data, later: Mutex::new(later), finished: 0.into(), failed: 0.into() }
    }

    fn bytes(&self, args: &ReadArgs) -> &[u8] {
        let start = self.data.len().min(args.offset as usize);
        &self.data[start..self.data.len().min(start + args.size_bytes as usize)]
    }
}

impl FileSystem for DeviceFs {
    type Worker = ();

    fn worker(&self, _index: usize) -> io::Result<()> {
        Ok(())
    }

    fn devices(&self) -> Vec<Device<'_>> {
        vec![Device { file: self.device.as_fd(), unit_bytes: 1 }]
    }

    fn read(&self, (): &mut (), _request: &RequestHeader, args: &ReadArgs, reply: ReplyData) {
        let wanted = self.bytes(args);
        if wanted.is_empty() {
            return reply.bytes(&[]);
        }
        if self.how == How::Later {
            return self.later.lock().send((reply, wanted.to_vec())).expect("the thread lives");
        }
        let reply = reply.buffered().expect("a ring has memory of its requests");
        // What was asked for and up to LEAD bytes before it, in two pieces that arrive in any order.
        let lead = LEAD.min(4096);
        let broken = if self.how == How::BrokenDevice { 1 << 40 } else { 0 };
        let offset = args.offset + broken;
        let half = wanted.len() / 2;
        let one = |offset, position, length| DeviceRead { device: DeviceIndex(0), offset, position, length };
        let fits = wanted.len() + lead <= args.size_bytes as usize;
        match fits {
            true => reply.read(
                &[
                    one(offset, 0, lead + half),
                    one(offset + (lead + half) as u64, lead + half, wanted.len() - half),
                ],
                ReadToken(lead as u64),
            ),
            false => reply.read(&[one(offset + lead as u64, 0, wanted.len())], ReadToken(0)),
        }
    }

    fn device_read_done(
        &self,
        (): &mut (),
        _request: &RequestHeader,
        args: &ReadArgs,
        token: ReadToken,
        result: Result<(), Errno>,
        mut reply: ReplyBuffer,
    ) {
        assert!(self.how != How::PanicAfterRead, "planted panic after a read");
        let wanted = self.bytes(args);
        self.finished.fetch_add(1, Ordering::Relaxed);
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return reply.into_data().bytes(wanted);
        }
        let start = token.0 as usize;
        assert!(reply.with(|memory| memory[start..start + wanted.len()] == *wanted), "read as asked for");
        reply.filled(start..start + wanted.len());
    }

    fn lookup(&self, request: &RequestHeader, parent: NodeId, name: &OsStr, reply: Reply<Entry>) {
        self.names.lookup(request, parent, name, reply);
    }

    fn forget(&self, node: NodeId, count: u64) {
        self.names.forget(node, count);
    }

    fn getattr(
        &self,
        request: &RequestHeader,
        node: NodeId,
        handle: Option<FileHandle>,
        reply: Reply<Attributes>,
    ) {
        self.names.getattr(request, node, handle, reply);
    }

    fn open(&self, request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<Opened>) {
        self.names.open(request, node, flags, reply);
    }

    fn release(&self, request: &RequestHeader, node: NodeId, handle: FileHandle, reply: Reply<()>) {
        self.names.release(request, node, handle, reply);
    }

    fn opendir(&self, request: &RequestHeader, node: NodeId, flags: OpenFlags, reply: Reply<OpenedDir>) {
        self.names.opendir(request, node, flags, reply);
    }

    fn readdir(&self, request: &RequestHeader, args: &ReadDirArgs, reply: ReplyDirectory) {
        self.names.readdir(request, args, reply);
    }

    fn releasedir(&self, request: &RequestHeader, node: NodeId, handle: DirHandle, reply: Reply<()>) {
        self.names.releasedir(request, node, handle, reply);
    }

    fn statfs(&self, request: &RequestHeader, node: NodeId, reply: Reply<StatFs>) {
        self.names.statfs(request, node, reply);
    }
}

fn mounted(how: How) -> Mounted<DeviceFs> {
    let config = SessionConfig { threads: 2, transport: Transport::Ring, ..SessionConfig::default() };
    Mounted::new(DeviceFs::new(how), &MountOptions::default(), config)
}

/// Eight readers at odd places, a few hundred requests.
fn read_at_odd_places(mounted: &Mounted<DeviceFs>) {
    let data = &mounted.fs.data;
    std::thread::scope(|scope| {
        for reader in 0..8_usize {
            scope.spawn(move || {
                let file = File::open(mounted.path("file")).expect("opens");
                for step in 0..60_usize {
                    let start = (reader * 611_953 + step * 98_317) % SIZE;
                    let mut buffer = vec![0; [1, 511, 4096, 70_001, 300_000][step % 5]];
                    let count = file.read_at(&mut buffer, start as u64).expect("readable");
                    assert_eq!(count, (SIZE - start).min(buffer.len()));
                    assert!(buffer[..count] == data[start..start + count], "{count} bytes at {start}");
                }
            });
        }
    });
}

#[test]
fn a_ring_reads_devices_into_the_requests_own_memory() {
    if cannot_mount() || cannot_use_rings() {
        return;
    }
    let mounted = mounted(How::Device);
    read_at_odd_places(&mounted);
    assert!(mounted.fs.finished.load(Ordering::Relaxed) >= 480);
    assert_eq!(mounted.fs.failed.load(Ordering::Relaxed), 0);
    let stats = mounted.session.stats();
    assert_eq!((stats.refused_answers, stats.dropped_replies, stats.panics), (0, 0, 0), "{stats:?}");
}

#[test]
fn a_failed_device_read_is_told_and_can_be_answered_from_elsewhere() {
    if cannot_mount() || cannot_use_rings() {
        return;
    }
    let mounted = mounted(How::BrokenDevice);
    read_at_odd_places(&mounted);
    let finished = mounted.fs.finished.load(Ordering::Relaxed);
    assert!(finished >= 480 && finished == mounted.fs.failed.load(Ordering::Relaxed));
}

/// Answers from another thread wake the thread of the ring, however busy it is.
#[test]
fn answers_from_another_thread_arrive() {
    if cannot_mount() || cannot_use_rings() {
        return;
    }
    let mounted = mounted(How::Later);
    read_at_odd_places(&mounted);
}

#[test]
fn a_panic_after_a_device_read_costs_one_request() {
    if cannot_mount() || cannot_use_rings() {
        return;
    }
    let mounted = mounted(How::PanicAfterRead);
    for _ in 0..5 {
        let error = fs::read(mounted.path("file")).expect_err("planted");
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
    }
    let stats = mounted.session.stats();
    assert!(stats.panics >= 5 && stats.dropped_replies == stats.panics, "{stats:?}");
    assert!(fs::metadata(mounted.path("file")).is_ok());
}
