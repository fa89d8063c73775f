//! [`Slab`]: slots in chunks, found by index.

use super::slot::Slot;
use crate::namespace::entry::Number;

/// Slots of a chunk: 16 KiB, so that a small mount takes little and a large one few allocations.
const CHUNK_SLOTS: usize = 256;

#[derive(Default)]
pub(super) struct Slab {
    chunks: Vec<Box<[Option<Slot>]>>,
    free: Vec<u32>,
    used: usize,
}

impl Slab {
    pub(super) fn insert(&mut self, slot: Slot) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| self.grow());
        let (chunk, at) = split(index);
        self.chunks[chunk][at] = Some(slot);
        self.used += 1;
        index
    }

    fn grow(&mut self) -> u32 {
        let first = u32::try_from(self.chunks.len() * CHUNK_SLOTS)
            .expect("2^32 slots of 64 bytes are more than the memory of the host");
        self.chunks.push((0..CHUNK_SLOTS).map(|_| None).collect());
        self.free.extend((first + 1..first + CHUNK_SLOTS as u32).rev());
        first
    }

    pub(super) fn get(&mut self, index: u32) -> Option<&mut Slot> {
        let (chunk, at) = split(index);
        self.chunks.get_mut(chunk)?[at].as_mut()
    }

    pub(super) fn number(&self, index: u32) -> Option<Number> {
        let (chunk, at) = split(index);
        self.chunks.get(chunk)?[at].as_ref().map(|slot| slot.number)
    }

    pub(super) fn is(&self, index: u32, number: Number) -> bool {
        self.number(index) == Some(number)
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Slot> {
        let (chunk, at) = split(index);
        let slot = self.chunks.get_mut(chunk)?[at].take()?;
        self.used -= 1;
        if self.used == 0 {
            // An unmounted or idle tree gives its memory back.
            *self = Self::default();
        } else {
            self.free.push(index);
        }
        Some(slot)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let chunk = CHUNK_SLOTS * size_of::<Option<Slot>>();
        self.chunks.len() * chunk
            + self.chunks.capacity() * size_of::<Box<[Option<Slot>]>>()
            + self.free.capacity() * size_of::<u32>()
    }
}

fn split(index: u32) -> (usize, usize) {
    (index as usize / CHUNK_SLOTS, index as usize % CHUNK_SLOTS)
}
