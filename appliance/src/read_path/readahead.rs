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

impl Readahead {
    /// Notes a read and says what to fetch ahead of it, in whole parts where the file goes on.
    pub fn on_read(&mut self, read: ByteRange, size_bytes: u64, window_bytes_max: u64) -> Option<ByteRange> {
        let first = self.run_bytes == 0;
        let in_order =
            read.start <= self.expected + DISORDER_BYTES && read.end + DISORDER_BYTES >= self.expected;
        if (first && read.start > 0) || !in_order {
            *self = Self { expected: read.end, run_bytes: read.len(), jumped: true, ahead_until: read.end };
            return None;
        }
        self.run_bytes += read.end.saturating_sub(self.expected);
        self.expected = self.expected.max(read.end);
        self.ahead_until = self.ahead_until.max(self.expected);
        let proven = if self.jumped { self.run_bytes >= PROOF_BYTES } else { !first };
        if !proven || self.ahead_until >= size_bytes {
            return None;
        }
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

    fn read(readahead: &mut Readahead, start: u64, end: u64) -> Option<ByteRange> {
        readahead.on_read(ByteRange::new(start..end), 1 << 40, 64 * MIB)
    }

    #[test]
    fn random_reads_fetch_nothing_ahead() {
        let mut readahead = Readahead::default();
        for start in [700 * MIB, 3 * MIB, 90 * MIB, 5000 * MIB] {
            assert_eq!(read(&mut readahead, start + 5, start + 5 + MIB), None);
            assert_eq!(read(&mut readahead, start + 5 + MIB, start + 4096 + MIB), None);
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
    fn nothing_behind_the_end() {
        let mut readahead = Readahead::default();
        readahead.on_read(ByteRange::new(0..MIB), 3 * MIB, 64 * MIB);
        let range = readahead.on_read(ByteRange::new(MIB..2 * MIB), 3 * MIB, 64 * MIB);
        assert_eq!(range, Some(ByteRange::new(2 * MIB..3 * MIB)));
        assert_eq!(readahead.on_read(ByteRange::new(2 * MIB..3 * MIB), 3 * MIB, 64 * MIB), None);
    }
}
