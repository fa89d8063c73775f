//! The INIT request: reads it, decides, answers.

use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno as OsErrno;
use zerocopy::{FromBytes, IntoBytes};

use super::{RingRefusal, RingShape, SessionConfig, SessionError, Transport};
use crate::negotiate::{Capability, CapabilityRow, ConnectionInfo, Decision, ProtocolVersion};
use crate::sys::abi::{
    MAJOR, MINOR_NEWEST, MINOR_OLDEST, Opcode, fuse_in_header, fuse_init_in, fuse_init_out, fuse_out_header,
};
use crate::sys::buffer::{PageBuffer, page_bytes};
use crate::sys::device;
use crate::types::Unique;

/// `FUSE_MAX_MAX_PAGES` of kernels without the sysctl.
const PAGES_MAX_DEFAULT: usize = 256;
/// Backing files may lie on file systems that stack on less than this many others: on real ones, so that an overlayfs
/// can still be put on the mount (`FILESYSTEM_MAX_STACK_DEPTH` is 2).
const STACK_DEPTH: u32 = 1;
/// Offset of `flags2` in `fuse_init_in`, which older kernels do not send.
const FLAGS2_OFFSET: usize = size_of::<fuse_init_in>();

/// The kernel's side of the agreement.
struct Offer {
    request: Unique,
    version: ProtocolVersion,
    readahead_bytes_max: u32,
    flags: u64,
}

/// Answers INIT, once more when the kernel speaks a newer major version and starts over with ours.
///
/// `ring` is the shape of the rings that are ready, or why there are none. When the kernel has no use for rings and they are
/// demanded, INIT is left unanswered.
pub(crate) fn answer(
    fd: &OwnedFd,
    config: &SessionConfig,
    mount_read_bytes_max: Option<u32>,
    ring: Result<RingShape, RingRefusal>,
) -> Result<ConnectionInfo, SessionError> {
    for _attempt in 0..2 {
        let offer = read_offer(fd)?;
        if offer.version.major > MAJOR {
            let message = fuse_init_out { major: MAJOR, minor: MINOR_NEWEST, ..fuse_init_out::default() };
            write(fd, offer.request, 0, message.as_bytes())?;
            continue;
        }
        if offer.version < (ProtocolVersion { major: MAJOR, minor: MINOR_OLDEST }) {
            write(fd, offer.request, -libc::EPROTO, &[])?;
            return Err(SessionError::KernelTooOld { kernel: offer.version });
        }
        let ring = ring.and_then(|shape| offer.ring(shape));
        if let (Transport::Ring, Err(refusal)) = (config.transport, ring) {
            return Err(SessionError::NoRing(refusal));
        }
        let config = &with_requests_for(config, ring);
        let pages = Pages::new(config, pages_max_of_kernel(), mount_read_bytes_max);
        let info = decide(&offer, config, &pages, ring);
        write(fd, offer.request, 0, message(&info, &pages).as_bytes())?;
        return Ok(info);
    }
    Err(SessionError::BadInit)
}

impl Offer {
    fn ring(&self, shape: RingShape) -> Result<RingShape, RingRefusal> {
        let is_offered = self.flags & Capability::OverIoUring.mask() != 0;
        if is_offered { Ok(shape) } else { Err(RingRefusal::not_offered()) }
    }
}

/// Requests must fit the entries of a ring.
fn with_requests_for(config: &SessionConfig, ring: Result<RingShape, RingRefusal>) -> SessionConfig {
    let bytes_max = ring.map_or(u32::MAX, |shape| shape.payload_bytes);
    SessionConfig {
        read_bytes_max: config.read_bytes_max.min(bytes_max),
        write_bytes_max: config.write_bytes_max.min(bytes_max),
        ..*config
    }
}

fn read_offer(fd: &OwnedFd) -> Result<Offer, SessionError> {
    let mut buffer = PageBuffer::new(SessionConfig::default().buffer_bytes());
    let length = loop {
        match device::read(fd.as_fd(), &mut buffer) {
            Err(OsErrno::EINTR | OsErrno::EAGAIN | OsErrno::ENOENT) => {}
            result => break result.map_err(|errno| SessionError::Init(errno.into()))?,
        }
    };
    parse_offer(&buffer[..length]).ok_or(SessionError::BadInit)
}

fn parse_offer(bytes: &[u8]) -> Option<Offer> {
    let (header, body) = fuse_in_header::read_from_prefix(bytes).ok()?;
    if header.opcode != Opcode::Init as u32 {
        return None;
    }
    let (init, _) = fuse_init_in::read_from_prefix(body).ok()?;
    let mut flags = u64::from(init.flags);
    if flags & Capability::InitExt.mask() != 0
        && let Some(second) = body.get(FLAGS2_OFFSET..FLAGS2_OFFSET + 4)
    {
        flags |= u64::from(u32::from_ne_bytes(second.try_into().ok()?)) << 32;
    }
    Some(Offer {
        request: Unique(header.unique),
        version: ProtocolVersion { major: init.major, minor: init.minor },
        readahead_bytes_max: init.max_readahead,
        flags,
    })
}

/// Largest requests, in pages: the kernel counts in them.
struct Pages {
    request_pages_max: u16,
    read_bytes_max: u32,
    write_bytes_max: u32,
}

impl Pages {
    fn new(config: &SessionConfig, kernel_pages_max: usize, mount_read_bytes_max: Option<u32>) -> Pages {
        let page = page_bytes();
        let wanted = config.read_bytes_max.max(config.write_bytes_max) as usize;
        let pages = wanted.div_ceil(page).min(kernel_pages_max).min(usize::from(u16::MAX)).max(1);
        let bytes = u32::try_from(pages * page).unwrap_or(u32::MAX);
        Pages {
            request_pages_max: pages as u16,
            read_bytes_max: mount_read_bytes_max.map_or(bytes, |limit| limit.clamp(page as u32, bytes)),
            write_bytes_max: config.write_bytes_max.min(bytes),
        }
    }
}

fn pages_max_of_kernel() -> usize {
    fs::read_to_string("/proc/sys/fs/fuse/max_pages_limit")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(PAGES_MAX_DEFAULT)
}

fn decide(
    offer: &Offer,
    config: &SessionConfig,
    pages: &Pages,
    ring: Result<RingShape, RingRefusal>,
) -> ConnectionInfo {
    let rows = Capability::ALL.iter().map(|&capability| CapabilityRow {
        capability,
        decision: decision(capability, config, ring),
        offered: offer.flags & capability.mask() != 0,
    });
    ConnectionInfo {
        ring,
        kernel: offer.version,
        protocol: ProtocolVersion { major: MAJOR, minor: offer.version.minor.min(MINOR_NEWEST) },
        read_bytes_max: pages.read_bytes_max,
        write_bytes_max: pages.write_bytes_max,
        readahead_bytes_max: offer.readahead_bytes_max.min(config.readahead_bytes_max),
        max_background: config.max_background,
        congestion_threshold: config.congestion(),
        capabilities: rows.collect(),
    }
}

fn decision(
    capability: Capability,
    config: &SessionConfig,
    ring: Result<RingShape, RingRefusal>,
) -> Decision {
    match (capability, ring) {
        (Capability::Passthrough, _) if !config.passthrough => Decision::Refuse { reason: "switched off" },
        (Capability::OverIoUring, Err(refusal)) => Decision::Refuse { reason: refusal.reason() },
        _ => capability.decision(),
    }
}

fn message(info: &ConnectionInfo, pages: &Pages) -> fuse_init_out {
    let active = info.capabilities.iter().filter(|row| row.is_active());
    let flags = active.fold(0, |flags, row| flags | row.capability.mask());
    fuse_init_out {
        major: MAJOR,
        minor: MINOR_NEWEST,
        max_readahead: info.readahead_bytes_max,
        flags: flags as u32,
        max_background: info.max_background,
        congestion_threshold: info.congestion_threshold,
        max_write: info.write_bytes_max,
        time_gran: 1,
        max_pages: pages.request_pages_max,
        flags2: (flags >> 32) as u32,
        max_stack_depth: if info.has(Capability::Passthrough) { STACK_DEPTH } else { 0 },
        ..fuse_init_out::default()
    }
}

fn write(fd: &OwnedFd, request: Unique, error: i32, message: &[u8]) -> Result<(), SessionError> {
    let len = (size_of::<fuse_out_header>() + message.len()) as u32;
    let header = fuse_out_header { len, error, unique: request.0 };
    let parts = [IoSlice::new(header.as_bytes()), IoSlice::new(message)];
    device::write(fd, &parts).map_err(|errno| SessionError::Init(io::Error::from(errno)))?;
    Ok(())
}
