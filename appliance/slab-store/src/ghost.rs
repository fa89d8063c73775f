//! Fingerprints of blocks that left the small queue: a block that comes back goes straight to the main queue.
//!
//! A direct-mapped table of 32-bit tags. A newer tag overwrites the older one in its place, which makes the set a
//! bounded, approximate FIFO at 4 bytes an entry; a wrong match (one in four thousand million) only promotes a block.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::key::Fingerprint;

pub(crate) struct Ghost(Box<[AtomicU32]>);

impl Ghost {
    /// `bytes` is a power of two of at least 4.
    pub(crate) fn new(bytes: usize) -> Self {
        Self((0..bytes / 4).map(|_| AtomicU32::new(0)).collect())
    }

    fn place(&self, name: Fingerprint) -> (&AtomicU32, u32) {
        let slot = name.low as usize & (self.0.len() - 1);
        // 0 means empty.
        (&self.0[slot], ((name.low >> 32) as u32).max(1))
    }

    pub(crate) fn remember(&self, name: Fingerprint) {
        let (slot, tag) = self.place(name);
        slot.store(tag, Relaxed);
    }

    /// True once for a block that is remembered.
    pub(crate) fn take(&self, name: Fingerprint) -> bool {
        let (slot, tag) = self.place(name);
        slot.compare_exchange(tag, 0, Relaxed, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_once() {
        let ghost = Ghost::new(64);
        let name = |low| Fingerprint { high: 0, low };
        ghost.remember(name(0x5_0000_0001));
        assert!(!ghost.take(name(0x6_0000_0001)), "another tag in the same place");
        assert!(ghost.take(name(0x5_0000_0001)));
        assert!(!ghost.take(name(0x5_0000_0001)));
    }
}
