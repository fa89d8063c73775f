//! [`Pin`]: keeps the blocks of a listing while somebody reads or writes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::Core;
use crate::namespace::record::ListingId;

/// Listings in use. As many as there are open directories and running imports.
#[derive(Default)]
pub(super) struct Pins {
    counts: Mutex<HashMap<ListingId, u32>>,
}

impl Pins {
    pub(super) fn is_pinned(&self, listing: ListingId) -> bool {
        self.counts.lock().contains_key(&listing)
    }
}

/// One use of a listing.
pub(in crate::namespace) struct Pin {
    core: Arc<Core>,
    listing: ListingId,
    epoch: u64,
}

impl Pin {
    pub(super) fn new(core: Arc<Core>, listing: ListingId) -> Self {
        let epoch = core.epoch.load(Ordering::Acquire);
        Self::of_epoch(core, listing, epoch)
    }

    fn of_epoch(core: Arc<Core>, listing: ListingId, epoch: u64) -> Self {
        *core.pins.counts.lock().entry(listing).or_default() += 1;
        Self { core, listing, epoch }
    }

    pub(in crate::namespace) fn listing(&self) -> ListingId {
        self.listing
    }

    /// Which database the pin was made in, if one was replaced.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl Clone for Pin {
    fn clone(&self) -> Self {
        Self::of_epoch(self.core.clone(), self.listing, self.epoch)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut counts = self.core.pins.counts.lock();
        if let Some(count) = counts.get_mut(&self.listing) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.listing);
                self.core.has_garbage.store(true, Ordering::Relaxed);
                self.core.work.notify_one();
            }
        }
    }
}
