//! Tasks that wait for space, without an async runtime.
//!
//! A caller takes a ticket, tries, and waits until something changed after the ticket. The list is as long as the
//! callers' tasks are many; dropping a wait takes its waker out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

#[derive(Default)]
struct List {
    changes: u64,
    next_id: u64,
    wakers: Vec<(u64, Waker)>,
}

#[derive(Default)]
pub(crate) struct Waiters(Mutex<List>);

/// The number of changes seen so far.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u64);

impl Waiters {
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.0.lock().changes)
    }

    /// Ready once [`Waiters::wake_all`] was called after the ticket was taken.
    pub(crate) fn changed_since(&self, ticket: Ticket) -> Wait<'_> {
        Wait { waiters: self, ticket, id: None }
    }

    pub(crate) fn wake_all(&self) {
        let wakers = {
            let mut list = self.0.lock();
            list.changes += 1;
            std::mem::take(&mut list.wakers)
        };
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

pub(crate) struct Wait<'a> {
    waiters: &'a Waiters,
    ticket: Ticket,
    id: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut list = self.waiters.0.lock();
        if list.changes != self.ticket.0 {
            return Poll::Ready(());
        }
        let id = self.id.unwrap_or(list.next_id);
        list.next_id += u64::from(self.id.is_none());
        match list.wakers.iter_mut().find(|(known, _)| *known == id) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => list.wakers.push((id, context.waker().clone())),
        }
        drop(list);
        self.id = Some(id);
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.waiters.0.lock().wakers.retain(|(known, _)| *known != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_after_the_ticket_is_never_missed_and_drops_leave_nothing() {
        let waiters = Waiters::default();
        let mut context = Context::from_waker(Waker::noop());
        let ticket = waiters.ticket();
        let mut early = Box::pin(waiters.changed_since(ticket));
        assert!(early.as_mut().poll(&mut context).is_pending());
        assert!(early.as_mut().poll(&mut context).is_pending());
        assert_eq!(waiters.0.lock().wakers.len(), 1);
        let mut dropped = Box::pin(waiters.changed_since(ticket));
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        drop(dropped);
        assert_eq!(waiters.0.lock().wakers.len(), 1);
        waiters.wake_all();
        assert!(early.as_mut().poll(&mut context).is_ready());
        assert!(Box::pin(waiters.changed_since(ticket)).as_mut().poll(&mut context).is_ready());
    }
}
