//! [`RingShape`]: how much memory the rings of a session take.
//!
//! The kernel wants memory for the largest request in each entry, and a queue with entries for each possible CPU. On a
//! host of 128 CPUs one entry of 1 MiB a CPU is 128 MiB. Requests over the ring are metadata and reads of small files,
//! so the payload is 256 KiB, and 128 KiB where otherwise fewer than eight requests could wait on one CPU.

use crate::sys::arena::arena_bytes;

/// Largest payload: beyond it a request costs its copy, not its round trip.
const PAYLOAD_BYTES_MAX: u32 = 256 * 1024;
/// Smallest payload: less would cut read-ahead into crumbs.
const PAYLOAD_BYTES_MIN: u32 = 32 * 1024;
/// More entries are never filled: the kernel sends 64 requests ahead in all, and one for each caller on a CPU.
const DEPTH_MAX: u16 = 32;
/// With fewer than this, a smaller payload is taken: a few reads that wait for a store would stop a CPU's callers.
const DEPTH_WANTED: u16 = 8;
/// One entry that waits for a store and one for the rest.
const DEPTH_MIN: u16 = 2;

/// Entries of the rings of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingShape {
    /// Queues of the kernel: one for each possible CPU.
    pub queues: u16,
    /// Entries of each queue.
    pub depth: u16,
    /// Largest request or answer, in bytes: whole pages.
    pub payload_bytes: u32,
}

impl RingShape {
    /// The best shape in so much memory; `None` when it does not hold two requests for each queue.
    pub fn fit(queues: u16, bytes_max: u64) -> Option<RingShape> {
        let mut payload_bytes = PAYLOAD_BYTES_MAX;
        loop {
            let depth = depth_in(bytes_max, queues, payload_bytes);
            let is_last = payload_bytes == PAYLOAD_BYTES_MIN;
            if depth >= DEPTH_WANTED || (is_last && depth >= DEPTH_MIN) {
                return Some(RingShape { queues, depth, payload_bytes });
            }
            if is_last {
                return None;
            }
            payload_bytes /= 2;
        }
    }

    /// The same with requests of at most so many bytes.
    pub(super) fn at_most(self, request_bytes: u32) -> RingShape {
        let payload_bytes = self.payload_bytes.min(request_bytes.next_multiple_of(4096));
        RingShape { payload_bytes, ..self }
    }

    /// Memory of all entries. It is taken from the system as it is used.
    pub fn memory_bytes(self) -> u64 {
        arena_bytes(u64::from(self.queues) * u64::from(self.depth), self.payload_bytes.into())
    }
}

fn depth_in(bytes_max: u64, queues: u16, payload_bytes: u32) -> u16 {
    let each = arena_bytes(u64::from(queues.max(1)), payload_bytes.into());
    u16::try_from(bytes_max / each).unwrap_or(u16::MAX).min(DEPTH_MAX)
}

const _: () = assert!(PAYLOAD_BYTES_MIN.is_multiple_of(4096) && DEPTH_MIN <= DEPTH_WANTED);
const _: () =
    assert!(PAYLOAD_BYTES_MAX / PAYLOAD_BYTES_MIN == 8, "three halvings lead to the smallest payload");

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn fit(queues: u16, bytes_max: u64) -> (u16, u32) {
        let shape = RingShape::fit(queues, bytes_max).expect("fits");
        (shape.depth, shape.payload_bytes / 1024)
    }

    #[test]
    fn few_cpus_get_depth_and_large_requests() {
        assert_eq!(fit(2, 256 * MIB), (32, 256));
        assert_eq!(fit(16, 256 * MIB), (32, 256));
        assert_eq!(fit(64, 256 * MIB), (15, 256));
    }

    #[test]
    fn a_host_of_128_cpus_stays_below_256_mib() {
        assert_eq!(fit(128, 256 * MIB), (15, 128));
        let memory = RingShape::fit(128, 256 * MIB).expect("fits").memory_bytes();
        assert!((200 * MIB..=256 * MIB).contains(&memory), "{memory}");
    }

    #[test]
    fn no_shape_is_larger_than_allowed() {
        for queues in [1, 2, 3, 7, 64, 128, 255, 1024, 8192] {
            for bytes_max in [MIB, 5 * MIB, 16 * MIB, 64 * MIB, 256 * MIB, 1024 * MIB] {
                if let Some(shape) = RingShape::fit(queues, bytes_max) {
                    assert!(
                        shape.memory_bytes() <= bytes_max && shape.depth >= 2,
                        "{shape:?} in {bytes_max}"
                    );
                }
            }
        }
    }

    #[test]
    fn too_little_memory_is_refused() {
        assert_eq!(RingShape::fit(128, 8 * MIB), None);
        assert_eq!(fit(128, 9 * MIB), (2, 32));
    }

    #[test]
    fn small_requests_need_less() {
        let shape = RingShape::fit(2, 256 * MIB).expect("fits").at_most(100_000);
        assert_eq!(shape.payload_bytes, 102_400);
    }
}
