//! [`Inbox`]: entries that their ring has to look at, from whatever thread.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::sys::ring::EntryIndex;
use crate::sys::wake::WakeFd;

/// What an engine is told. Each entry is in it at most once, so it never grows beyond their count.
pub(in crate::session) struct Inbox {
    state: Mutex<State>,
    wake: Arc<WakeFd>,
}

struct State {
    entries: Vec<EntryIndex>,
    /// The engine waits, or is about to: whoever puts something in wakes it.
    is_waiting: bool,
    is_closed: bool,
}

impl Inbox {
    pub(super) fn new(wake: Arc<WakeFd>, entries: usize) -> Inbox {
        let state = State { entries: Vec::with_capacity(entries), is_waiting: false, is_closed: false };
        Inbox { state: Mutex::new(state), wake }
    }

    /// Tells the engine of an entry; a system call only when the engine waits.
    pub(super) fn push(&self, entry: EntryIndex) {
        let must_wake = {
            let mut state = self.state.lock();
            state.entries.push(entry);
            std::mem::take(&mut state.is_waiting)
        };
        if must_wake {
            self.wake.wake();
        }
    }

    /// Takes all entries into `taken`, which is empty. The engine counts as waiting from now on: it passes on what it took
    /// with the same call that it waits in.
    pub(super) fn take(&self, taken: &mut Vec<EntryIndex>) {
        let mut state = self.state.lock();
        std::mem::swap(&mut state.entries, taken);
        state.is_waiting = true;
    }

    /// The engine is at work: what is put in now needs no wake-up.
    pub(super) fn awake(&self) {
        self.state.lock().is_waiting = false;
    }

    /// Tells the engine that the connection has ended.
    pub(in crate::session) fn close(&self) {
        self.state.lock().is_closed = true;
        self.wake.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// Ends the wait for a wake-up that is in flight.
    pub(super) fn wake(&self) {
        self.wake.wake();
    }
}
