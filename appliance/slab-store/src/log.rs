//! An open slab: blocks are appended, and what the footer will say of them is kept.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::budget::Budget;
use crate::checksum::{BLOCK_PAGES, PAGE_BYTES};
use crate::format::footer::{Meta, QueueKind, RECORD_BYTES, Record};
use crate::geometry::{Geometry, LARGE_BLOCK_BYTES, SlabId, UNIT_BYTES, Units};
use crate::key::{BlockIndex, Fingerprint, ObjectKey};
use crate::segment::{Frozen, Segments, copy_overlap};
use crate::sys::AlignedBuf;

/// A block with its checksums, ready to be appended.
pub(crate) struct NewBlock<'a> {
    pub(crate) key: &'a ObjectKey,
    pub(crate) block: BlockIndex,
    pub(crate) name: Fingerprint,
    pub(crate) len: u32,
    pub(crate) crc: u32,
    /// Page checksums; those of large blocks are kept.
    pub(crate) pages: [u32; BLOCK_PAGES],
    /// The bytes, in parts.
    pub(crate) data: &'a [&'a [u8]],
    /// Reads that the block has seen, for the index.
    pub(crate) freq: u32,
}

impl NewBlock<'_> {
    pub(crate) fn is_large(&self) -> bool {
        self.len >= LARGE_BLOCK_BYTES
    }
}

pub(crate) struct OpenSlab {
    pub(crate) slab: SlabId,
    pub(crate) generation: u64,
    pub(crate) queue: QueueKind,
    pub(crate) meta: Meta,
    pub(crate) page_table: Vec<u32>,
    geometry: Geometry,
    meta_bytes: usize,
    meta_bytes_max: usize,
    records_max: usize,
    /// Numbers of `meta.keys`, found by hash.
    key_numbers: HashTable<u32>,
    /// Where the next byte goes, in the slab.
    cursor: u32,
    /// The segment being filled: it holds the bytes from `segment_start` to `cursor`.
    segment: Option<AlignedBuf>,
    segment_start: u32,
}

impl OpenSlab {
    pub(crate) fn new(
        slab: SlabId,
        generation: u64,
        queue: QueueKind,
        geometry: Geometry,
        budget: &Budget,
        records_max: usize,
    ) -> Self {
        Self {
            slab,
            generation,
            queue,
            meta: Meta::default(),
            page_table: vec![0; geometry.pages()],
            geometry,
            meta_bytes: 0,
            meta_bytes_max: budget.meta_bytes,
            records_max,
            key_numbers: HashTable::new(),
            cursor: 0,
            segment: None,
            segment_start: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.meta.records.is_empty()
    }

    /// Where a block will lie: on a unit, a large one on a page, so that one of its pages is one page of the device.
    pub(crate) fn place(&self, block: &NewBlock<'_>) -> u32 {
        self.cursor.next_multiple_of(if block.is_large() { PAGE_BYTES as u32 } else { UNIT_BYTES })
    }

    fn key_number(&self, key: &ObjectKey) -> Option<u32> {
        let same = |number: &u32| *self.meta.keys[*number as usize] == *key.as_bytes();
        self.key_numbers.find(key_hash(key.as_bytes()), same).copied()
    }

    /// True when the block and its part of the footer fit.
    pub(crate) fn fits(&self, block: &NewBlock<'_>) -> bool {
        let new_key = if self.key_number(block.key).is_some() { 0 } else { 2 + block.key.as_bytes().len() };
        let meta_bytes = self.meta_bytes + RECORD_BYTES + new_key;
        let end = (self.place(block) + block.len).next_multiple_of(PAGE_BYTES as u32);
        let meta_room = meta_bytes.next_multiple_of(PAGE_BYTES) as u32;
        meta_bytes <= self.meta_bytes_max
            && self.meta.records.len() < self.records_max
            && end + meta_room <= self.geometry.page_table_start()
    }

    /// True when appending the block takes a buffer out of the pool.
    pub(crate) fn needs_segment(&self, block: &NewBlock<'_>) -> bool {
        self.segment.is_none()
            || self.place(block) + block.len > self.segment_start + self.geometry.segment_bytes()
    }

    /// Appends the block. The caller has checked `fits`, and that the pool is not empty if `needs_segment`.
    pub(crate) fn append(&mut self, block: &NewBlock<'_>, segments: &mut Segments) -> Units {
        let at = self.place(block);
        self.pad(at - self.cursor, segments);
        for part in block.data {
            self.put(part, segments);
        }
        self.pad(self.cursor.next_multiple_of(UNIT_BYTES) - self.cursor, segments);
        if block.is_large() {
            let pages = (block.len as usize).div_ceil(PAGE_BYTES);
            let first = at as usize / PAGE_BYTES;
            self.page_table[first..first + pages].copy_from_slice(&block.pages[..pages]);
        }
        let offset = Units::from_bytes(at);
        self.record(block, offset);
        offset
    }

    fn record(&mut self, block: &NewBlock<'_>, offset: Units) {
        let key = self.key_number(block.key).unwrap_or_else(|| self.add_key(block.key));
        self.meta_bytes += RECORD_BYTES;
        self.meta.records.push(Record { key, block: block.block, offset, len: block.len, crc: block.crc });
    }

    fn add_key(&mut self, key: &ObjectKey) -> u32 {
        let number = self.meta.keys.len() as u32;
        self.meta.keys.push(key.shared_bytes());
        self.meta_bytes += 2 + key.as_bytes().len();
        let keys = &self.meta.keys;
        let rehash = |number: &u32| key_hash(&keys[*number as usize]);
        self.key_numbers.insert_unique(key_hash(key.as_bytes()), number, rehash);
        number
    }

    fn pad(&mut self, len: u32, segments: &mut Segments) {
        const ZEROES: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
        self.put(&ZEROES[..len as usize], segments);
    }

    fn put(&mut self, mut bytes: &[u8], segments: &mut Segments) {
        while !bytes.is_empty() {
            let start = self.segment_start;
            let segment = self.segment.get_or_insert_with(|| {
                segments.take().expect("the caller checked that the pool has what `needs_segment` asks for")
            });
            let at = (self.cursor - start) as usize;
            let (head, rest) = bytes.split_at(bytes.len().min(segment.len() - at));
            segment[at..at + head.len()].copy_from_slice(head);
            self.cursor += head.len() as u32;
            bytes = rest;
            if at + head.len() == segment.len() {
                self.freeze(segments);
            }
        }
    }

    /// Ends the segment being filled, padded to a page.
    pub(crate) fn freeze(&mut self, segments: &mut Segments) {
        let Some(mut buf) = self.segment.take() else { return };
        let filled = (self.cursor - self.segment_start) as usize;
        let len = filled.next_multiple_of(PAGE_BYTES);
        buf[filled..len].fill(0);
        let (slab, start) = (self.slab, self.segment_start);
        segments.freeze(Frozen { slab, start, len: len as u32, data: Arc::new(buf) });
        self.cursor = start + len as u32;
        self.segment_start = self.cursor;
    }

    /// Copies the part of `start..` that lies in the segment being filled; gives back the bytes copied.
    pub(crate) fn copy(&self, start: u32, out: &mut [u8]) -> usize {
        let end = start + out.len() as u32;
        let filled = (self.cursor - self.segment_start) as usize;
        self.segment
            .as_ref()
            .map_or(0, |buf| copy_overlap(self.segment_start, &buf[..filled], start, end, out))
    }

    pub(crate) fn take_segment(&mut self) -> Option<AlignedBuf> {
        self.segment.take()
    }

    /// Bytes that the footer will take, in memory now.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.meta_bytes + self.page_table.len() * 4
    }
}

fn key_hash(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}
