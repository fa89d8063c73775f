//! [`EntryRing`]: an io_uring of one thread that carries FUSE requests, and the device reads that answer them.
//!
//! The kernel keeps a number of *entries*: memory for one request each. An entry is given to it by
//! [`register`](EntryRing::register) and comes back with a request ([`Event::Request`]); [`commit`](EntryRing::commit)
//! gives the answer and the entry again. Between the two [`read`](EntryRing::read) fills the payload from devices.
//!
//! The ring owns the [`EntryMemory`] of all that is in flight and gives it back with the event. Nothing is lost when it
//! is dropped early: the memory is then leaked, since the kernel may still write to it.
//!
//! Commands and their meaning: `fs/fuse/dev_uring.c` and `include/uapi/linux/fuse.h` of Linux 6.14 and later.

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use nix::errno::Errno as OsErrno;
use zerocopy::IntoBytes;

use super::abi::{fuse_uring_cmd_req, uring_cmd};
use super::arena::EntryMemory;
use super::wake::WakeFd;
use crate::types::{Device, DeviceRead, Errno};

/// Place of the FUSE device among the ring's files; devices for reads follow.
const FUSE_FILE: types::Fixed = types::Fixed(0);
/// `user_data`: what an operation is in the top byte, an index below it, the entry in the low half.
const KIND_SHIFT: u32 = 56;
const INDEX_SHIFT: u32 = 32;
const KIND_FUSE: u64 = 0;
const KIND_READ: u64 = 1;
const KIND_WAKE: u64 = 2;
/// Offset of `len` in `struct io_uring_sqe`.
const SQE_LEN_OFFSET: usize = 24;

/// An entry of a ring, by number.
pub(crate) type EntryIndex = u32;

/// What happened.
pub(crate) enum Event {
    /// A request arrived.
    Request { entry: EntryIndex, memory: EntryMemory },
    /// The kernel has no more use for an entry, whose memory is gone: `ENOTCONN` and `ECONNABORTED` at the end of the connection.
    Closed { errno: OsErrno },
    /// All device reads of an entry are done.
    Read { entry: EntryIndex, memory: EntryMemory, result: Result<(), Errno> },
    /// Somebody called [`WakeFd::wake`].
    Woken,
}

/// An entry in flight.
#[derive(Default)]
struct Held {
    /// There while the kernel may use it.
    memory: Option<EntryMemory>,
    /// What is left of each device read.
    reads: Vec<DeviceRead>,
    /// Device reads in flight.
    pending: u32,
    failure: Option<Errno>,
}

pub(crate) struct EntryRing {
    ring: ManuallyDrop<IoUring<squeue::Entry128>>,
    /// By entry.
    held: ManuallyDrop<Vec<Held>>,
    /// Read by the kernel when it takes a registration.
    iovecs: Vec<[libc::iovec; 2]>,
    /// Submissions that wait for room in the queue.
    backlog: VecDeque<squeue::Entry128>,
    /// Unit of lengths of each device.
    units: Vec<u32>,
    wake: Arc<WakeFd>,
    wake_value: Box<u64>,
    wake_armed: bool,
    enabled: bool,
    /// FUSE commands and device reads that have not completed.
    in_flight: usize,
}

// SAFETY: the raw pointers are those of `iovecs`, which lead to memory that `held` owns; the ring is used by one thread at a
// time, and only from `enable` on bound to the one that called it.
unsafe impl Send for EntryRing {}

impl EntryRing {
    /// A ring for `entries` entries. It belongs to the thread that first calls [`enable`](Self::enable).
    ///
    /// Needs Linux 6.1 for its flags; FUSE needs 6.14.
    pub(crate) fn new(
        fuse: BorrowedFd<'_>,
        devices: &[Device<'_>],
        entries: usize,
        wake: Arc<WakeFd>,
    ) -> io::Result<EntryRing> {
        let depth = (entries as u32 + 1).next_power_of_two().clamp(8, 4096);
        let mut builder = IoUring::<squeue::Entry128>::builder();
        let ring = builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_r_disabled()
            .setup_cqsize(depth * 4)
            .build(depth)?;
        let files: Vec<_> = std::iter::once(fuse.as_raw_fd())
            .chain(devices.iter().map(|device| device.file.as_raw_fd()))
            .collect();
        ring.submitter().register_files(&files)?;
        Ok(EntryRing {
            ring: ManuallyDrop::new(ring),
            held: ManuallyDrop::new((0..entries).map(|_| Held::default()).collect()),
            iovecs: vec![[libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; 2]; entries],
            backlog: VecDeque::new(),
            units: devices.iter().map(|device| device.unit_bytes).collect(),
            wake,
            wake_value: Box::new(0),
            wake_armed: false,
            enabled: false,
            in_flight: 0,
        })
    }

    /// Makes the calling thread the one that uses the ring.
    pub(crate) fn enable(&mut self) -> io::Result<()> {
        self.ring.submitter().register_enable_rings()?;
        self.enabled = true;
        Ok(())
    }

    /// Gives an entry of a queue to the kernel.
    pub(crate) fn register(&mut self, entry: EntryIndex, queue: u16, memory: EntryMemory) {
        let iovecs = &mut self.iovecs[entry as usize];
        *iovecs = memory.iovecs();
        let address = iovecs.as_ptr() as u64;
        let command = fuse_uring_cmd_req { qid: queue, ..fuse_uring_cmd_req::default() };
        let mut submission = fuse_command(uring_cmd::REGISTER, &command, Some(address));
        set_len(&mut submission, 2);
        self.held[entry as usize].memory = Some(memory);
        self.submit_later(submission.user_data(user_data(KIND_FUSE, 0, entry)));
    }

    /// Gives the answer in `memory` to the request `commit_id`, and the entry for the next one.
    pub(crate) fn commit(&mut self, entry: EntryIndex, queue: u16, commit_id: u64, memory: EntryMemory) {
        let command = fuse_uring_cmd_req { commit_id, qid: queue, ..fuse_uring_cmd_req::default() };
        self.held[entry as usize].memory = Some(memory);
        let submission = fuse_command(uring_cmd::COMMIT_AND_FETCH, &command, None);
        self.submit_later(submission.user_data(user_data(KIND_FUSE, 0, entry)));
    }

    /// Reads from devices into the payload of an entry; at least one read. Short reads go on where they ended.
    pub(crate) fn read(&mut self, entry: EntryIndex, reads: &[DeviceRead], memory: EntryMemory) {
        let held = &mut self.held[entry as usize];
        held.memory = Some(memory);
        held.failure = None;
        held.reads.clear();
        held.reads.extend_from_slice(reads);
        held.pending = reads.len() as u32;
        for index in 0..reads.len() {
            self.submit_read(entry, index);
        }
    }

    fn submit_read(&mut self, entry: EntryIndex, index: usize) {
        let held = &self.held[entry as usize];
        let read = held.reads[index];
        let memory = held.memory.as_ref().expect("held while reads are pending");
        let address = memory.payload_at(read.position, read.length);
        let file = types::Fixed(1 + u32::from(read.device.0));
        let submission = opcode::Read::new(file, address, read.length as u32).offset(read.offset).build();
        self.submit_later(squeue::Entry128::from(submission).user_data(user_data(
            KIND_READ,
            index as u64,
            entry,
        )));
    }

    fn submit_later(&mut self, submission: squeue::Entry128) {
        self.in_flight += 1;
        self.backlog.push_back(submission);
    }

    fn arm_wake(&mut self) {
        let file = types::Fd(self.wake.as_raw_fd());
        let address: *mut u64 = &mut *self.wake_value;
        let read = opcode::Read::new(file, address.cast(), size_of::<u64>() as u32).build();
        self.backlog.push_back(squeue::Entry128::from(read).user_data(user_data(KIND_WAKE, 0, 0)));
        self.wake_armed = true;
    }

    /// Operations in flight, the wait for a wake-up not counted.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Submits what was asked for and, if wanted, waits for an event. An interruption or a full queue is no error: look
    /// for events and come back.
    pub(crate) fn enter(&mut self, wait: bool) -> io::Result<()> {
        if !self.wake_armed {
            self.arm_wake();
        }
        while !self.push_backlog() {
            if !tolerate(self.ring.submit())? {
                return Ok(());
            }
        }
        tolerate(self.ring.submit_and_wait(usize::from(wait))).map(|_| ())
    }

    /// Moves submissions to the kernel's queue; false when it is full.
    fn push_backlog(&mut self) -> bool {
        let mut queue = self.ring.submission();
        while let Some(submission) = self.backlog.front() {
            // SAFETY: `push` wants memory that is valid until the completion: header and payload are owned by `held`, the iovecs
            // and the value of the wake-up by this ring, none of which moves or goes before the completion (see `drop`).
            if unsafe { queue.push(submission) }.is_err() {
                return false;
            }
            self.backlog.pop_front();
        }
        true
    }

    /// The next event that is there.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        loop {
            let completion = self.ring.completion().next()?;
            if let Some(event) = self.event(&completion) {
                return Some(event);
            }
        }
    }

    /// `None` while other reads of the entry are in flight.
    fn event(&mut self, completion: &cqueue::Entry) -> Option<Event> {
        let (data, result) = (completion.user_data(), completion.result());
        let entry = data as EntryIndex;
        if data >> KIND_SHIFT == KIND_WAKE {
            self.wake_armed = false;
            return Some(Event::Woken);
        }
        self.in_flight -= 1;
        if data >> KIND_SHIFT == KIND_READ {
            let index = (data >> INDEX_SHIFT) as usize & 0xff_ffff;
            return self.read_completed(entry, index, result);
        }
        let memory = self.held[entry as usize].memory.take().expect("held while a command is pending");
        Some(match result {
            0.. => Event::Request { entry, memory },
            _ => Event::Closed { errno: OsErrno::from_raw(-result) },
        })
    }

    fn read_completed(&mut self, entry: EntryIndex, index: usize, result: i32) -> Option<Event> {
        let held = &mut self.held[entry as usize];
        let read = &mut held.reads[index];
        let unit = self.units.get(usize::from(read.device.0)).copied().unwrap_or(1);
        match advance(read, unit, result) {
            Ok(true) => {}
            Ok(false) => {
                self.submit_read(entry, index);
                return None;
            }
            Err(errno) => held.failure = Some(errno),
        }
        held.pending -= 1;
        if held.pending > 0 {
            return None;
        }
        let memory = held.memory.take().expect("held while reads are pending");
        Some(Event::Read { entry, memory, result: held.failure.take().map_or(Ok(()), Err) })
    }
}

/// Moves a read past what arrived, in whole units; true when nothing is left. No progress is an error.
fn advance(read: &mut DeviceRead, unit_bytes: u32, result: i32) -> Result<bool, Errno> {
    let count = usize::try_from(result).map_err(|_negative| Errno::new(-result))?;
    let unit = unit_bytes.max(1) as usize;
    let whole = if count >= read.length { read.length } else { count - count % unit };
    if whole == 0 && read.length > 0 {
        return Err(Errno::EIO);
    }
    read.offset += whole as u64;
    read.position += whole;
    read.length -= whole;
    Ok(read.length == 0)
}

/// Whether the kernel took submissions; errors that pass are "no".
fn tolerate(result: io::Result<usize>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(false),
            _ => Err(error),
        },
    }
}

fn user_data(kind: u64, index: u64, entry: EntryIndex) -> u64 {
    kind << KIND_SHIFT | index << INDEX_SHIFT | u64::from(entry)
}

fn fuse_command(code: u32, command: &fuse_uring_cmd_req, address: Option<u64>) -> squeue::Entry128 {
    let mut bytes = [0; 80];
    bytes[..size_of::<fuse_uring_cmd_req>()].copy_from_slice(command.as_bytes());
    opcode::UringCmd80::new(FUSE_FILE, code).cmd(bytes).addr(address).build()
}

/// Sets the field that the crate's builder of commands leaves out.
fn set_len(submission: &mut squeue::Entry128, len: u32) {
    const { assert!(size_of::<squeue::Entry128>() == 128) };
    let start: *mut squeue::Entry128 = submission;
    // SAFETY: an `Entry128` is 128 bytes in the layout of `struct io_uring_sqe`, so four bytes at 24 are inside of it and
    // aligned, and any value may stand there.
    unsafe { start.cast::<u8>().add(SQE_LEN_OFFSET).cast::<u32>().write(len) };
}

impl Drop for EntryRing {
    fn drop(&mut self) {
        // A ring is torn down in the background: the files, with their locks, are let go now.
        if let Err(error) = self.ring.submitter().unregister_files() {
            tracing::debug!(%error, "a ring keeps its files until it is torn down");
        }
        let is_drained = self.in_flight == 0 && !self.wake_armed;
        // SAFETY: the field is not used after this.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
        if is_drained {
            // SAFETY: the field is not used after this, and the kernel uses no memory of it any more.
            unsafe { ManuallyDrop::drop(&mut self.held) };
        } else {
            tracing::warn!(
                in_flight = self.in_flight,
                "a ring ends with operations in flight; its memory is leaked"
            );
            std::mem::forget(std::mem::take(&mut self.iovecs));
            std::mem::forget(std::mem::take(&mut self.wake_value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::DeviceIndex;

    fn read(length: usize) -> DeviceRead {
        DeviceRead { device: DeviceIndex(0), offset: 4096, length, position: 512 }
    }

    #[test]
    fn short_reads_go_on_in_whole_units() {
        let mut rest = read(8192);
        assert_eq!(advance(&mut rest, 512, 1500), Ok(false));
        assert_eq!(rest, DeviceRead { device: DeviceIndex(0), offset: 5120, length: 7168, position: 1536 });
        assert_eq!(advance(&mut rest, 512, 7168), Ok(true));
    }

    #[test]
    fn errors_and_no_progress_end_a_read() {
        assert_eq!(advance(&mut read(8192), 512, -libc::ENXIO), Err(Errno::ENXIO));
        assert_eq!(advance(&mut read(8192), 512, 0), Err(Errno::EIO));
        assert_eq!(advance(&mut read(8192), 512, 511), Err(Errno::EIO));
    }
}
