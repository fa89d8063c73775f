//! When events have waited long enough: an index by time, so that asking costs nothing for those that wait.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::options::{Delay, DelayRule};
use crate::tree::Event;
use crate::types::EventSeq;

pub(crate) struct Schedule {
    rule: DelayRule,
    by_time: BTreeSet<(Instant, EventSeq)>,
    times: HashMap<EventSeq, Instant>,
}

impl Schedule {
    pub(crate) fn new(rule: DelayRule) -> Self {
        Self { rule, by_time: BTreeSet::new(), times: HashMap::new() }
    }

    pub(crate) fn delay(&self, path: &str, size_bytes: u64) -> Delay {
        (self.rule)(path, size_bytes)
    }

    /// When an event may be taken.
    pub(crate) fn due(&self, event: &Event, is_being_written: bool) -> Instant {
        let delay = self.delay(&event.record.path, event.size_bytes);
        let latest = event.since + delay.at_most;
        let due = match event.hastened {
            Some(asked) => asked,
            None if delay.while_open.is_none() && is_being_written => latest,
            None => latest.min(event.changed + delay.quiet),
        };
        event.not_before.map_or(due, |not_before| due.max(not_before))
    }

    /// The event is due then; `None` when nobody may take it.
    pub(crate) fn set(&mut self, seq: EventSeq, due: Option<Instant>) {
        let old = match due {
            Some(due) => self.times.insert(seq, due),
            None => self.times.remove(&seq),
        };
        if let Some(old) = old {
            self.by_time.remove(&(old, seq));
        }
        self.by_time.extend(due.map(|due| (due, seq)));
    }

    /// Events that are due, the longest first.
    pub(crate) fn due_by(&self, now: Instant) -> impl Iterator<Item = EventSeq> + '_ {
        self.by_time.iter().take_while(move |(due, _)| *due <= now).map(|(_, seq)| *seq)
    }

    /// When the next event is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(due, _)| *due)
    }
}
