//! [`Engine`]: the thread of a ring.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use nix::errno::Errno as OsErrno;
use zerocopy::{FromBytes, IntoBytes};

use super::entry::{RingEntry, Work};
use super::{Inbox, RingShape, Unstarted};
use crate::FileSystem;
use crate::decode::{DecodeError, Operation, Request, arguments_bytes};
use crate::notify;
use crate::reply::{ReplyBuffer, Responder};
use crate::session::SessionError;
use crate::session::dispatch::{Origin, serve};
use crate::session::stats::Counters;
use crate::sys::abi::{fuse_in_header, fuse_uring_ent_in_out, fuse_uring_req_header};
use crate::sys::arena::EntryMemory;
use crate::sys::ring::{EntryIndex, EntryRing, Event};
use crate::types::{Errno, Unique};

/// What an engine reports when it starts.
pub(in crate::session) enum Start {
    /// The kernel has its entries.
    Serving,
    /// The kernel refused an entry.
    Refused,
}

/// Serves the requests of some queues with one ring.
pub(in crate::session) struct Engine<F: FileSystem> {
    fs: Arc<F>,
    index: usize,
    ring: EntryRing,
    entries: Vec<Entry>,
    inbox: Arc<Inbox>,
    counters: Arc<Counters>,
    /// The kernel said that the connection has ended.
    has_ended: bool,
}

struct Entry {
    queue: u16,
    shared: Arc<RingEntry>,
    /// `shared` as what replies hold.
    responder: Arc<dyn Responder>,
}

/// A request as it lies in an entry, copied out of the header so that only names and data are borrowed.
struct Arrived {
    header: fuse_in_header,
    first: [u64; 16],
    first_bytes: usize,
    beside: fuse_uring_ent_in_out,
}

impl<F: FileSystem> Engine<F> {
    pub(in crate::session) fn new(
        fs: Arc<F>,
        index: usize,
        shape: RingShape,
        unstarted: Unstarted,
    ) -> Engine<F> {
        let Unstarted { ring, queues, inbox, counters } = unstarted;
        let depth = usize::from(shape.depth);
        let queues = queues.flat_map(|queue| std::iter::repeat_n(queue, depth));
        let entries = queues.zip(0..).map(|(queue, entry)| {
            let shared = Arc::new(RingEntry::new(entry, Arc::clone(&inbox), Arc::clone(&counters)));
            let responder: Arc<dyn Responder> = Arc::<RingEntry>::clone(&shared);
            Entry { queue, shared, responder }
        });
        Engine { fs, index, ring, entries: entries.collect(), inbox, counters, has_ended: false }
    }

    /// Serves until the connection ends. Tells `started` once whether it serves.
    pub(in crate::session) fn run(
        mut self,
        shape: RingShape,
        started: Sender<Result<Start, SessionError>>,
    ) -> Result<(), SessionError> {
        let (report, state) = match self.start(shape) {
            Ok((start, state)) => (Ok(start), Some(state)),
            Err(error) => (Err(error), None),
        };
        if started.send(report).is_err() {
            tracing::debug!(ring = self.index, "nobody waits for the start");
        }
        // Whoever starts the session waits until every sender is gone.
        drop(started);
        state.map_or(Ok(()), |state| self.serve_all(state))
    }

    fn state(&self) -> Result<F::Worker, SessionError> {
        self.fs.worker(self.index).map_err(|source| SessionError::Worker { index: self.index, source })
    }

    /// Gives all entries to the kernel. What it refuses it refuses at once.
    fn start(&mut self, shape: RingShape) -> Result<(Start, F::Worker), SessionError> {
        let state = self.state()?;
        let memory = EntryMemory::allocate(self.entries.len(), shape.payload_bytes as usize);
        self.ring.enable().map_err(SessionError::Ring)?;
        for (memory, (entry, index)) in
            memory.map_err(SessionError::Ring)?.into_iter().zip(self.entries.iter().zip(0..))
        {
            self.ring.register(index, entry.queue, memory);
        }
        self.ring.enter(false).map_err(SessionError::Ring)?;
        let mut start = Start::Serving;
        let mut early = Vec::new();
        while let Some(event) = self.ring.next_event() {
            match event {
                Event::Closed { errno, .. } => {
                    tracing::warn!(%errno, ring = self.index, "the kernel refused an entry of a ring");
                    start = Start::Refused;
                }
                other => early.push(other),
            }
        }
        debug_assert!(early.is_empty(), "requests wait until every ring is ready");
        Ok((start, state))
    }

    fn serve_all(mut self, mut state: F::Worker) -> Result<(), SessionError> {
        let _on_session_thread = notify::mark_session_thread();
        let mut answered = Vec::new();
        loop {
            self.submit_answered(&mut answered);
            if self.has_ended && self.ring.in_flight() == 0 {
                return self.end();
            }
            self.ring.enter(true).map_err(SessionError::Ring)?;
            self.inbox.awake();
            while let Some(event) = self.ring.next_event() {
                self.handle(&mut state, event)?;
            }
        }
    }

    /// Passes on what was answered, by this thread or others.
    fn submit_answered(&mut self, answered: &mut Vec<EntryIndex>) {
        self.inbox.take(answered);
        self.has_ended |= self.inbox.is_closed();
        for index in answered.drain(..) {
            let entry = &self.entries[index as usize];
            if self.has_ended {
                self.counters.undeliverable.add(1);
                continue;
            }
            let ring = &mut self.ring;
            entry.shared.with_work(|work| match work {
                Work::Commit(request, memory) => ring.commit(index, entry.queue, request.0, memory),
                Work::Read(reads, memory) => ring.read(index, reads, memory),
            });
        }
    }

    fn handle(&mut self, state: &mut F::Worker, event: Event) -> Result<(), SessionError> {
        match event {
            Event::Request { entry, memory } => self.serve(state, entry, memory),
            Event::Read { entry, memory, result } => self.finish_read(state, entry, memory, result),
            Event::Woken => Ok(()),
            Event::Closed { errno, .. } => {
                match errno {
                    OsErrno::ENOTCONN | OsErrno::ECONNABORTED | OsErrno::ECANCELED => self.has_ended = true,
                    // The request had ended before its answer came, by an abort.
                    OsErrno::ENOENT => self.counters.undeliverable.add(1),
                    _ => {
                        self.counters.refused.add(1);
                        tracing::error!(%errno, ring = self.index, "the kernel gave an entry of a ring up");
                    }
                }
                Ok(())
            }
        }
    }

    fn serve(
        &mut self,
        state: &mut F::Worker,
        index: EntryIndex,
        memory: EntryMemory,
    ) -> Result<(), SessionError> {
        let entry = &self.entries[index as usize];
        let arrived = Arrived::of(memory.header());
        let room = memory.payload().len();
        // Arguments in the payload are borrowed while the request is served; else the answer may go there at once.
        let (lent, free) =
            if arrived.beside.payload_sz > 0 { (Some(memory), None) } else { (None, Some(memory)) };
        let request = arrived.decode(lent.as_ref().map_or(&[], |memory| arrived.payload_in(memory)));
        entry.shared.begin(Unique(arrived.header.unique), answer_bytes_max(&request, room));
        if let Some(memory) = free {
            entry.shared.put(memory);
        }
        let origin = Origin { responder: &entry.responder, counters: &self.counters };
        let outcome = catch_unwind(AssertUnwindSafe(|| serve(&*self.fs, state, &origin, request)));
        if let Some(memory) = lent {
            entry.shared.put(memory);
        }
        match outcome {
            Ok(_) => Ok(()),
            Err(_) => self.renew(state),
        }
    }

    /// Device reads are done: the file system looks at them.
    fn finish_read(
        &mut self,
        state: &mut F::Worker,
        index: EntryIndex,
        memory: EntryMemory,
        result: Result<(), Errno>,
    ) -> Result<(), SessionError> {
        let entry = &self.entries[index as usize];
        let arrived = Arrived::of(memory.header());
        entry.shared.put(memory);
        let reply = ReplyBuffer::new(Unique(arrived.header.unique), Arc::clone(&entry.responder));
        let (Ok(request), Some(token)) = (arrived.decode(&[]), entry.shared.take_token()) else {
            reply.error(Errno::EIO);
            return Ok(());
        };
        let Operation::Read(args) = request.operation else {
            reply.error(Errno::EIO);
            return Ok(());
        };
        let fs = &*self.fs;
        let done = || fs.device_read_done(state, &request.header, &args, token, result, reply);
        match catch_unwind(AssertUnwindSafe(done)) {
            Ok(()) => Ok(()),
            Err(_) => self.renew(state),
        }
    }

    /// A request panicked: its reply was dropped by the unwinding, which answered EIO, and the state may be half changed.
    fn renew(&self, state: &mut F::Worker) -> Result<(), SessionError> {
        self.counters.panics.add(1);
        tracing::error!(ring = self.index, "a request panicked in the file system");
        *state = self.state()?;
        Ok(())
    }

    /// Ends the wait for a wake-up, so that nothing is in flight when the ring goes.
    fn end(&mut self) -> Result<(), SessionError> {
        self.inbox.wake();
        loop {
            while let Some(event) = self.ring.next_event() {
                if let Event::Woken = event {
                    return Ok(());
                }
            }
            self.ring.enter(true).map_err(SessionError::Ring)?;
        }
    }
}

impl Arrived {
    fn of(header: &fuse_uring_req_header) -> Arrived {
        let (in_header, _) = fuse_in_header::read_from_prefix(header.in_out.as_bytes())
            .expect("128 bytes hold a header of 40");
        let beside = header.ring_ent_in_out;
        let arguments = arguments_bytes(&in_header).unwrap_or(0);
        let first_bytes =
            arguments.saturating_sub(beside.payload_sz as usize).min(size_of_val(&header.op_in));
        Arrived { header: in_header, first: header.op_in, first_bytes, beside }
    }

    fn payload_in<'a>(&self, memory: &'a EntryMemory) -> &'a [u8] {
        let payload = memory.payload();
        &payload[..payload.len().min(self.beside.payload_sz as usize)]
    }

    fn decode<'a>(&'a self, payload: &'a [u8]) -> Result<Request<'a>, DecodeError> {
        Request::decode_parts(&self.header, &self.first.as_bytes()[..self.first_bytes], payload)
    }
}

/// Longest answer to a request in an entry with such a payload.
fn answer_bytes_max(request: &Result<Request<'_>, DecodeError>, payload_bytes: usize) -> usize {
    let wanted = match request.as_ref().map(|request| &request.operation) {
        Ok(Operation::Read(args)) => args.size_bytes as usize,
        Ok(Operation::ReadDir(args)) => args.size_bytes as usize,
        _ => payload_bytes,
    };
    wanted.min(payload_bytes)
}
