//! [`Entry`]: one object, and how complete it is.
//!
//! ```text
//!   Filling --- last block written and durable --> Sealed
//!      |                                             |
//!      '-- evicted, damaged, device error --> Gone <-'-- evicted, found damaged
//! ```

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use slab_store::ObjectKey;

use crate::files::{Files, Paths};
use crate::format;
use crate::space::Charge;

/// Which blocks are there: one bit each.
#[derive(Debug)]
pub(crate) struct Presence {
    words: Box<[u64]>,
    missing: u32,
}

impl Presence {
    pub(crate) fn empty(blocks: u32) -> Self {
        Self { words: vec![0; blocks.div_ceil(64) as usize].into(), missing: blocks }
    }

    fn word(&self, block: u32) -> (usize, u64) {
        ((block / 64) as usize, 1 << (block % 64))
    }

    pub(crate) fn has(&self, block: u32) -> bool {
        let (word, bit) = self.word(block);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Notes a block; false when it was there.
    pub(crate) fn add(&mut self, block: u32) -> bool {
        let (word, bit) = self.word(block);
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.missing -= u32::from(fresh);
        fresh
    }

    /// Forgets a block; false when it was not there.
    fn remove(&mut self, block: u32) -> bool {
        let (word, bit) = self.word(block);
        let present = self.words[word] & bit != 0;
        self.missing += u32::from(present);
        self.words[word] &= !bit;
        present
    }

    pub(crate) fn missing(&self) -> u32 {
        self.missing
    }
}

#[derive(Debug)]
pub(crate) enum Stage {
    Filling(Presence),
    Sealed,
    Gone,
}

/// What writing a run did to an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    /// So many blocks were new; some are missing still.
    New(u32),
    /// The last ones came: the caller has to seal it.
    Complete(u32),
    /// The entry is gone.
    Gone,
}

pub(crate) struct Entry {
    pub(crate) key: ObjectKey,
    pub(crate) size_bytes: u64,
    pub(crate) paths: Paths,
    pub(crate) charge: Arc<Charge>,
    /// Place in the order of use; changed under the index's lock alone.
    pub(crate) tick: AtomicU64,
    /// Writers at work and files that are lent: no victim while there are any. Raised under the index's lock.
    pins: AtomicU32,
    stage: Mutex<Stage>,
    files: Mutex<Option<Arc<Files>>>,
}

impl Entry {
    pub(crate) fn new(
        key: ObjectKey,
        size_bytes: u64,
        paths: Paths,
        charge: Arc<Charge>,
        stage: Stage,
    ) -> Self {
        Self {
            key,
            size_bytes,
            paths,
            charge,
            tick: AtomicU64::new(0),
            pins: AtomicU32::new(0),
            stage: Mutex::new(stage),
            files: Mutex::default(),
        }
    }

    pub(crate) fn has(&self, block: u32) -> bool {
        match &*self.stage.lock() {
            Stage::Filling(presence) => presence.has(block),
            Stage::Sealed => true,
            Stage::Gone => false,
        }
    }

    pub(crate) fn has_all(&self, mut blocks: Range<u32>) -> bool {
        match &*self.stage.lock() {
            Stage::Filling(presence) => blocks.all(|block| presence.has(block)),
            Stage::Sealed => true,
            Stage::Gone => false,
        }
    }

    pub(crate) fn is_sealed(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Sealed)
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Gone)
    }

    /// Blocks were written.
    pub(crate) fn mark(&self, blocks: Range<u32>) -> Marked {
        match &mut *self.stage.lock() {
            Stage::Filling(presence) => {
                let before = presence.missing;
                let fresh = blocks.filter(|block| presence.add(*block)).count() as u32;
                if presence.missing == 0 && before > 0 { Marked::Complete(fresh) } else { Marked::New(fresh) }
            }
            Stage::Sealed => Marked::New(0),
            Stage::Gone => Marked::Gone,
        }
    }

    /// A block of an object that is not complete is not there any more; false when it was not.
    pub(crate) fn unmark(&self, block: u32) -> bool {
        match &mut *self.stage.lock() {
            Stage::Filling(presence) => presence.remove(block),
            Stage::Sealed | Stage::Gone => false,
        }
    }

    /// Moves from complete to sealed; false when it is gone meanwhile.
    pub(crate) fn seal(&self) -> bool {
        let mut stage = self.stage.lock();
        let live = !matches!(*stage, Stage::Gone);
        if live {
            *stage = Stage::Sealed;
        }
        live
    }

    /// Ends the entry: the files lose their names, and their bytes are free when the last one lets go of them.
    pub(crate) fn end(&self) {
        *self.stage.lock() = Stage::Gone;
        self.charge.remove();
        self.paths.remove();
        self.close();
    }

    /// The open files, and whether they had to be opened for this.
    pub(crate) fn files(&self) -> io::Result<(Arc<Files>, bool)> {
        let mut files = self.files.lock();
        if let Some(open) = &*files {
            return Ok((Arc::clone(open), false));
        }
        let open = Arc::new(Files::open(&self.paths, Arc::clone(&self.charge))?);
        *files = Some(Arc::clone(&open));
        Ok((open, true))
    }

    pub(crate) fn set_files(&self, files: Files) {
        *self.files.lock() = Some(Arc::new(files));
    }

    /// Lets go of the open files; those who use them now keep them.
    pub(crate) fn close(&self) {
        let files = self.files.lock().take();
        drop(files);
    }

    pub(crate) fn block_count(&self) -> u32 {
        format::block_count(self.size_bytes)
    }

    pub(crate) fn pin(self: &Arc<Self>) -> Pin {
        self.pins.fetch_add(1, Ordering::AcqRel);
        Pin(Arc::clone(self))
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Acquire) > 0
    }
}

/// Keeps an entry from being chosen for eviction.
pub(crate) struct Pin(pub(crate) Arc<Entry>);

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::AcqRel);
    }
}
