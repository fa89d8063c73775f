//! A session against a kernel that the test plays: the other end of a socket that keeps messages apart, as /dev/fuse
//! does. For what a real kernel of one version does not show.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use parking_lot::Mutex;
use zerocopy::{FromBytes, IntoBytes};

use super::{RingRefusal, Session, SessionConfig, SessionError, Transport};
use crate::FileSystem;
use crate::mount::FuseDevice;
use crate::negotiate::{Capability, ProtocolVersion};
use crate::notify::{Notifier, NotifyError};
use crate::reply::{Reply, ReplyData, ReplyDirectory};
use crate::sys::abi::{fuse_in_header, fuse_init_out, fuse_out_header};
use crate::types::*;

/// Answers what a test needs.
#[derive(Default)]
struct Fake {
    notifier: Mutex<Option<Notifier>>,
    in_handler: Mutex<Option<Result<(), NotifyError>>>,
}

impl FileSystem for Fake {
    type Worker = ();

    fn worker(&self, index: usize) -> io::Result<()> {
        if index == 7 { Err(io::Error::other("planted")) } else { Ok(()) }
    }

    fn lookup(&self, _request: &RequestHeader, _parent: NodeId, _name: &OsStr, reply: Reply<Entry>) {
        let notifier = self.notifier.lock().clone();
        *self.in_handler.lock() = notifier.map(|notifier| notifier.inval_attributes(NodeId::ROOT));
        reply.ok(Entry::negative(std::time::Duration::ZERO));
    }

    fn forget(&self, _node: NodeId, _count: u64) {}

    fn getattr(
        &self,
        _request: &RequestHeader,
        _node: NodeId,
        _: Option<FileHandle>,
        reply: Reply<Attributes>,
    ) {
        reply.error(Errno::ESTALE);
    }

    fn open(&self, _request: &RequestHeader, _node: NodeId, _flags: OpenFlags, reply: Reply<Opened>) {
        reply.error(Errno::ENOENT);
    }

    fn read(&self, (): &mut (), _request: &RequestHeader, args: &ReadArgs, reply: ReplyData) {
        // As many runs of one byte as asked for.
        let runs = vec![io::IoSlice::new(b"r"); args.size_bytes as usize];
        reply.vectored(&runs);
    }

    fn release(&self, _request: &RequestHeader, _node: NodeId, _handle: FileHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn opendir(&self, _request: &RequestHeader, _node: NodeId, _flags: OpenFlags, reply: Reply<OpenedDir>) {
        reply.error(Errno::ENOENT);
    }

    fn readdir(&self, _request: &RequestHeader, _args: &ReadDirArgs, reply: ReplyDirectory) {
        reply.ok();
    }

    fn releasedir(&self, _request: &RequestHeader, _node: NodeId, _handle: DirHandle, reply: Reply<()>) {
        reply.ok(());
    }

    fn statfs(&self, _request: &RequestHeader, _node: NodeId, reply: Reply<StatFs>) {
        reply.error(Errno::ENOENT);
    }
}

struct Kernel(OwnedFd);

/// Both ends of a connection.
fn connection() -> (Kernel, FuseDevice) {
    let (kernel, device) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
    (Kernel(kernel), FuseDevice::of_test(device))
}

impl Kernel {
    fn send(&self, opcode: u32, unique: u64, body: &[u8]) {
        let len = (size_of::<fuse_in_header>() + body.len()) as u32;
        let header = fuse_in_header { len, opcode, unique, nodeid: 1, ..fuse_in_header::default() };
        nix::unistd::write(&self.0, &[header.as_bytes(), body].concat()).expect("sent");
    }

    /// INIT as Linux sends it: 16 bytes up to 7.35, 64 since.
    fn send_init(&self, major: u32, minor: u32, flags: u64) {
        let mut words = vec![major, minor, 131_072, flags as u32];
        if minor >= 36 {
            words.push((flags >> 32) as u32);
            words.resize(16, 0);
        }
        self.send(26, 1, words.as_bytes());
    }

    fn receive(&self) -> (fuse_out_header, Vec<u8>) {
        let mut buffer = vec![0; 1 << 20];
        let length = nix::unistd::read(&self.0, &mut buffer).expect("an answer");
        let (header, _) = fuse_out_header::read_from_prefix(&buffer).expect("a header");
        assert_eq!(header.len as usize, length, "the header counts the message");
        (header, buffer[size_of::<fuse_out_header>()..length].to_vec())
    }

    fn receive_init(&self) -> fuse_init_out {
        let (header, body) = self.receive();
        assert_eq!((header.error, header.unique, body.len()), (0, 1, 64));
        fuse_init_out::read_from_bytes(&body).expect("64 bytes")
    }
}

fn config() -> SessionConfig {
    SessionConfig { threads: 2, transport: Transport::Device, ..SessionConfig::default() }
}

/// A session whose kernel offers everything.
fn started() -> (Kernel, Session<Fake>) {
    let (kernel, device) = connection();
    kernel.send_init(7, 45, u64::MAX);
    let session = Session::start(device, Arc::new(Fake::default()), config()).expect("starts");
    kernel.receive_init();
    (kernel, session)
}

fn finish(kernel: Kernel, session: Session<Fake>) {
    drop(kernel);
    session.wait().expect("the end of the connection is a clean end");
}

#[test]
fn an_old_kernel_gets_what_it_offers() {
    let (kernel, device) = connection();
    let offered =
        Capability::AsyncRead.mask() | Capability::MaxPages.mask() | Capability::WritebackCache.mask();
    kernel.send_init(7, 31, offered);
    let session = Session::start(device, Arc::new(Fake::default()), config()).expect("7.31 is enough");
    let init = kernel.receive_init();
    // FUSE_ASYNC_READ and FUSE_MAX_PAGES: what is offered and wanted. The write-back cache is not.
    assert_eq!((init.flags, init.flags2), ((1 << 0) | (1 << 22), 0));
    assert_eq!((init.major, init.max_readahead), (7, 131_072));
    assert_eq!(session.info().protocol, ProtocolVersion { major: 7, minor: 31 });
    assert_eq!(session.info().kernel, ProtocolVersion { major: 7, minor: 31 });
    assert!(!session.info().has(Capability::DoReaddirplus));
    finish(kernel, session);
}

#[test]
fn the_second_word_of_flags_is_agreed_on() {
    let (kernel, device) = connection();
    kernel.send_init(7, 45, u64::MAX);
    let config = SessionConfig { max_background: 100, ..config() };
    let session = Session::start(device, Arc::new(Fake::default()), config).expect("starts");
    let init = kernel.receive_init();
    assert_ne!(init.flags & (1 << 30), 0, "FUSE_INIT_EXT");
    // FUSE_HAS_EXPIRE_ONLY is 1 << 35, FUSE_PASSTHROUGH 1 << 37, FUSE_OVER_IO_URING 1 << 41.
    assert_ne!(init.flags2 & (1 << 3), 0);
    assert_ne!(init.flags2 & (1 << 5), 0);
    // Backing files on file systems that stack on none: the kernel takes 1 and 2, and 0 switches passthrough off.
    assert_eq!(init.max_stack_depth, 1);
    assert_eq!(init.flags2 & (1 << 9), 0);
    assert_eq!((init.max_background, init.congestion_threshold, init.max_write), (100, 75, 131_072));
    finish(kernel, session);
}

#[test]
fn a_newer_major_version_starts_over() {
    let (kernel, device) = connection();
    kernel.send_init(8, 0, 0);
    kernel.send_init(7, 45, 0);
    let session =
        Session::start(device, Arc::new(Fake::default()), config()).expect("the second INIT is ours");
    assert_eq!(kernel.receive_init().major, 7);
    assert_eq!(kernel.receive_init().major, 7);
    finish(kernel, session);
}

#[test]
fn kernels_that_are_too_old_are_refused() {
    for minor in [12, 30] {
        let (kernel, device) = connection();
        kernel.send_init(7, minor, u64::MAX);
        let error = Session::start(device, Arc::new(Fake::default()), config()).expect_err("too old");
        assert!(matches!(error, SessionError::KernelTooOld { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("7.{minor}")), "{error}");
        assert_eq!(kernel.receive().0.error, -libc::EPROTO);
    }
}

#[test]
fn a_first_request_that_is_no_init_is_refused() {
    for (opcode, body) in [(1, &b"name\0"[..]), (26, b"short"), (0, b"")] {
        let (kernel, device) = connection();
        kernel.send(opcode, 1, body);
        let error = Session::start(device, Arc::new(Fake::default()), config()).expect_err("no INIT");
        assert!(matches!(error, SessionError::BadInit), "{error:?}");
    }
}

#[test]
fn a_worker_that_can_not_be_made_is_an_error_of_the_start() {
    let (kernel, device) = connection();
    kernel.send_init(7, 45, u64::MAX);
    let config = SessionConfig { threads: 8, ..config() };
    // The start gives up, and its threads end with the connection.
    let starting =
        std::thread::spawn(move || Session::start(device, Arc::new(Fake::default()), config).err());
    kernel.receive_init();
    drop(kernel);
    let error = starting.join().expect("no panic").expect("thread 7 has no worker");
    assert!(matches!(error, SessionError::Worker { index: 7, .. }), "{error:?}");
}

#[test]
fn what_is_unknown_or_broken_is_answered_and_counted() {
    let (kernel, session) = started();
    kernel.send(4000, 5, b"");
    let (header, body) = kernel.receive();
    assert_eq!((header.unique, header.error, body.len()), (5, -libc::ENOSYS, 0));
    kernel.send(39, 6, &[0; 32]);
    assert_eq!(kernel.receive().0.error, -libc::ENOSYS, "IOCTL");
    kernel.send(1, 7, b"no end");
    assert_eq!(kernel.receive().0.error, -libc::EINVAL);
    kernel.send(3, 8, &[0; 16]);
    assert_eq!(kernel.receive().0.error, -libc::ESTALE);
    let stats = session.stats();
    assert_eq!(
        (stats.malformed_requests, stats.requests_of("GetAttr"), stats.requests_of("Ioctl")),
        (2, 1, 1)
    );
    finish(kernel, session);
}

/// Short lists of runs go on the stack, longer ones to the heap, and those beyond the kernel's limit are joined.
#[test]
fn runs_of_bytes_arrive_as_one_answer() {
    let (kernel, session) = started();
    for count in [0_u32, 1, 2, 15, 16, 1023, 1024, 3000] {
        let read = crate::sys::abi::fuse_read_in { size: count, ..Default::default() };
        kernel.send(15, 9, read.as_bytes());
        let (header, body) = kernel.receive();
        assert_eq!((header.error, body), (0, vec![b'r'; count as usize]), "{count} runs");
    }
    finish(kernel, session);
}

#[test]
fn a_notification_inside_a_handler_is_refused() {
    let (kernel, session) = started();
    *session.fs.notifier.lock() = Some(session.notifier());
    kernel.send(1, 3, b"name\0");
    kernel.receive();
    assert!(matches!(*session.fs.in_handler.lock(), Some(Err(NotifyError::InHandler))));
    session.notifier().inval_attributes(NodeId::ROOT).expect("from another thread");
    let (header, body) = kernel.receive();
    // FUSE_NOTIFY_INVAL_INODE is 2; a negative offset leaves the data alone.
    assert_eq!((header.unique, header.error), (0, 2));
    assert_eq!(body, [1_i64, -1, 0].as_bytes());
    finish(kernel, session);
}

#[test]
fn settings_out_of_range_are_named() {
    for (bad, name) in [
        (SessionConfig { threads: 257, ..config() }, "threads"),
        (SessionConfig { read_bytes_max: 100, ..config() }, "read_bytes_max"),
        (SessionConfig { write_bytes_max: 1 << 30, ..config() }, "write_bytes_max"),
        (SessionConfig { max_background: 0, ..config() }, "max_background"),
    ] {
        let (_kernel, device) = connection();
        let error = Session::start(device, Arc::new(Fake::default()), bad).expect_err("out of range");
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// The other end of the socket takes no entries, as a kernel that is short of memory.
#[test]
fn entries_that_are_refused_lead_back_to_the_device() {
    let (kernel, device) = connection();
    kernel.send_init(7, 45, u64::MAX);
    let config = SessionConfig { transport: Transport::Auto, ..config() };
    let session = Session::start(device, Arc::new(Fake::default()), config).expect("falls back");
    assert_ne!(kernel.receive_init().flags2 & (1 << 9), 0, "FUSE_OVER_IO_URING was agreed on");
    assert_eq!(session.info().ring, Err(RingRefusal::RegistrationFailed));
    assert!(!session.info().has(Capability::OverIoUring));
    kernel.send(3, 8, &[0; 16]);
    assert_eq!(kernel.receive().0.error, -libc::ESTALE);
    assert_eq!(session.stats().requests_of("GetAttr"), 1);
    finish(kernel, session);
}

#[test]
fn rings_that_are_demanded_and_refused_are_an_error() {
    let (kernel, device) = connection();
    kernel.send_init(7, 45, u64::MAX);
    let config = SessionConfig { transport: Transport::Ring, ..config() };
    let starting =
        std::thread::spawn(move || Session::start(device, Arc::new(Fake::default()), config).err());
    kernel.receive_init();
    drop(kernel);
    let error = starting.join().expect("no panic").expect("no rings");
    assert!(matches!(error, SessionError::NoRing(RingRefusal::RegistrationFailed)), "{error:?}");
}

#[test]
fn rings_that_are_not_offered_are_not_used_or_an_error() {
    let without = !Capability::OverIoUring.mask();
    let (kernel, device) = connection();
    kernel.send_init(7, 45, without);
    let auto = SessionConfig { transport: Transport::Auto, ..config() };
    let session = Session::start(device, Arc::new(Fake::default()), auto).expect("falls back");
    assert_eq!(kernel.receive_init().flags2 & (1 << 9), 0);
    let refusal = session.info().ring.expect_err("not offered");
    assert!(matches!(refusal, RingRefusal::SwitchedOff | RingRefusal::NoKernelSupport), "{refusal}");
    finish(kernel, session);

    let (kernel, device) = connection();
    kernel.send_init(7, 45, without);
    let demanded = SessionConfig { transport: Transport::Ring, ..config() };
    let error = Session::start(device, Arc::new(Fake::default()), demanded).expect_err("not offered");
    assert!(matches!(error, SessionError::NoRing(found) if found == refusal), "{error:?}");
}

#[test]
fn too_little_memory_for_rings_is_told() {
    let (kernel, device) = connection();
    let config = SessionConfig { transport: Transport::Ring, ring_bytes_max: 4096, ..config() };
    kernel.send_init(7, 45, u64::MAX);
    let error = Session::start(device, Arc::new(Fake::default()), config).expect_err("no memory");
    assert!(matches!(error, SessionError::NoRing(RingRefusal::NoMemory)), "{error:?}");
}
