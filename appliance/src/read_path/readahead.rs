//! [`Readahead`]: when an open file is read in order, and how far ahead to fetch.
//!
//! The window is as long as what was read in order so far, up to a limit: a reader that stops early costs at most
//! as much as it read. A file opened and read from its first byte counts as in order from its second read on;
//! a reader that jumps into the middle has to read [`PROOF_BYTES`] in order first, so that random reads of a MiB
//! each, which the kernel may cut in several requests, fetch nothing that was not asked for.

use ufs::ByteRange;

use crate::movers::PART_BYTES;

/// The first window.
const WINDOW_BYTES_MIN: u64 = 1 << 20;

/// What a reader who did not begin at the start must read in order before anything is fetched ahead.
const PROOF_BYTES: u64 = 4 << 20;

/// The kernel sends its own read-ahead in several requests that different threads pick up: a request this far off
/// the expected place is still in order.
const DISORDER_BYTES: u64 = 2 << 20;

/// The reading pattern of one open file.
#[derive(Debug, Default)]
pub struct Readahead {
    /// End of the furthest read of the run.
    expected: u64,
    /// Bytes read in order.
    run_bytes: u64,
    /// Whether the run does not begin at the file's start.
    jumped: bool,
    /// Everything before this was asked for already.
    ahead_until: u64,
}

/// What a read leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is asked of the store if the read is not cached: the read itself, or, once it is known to be part of a run,
    /// all up to the end of its part, so that a run makes large requests also when no memory is free to fetch ahead.
    pub fetch: ByteRange,
    /// What to fetch before it is asked for.
    pub ahead: Option<ByteRange>,
}

impl Readahead {
    /// Notes a read and says what to fetch for it and ahead of it.
    pub fn on_read(&mut self, read: ByteRange, size_bytes: u64, window_bytes_max: u64) -> Plan {
        let first = self.run_bytes == 0;
        let in_order =
            read.start <= self.expected + DISORDER_BYTES && read.end + DISORDER_BYTES >= self.expected;
        if (first && read.start > 0) || !in_order {
            *self = Self { expected: read.end, run_bytes: read.len(), jumped: true, ahead_until: read.end };
            return Plan { fetch: read, ahead: None };
        }
        self.run_bytes += read.end.saturating_sub(self.expected);
        self.expected = self.expected.max(read.end);
        self.ahead_until = self.ahead_until.max(self.expected);
        let proven = if self.jumped { self.run_bytes >= PROOF_BYTES } else { !first };
        if !proven {
            return Plan { fetch: read, ahead: None };
        }
        let part_end = read.end.next_multiple_of(PART_BYTES).min(size_bytes);
        Plan { fetch: ByteRange::new(read.start..part_end), ahead: self.ahead(size_bytes, window_bytes_max) }
    }

    fn ahead(&mut self, size_bytes: u64, window_bytes_max: u64) -> Option<ByteRange> {
        let window = self.run_bytes.clamp(WINDOW_BYTES_MIN, window_bytes_max);
        let until = (self.expected + window).next_multiple_of(PART_BYTES).min(size_bytes);
        (until > self.ahead_until).then(|| {
            let start = self.ahead_until;
            self.ahead_until = until;
            ByteRange::new(start..until)
        })
    }

    /// Memory was short: what was to be fetched from `start` on was not, and is asked for again later.
    pub fn give_back(&mut self, start: u64) {
        self.ahead_until = self.ahead_until.min(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn plan(readahead: &mut Readahead, start: u64, end: u64) -> Plan {
        readahead.on_read(ByteRange::new(start..end), 1 << 40, 64 * MIB)
    }

    fn read(readahead: &mut Readahead, start: u64, end: u64) -> Option<ByteRange> {
        plan(readahead, start, end).ahead
    }

    #[test]
    fn random_reads_fetch_nothing_ahead() {
        let mut readahead = Readahead::default();
        for start in [700 * MIB, 3 * MIB, 90 * MIB, 5000 * MIB] {
            for (from, to) in [(start + 5, start + 5 + MIB), (start + 5 + MIB, start + 4096 + MIB)] {
                let exact = Plan { fetch: ByteRange::new(from..to), ahead: None };
                assert_eq!(plan(&mut readahead, from, to), exact);
            }
        }
    }

    #[test]
    fn the_window_grows_with_the_run_up_to_the_limit() {
        let mut readahead = Readahead::default();
        assert_eq!(read(&mut readahead, 0, MIB), None);
        let mut ahead = 0;
        for step in 1..400 {
            if let Some(range) = read(&mut readahead, step * MIB, (step + 1) * MIB) {
                assert!(range.start >= ahead, "nothing is fetched twice");
                assert_eq!(range.end % PART_BYTES, 0);
                ahead = range.end;
            }
            let run = (step + 1) * MIB;
            assert!(ahead >= run + run.min(64 * MIB), "{ahead} at {run}");
            assert!(ahead <= run + run.min(64 * MIB) + PART_BYTES, "{ahead} at {run}");
        }
    }

    #[test]
    fn a_read_of_a_run_that_missed_asks_for_the_rest_of_its_part() {
        let mut readahead = Readahead::default();
        plan(&mut readahead, 0, MIB);
        assert_eq!(plan(&mut readahead, MIB, 2 * MIB).fetch, ByteRange::new(MIB..4 * MIB));
        assert_eq!(plan(&mut readahead, 2 * MIB, 4 * MIB).fetch, ByteRange::new(2 * MIB..4 * MIB));
    }

    #[test]
    fn nothing_behind_the_end() {
        let mut readahead = Readahead::default();
        let mut read = |start, end| readahead.on_read(ByteRange::new(start..end), 3 * MIB, 64 * MIB);
        read(0, MIB);
        let plan = read(MIB, 2 * MIB);
        assert_eq!(plan.fetch, ByteRange::new(MIB..3 * MIB));
        assert_eq!(plan.ahead, Some(ByteRange::new(2 * MIB..3 * MIB)));
        assert_eq!(read(2 * MIB, 3 * MIB).ahead, None);
    }
}
