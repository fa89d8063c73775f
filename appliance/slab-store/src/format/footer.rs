//! The footer of a sealed slab: meta (records, then keys), page table, trailer.
//!
//! The trailer is one 4 KiB write at the slab's end and carries the checksums of the other two, so a footer counts
//! only when all of it reached the disk.

use std::sync::Arc;

use super::fields::{Reader, Writer};
use super::superblock::Uuid;
use crate::checksum::PAGE_BYTES;
use crate::geometry::{Geometry, SlabId, TRAILER_BYTES, Units};
use crate::key::{BLOCK_BYTES, BlockIndex, KEY_BYTES_MAX};

/// First eight bytes of a trailer.
pub(crate) const MAGIC: [u8; 8] = *b"FBFOOT1\n";
/// Bytes of a record in the meta part.
pub(crate) const RECORD_BYTES: usize = 20;
/// Bytes of a trailer that its checksum covers.
const TRAILER_FIELDS_BYTES: usize = 72;

/// Which of the two eviction queues a slab belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueKind {
    /// Blocks on probation.
    Small,
    /// Blocks that were read again.
    Main,
}

/// One block of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Number of the block's key in the slab's key list.
    pub(crate) key: u32,
    pub(crate) block: BlockIndex,
    pub(crate) offset: Units,
    pub(crate) len: u32,
    /// Whole-block checksum.
    pub(crate) crc: u32,
}

/// Records and keys of a slab.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) records: Vec<Record>,
    pub(crate) keys: Vec<Arc<[u8]>>,
}

/// The trailer of a slab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) uuid: Uuid,
    pub(crate) slab: SlabId,
    pub(crate) queue: QueueKind,
    /// Grows with every slab that is opened; the newest copy of a block wins.
    pub(crate) generation: u64,
    pub(crate) records: u32,
    pub(crate) keys: u32,
    /// Offset of the meta part in the slab; page-aligned.
    pub(crate) meta_start: u32,
    pub(crate) meta_bytes: u32,
    pub(crate) meta_crc: u32,
    pub(crate) page_table_crc: u32,
}

impl Meta {
    /// Writes records and keys to the start of `out`.
    pub(crate) fn encode(&self, out: &mut [u8]) {
        let mut fields = Writer::new(out);
        for record in &self.records {
            fields.u32(record.key);
            fields.u32(record.block.0);
            fields.u32(record.offset.0);
            fields.u32(record.len);
            fields.u32(record.crc);
        }
        for key in &self.keys {
            fields.u16(key.len() as u16);
            fields.bytes(key);
        }
    }

    pub(crate) fn encoded_bytes(&self) -> usize {
        self.records.len() * RECORD_BYTES + self.keys.iter().map(|key| 2 + key.len()).sum::<usize>()
    }

    /// Reads what the trailer describes; `None` when the checksum or any bound is wrong.
    pub(crate) fn decode(bytes: &[u8], trailer: &Trailer) -> Option<Self> {
        let bytes = bytes.get(..trailer.meta_bytes as usize)?;
        if crc32c::crc32c(bytes) != trailer.meta_crc {
            return None;
        }
        let mut fields = Reader::new(bytes);
        let records =
            (0..trailer.records).map(|_| Record::decode(&mut fields, trailer)).collect::<Option<_>>()?;
        let keys = (0..trailer.keys).map(|_| decode_key(&mut fields)).collect::<Option<_>>()?;
        Some(Self { records, keys })
    }
}

impl Record {
    fn decode(fields: &mut Reader<'_>, trailer: &Trailer) -> Option<Self> {
        let record = Self {
            key: fields.u32()?,
            block: BlockIndex(fields.u32()?),
            offset: Units(fields.u32()?),
            len: fields.u32()?,
            crc: fields.u32()?,
        };
        let end = u64::from(record.offset.0) * 512 + u64::from(record.len);
        let sound = record.key < trailer.keys
            && (1..=BLOCK_BYTES).contains(&record.len)
            && end <= u64::from(trailer.meta_start);
        sound.then_some(record)
    }
}

fn decode_key(fields: &mut Reader<'_>) -> Option<Arc<[u8]>> {
    let len = usize::from(fields.u16()?);
    (1..=KEY_BYTES_MAX).contains(&len).then_some(())?;
    fields.bytes(len).map(Arc::from)
}

impl Trailer {
    /// Writes the trailer to the first [`TRAILER_BYTES`] of `out`.
    pub(crate) fn encode(&self, out: &mut [u8]) {
        out[..TRAILER_BYTES as usize].fill(0);
        let mut fields = Writer::new(out);
        fields.bytes(&MAGIC);
        fields.u32(super::superblock::VERSION);
        fields.u32(self.slab.0);
        fields.bytes(&self.uuid);
        fields.u64(self.generation);
        fields.u32(match self.queue {
            QueueKind::Small => 0,
            QueueKind::Main => 1,
        });
        fields.u32(self.records);
        fields.u32(self.keys);
        fields.u32(self.meta_start);
        fields.u32(self.meta_bytes);
        fields.u32(self.meta_crc);
        fields.u32(self.page_table_crc);
        fields.u32(0);
        let crc = crc32c::crc32c(fields.written());
        fields.u32(crc);
    }

    /// Reads a trailer of slab `slab` of the cache `uuid`; `None` when it is none, or not sound.
    pub(crate) fn decode(bytes: &[u8], geometry: Geometry, uuid: &Uuid, slab: SlabId) -> Option<Self> {
        let covered = bytes.get(..TRAILER_FIELDS_BYTES)?;
        let mut fields = Reader::new(bytes);
        let ours = fields.bytes(8)? == MAGIC
            && fields.u32()? == super::superblock::VERSION
            && fields.u32()? == slab.0
            && fields.bytes(16)? == uuid;
        let generation = fields.u64()?;
        let queue = decode_queue(fields.u32()?)?;
        let (records, keys) = (fields.u32()?, fields.u32()?);
        let (meta_start, meta_bytes) = (fields.u32()?, fields.u32()?);
        let (meta_crc, page_table_crc) = (fields.u32()?, fields.u32()?);
        let (_reserved, crc) = (fields.u32()?, fields.u32()?);
        let meta_end = meta_start.checked_add(meta_bytes)?;
        let sound = ours
            && crc == crc32c::crc32c(covered)
            && meta_start.is_multiple_of(PAGE_BYTES as u32)
            && meta_end <= geometry.page_table_start()
            && u64::from(records) * RECORD_BYTES as u64 <= u64::from(meta_bytes)
            && u64::from(keys) * 3 <= u64::from(meta_bytes);
        let uuid = *uuid;
        sound.then_some(Self {
            uuid,
            slab,
            queue,
            generation,
            records,
            keys,
            meta_start,
            meta_bytes,
            meta_crc,
            page_table_crc,
        })
    }
}

fn decode_queue(value: u32) -> Option<QueueKind> {
    match value {
        0 => Some(QueueKind::Small),
        1 => Some(QueueKind::Main),
        _ => None,
    }
}

/// Writes a page table to the start of `out`.
pub(crate) fn encode_page_table(table: &[u32], out: &mut [u8]) {
    let mut fields = Writer::new(out);
    table.iter().for_each(|crc| fields.u32(*crc));
}

/// Reads a page table whose checksum is `crc`.
pub(crate) fn decode_page_table(bytes: &[u8], crc: u32) -> Option<Vec<u32>> {
    if crc32c::crc32c(bytes) != crc {
        return None;
    }
    let mut fields = Reader::new(bytes);
    Some(std::iter::from_fn(|| fields.u32()).collect())
}

#[cfg(test)]
mod forged;

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry { slab_bytes: 1 << 20, slab_count: 8 };
    const UUID: Uuid = *b"0123456789abcdef";

    fn sample() -> (Meta, Trailer, Vec<u8>) {
        let record = Record { key: 0, block: BlockIndex(3), offset: Units(8), len: 70_000, crc: 0xdead_beef };
        let meta = Meta { records: vec![record], keys: vec![Arc::from(&b"key"[..])] };
        let mut bytes = vec![0; 4096];
        meta.encode(&mut bytes);
        let meta_bytes = meta.encoded_bytes() as u32;
        let trailer = Trailer {
            uuid: UUID,
            slab: SlabId(5),
            queue: QueueKind::Main,
            generation: 77,
            records: 1,
            keys: 1,
            meta_start: 262_144,
            meta_bytes,
            meta_crc: crc32c::crc32c(&bytes[..meta_bytes as usize]),
            page_table_crc: 1,
        };
        (meta, trailer, bytes)
    }

    #[test]
    fn meta_lies_where_the_format_says() {
        let (meta, trailer, bytes) = sample();
        assert_eq!(
            bytes[..20],
            [0, 0, 0, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0x70, 0x11, 1, 0, 0xef, 0xbe, 0xad, 0xde]
        );
        assert_eq!(&bytes[20..25], b"\x03\0key");
        assert_eq!(Meta::decode(&bytes, &trailer), Some(meta));
    }

    #[test]
    fn trailer_lies_where_the_format_says() {
        let (_, trailer, _) = sample();
        let mut bytes = vec![0; 4096];
        trailer.encode(&mut bytes);
        assert_eq!(&bytes[..8], b"FBFOOT1\n");
        assert_eq!(bytes[8..16], [1, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(bytes[32..44], [77, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(bytes[72..76], crc32c::crc32c(&bytes[..72]).to_le_bytes());
        assert_eq!(Trailer::decode(&bytes, GEOMETRY, &UUID, SlabId(5)), Some(trailer));
        assert_eq!(Trailer::decode(&bytes, GEOMETRY, &UUID, SlabId(4)), None, "a trailer of another slab");
        assert_eq!(Trailer::decode(&bytes, GEOMETRY, &[0; 16], SlabId(5)), None, "of another formatting");
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (meta, trailer, bytes) = sample();
        for bit in 0..meta.encoded_bytes() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Meta::decode(&bad, &trailer), None, "meta bit {bit}");
        }
        let mut good = vec![0; 4096];
        trailer.encode(&mut good);
        for bit in 0..76 * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Trailer::decode(&bad, GEOMETRY, &UUID, SlabId(5)), None, "trailer bit {bit}");
        }
    }

    #[test]
    fn absurd_lengths_are_refused() {
        let (_, mut trailer, bytes) = sample();
        trailer.meta_bytes = u32::MAX;
        assert_eq!(Meta::decode(&bytes, &trailer), None);
        let mut out = vec![0; 4096];
        trailer.encode(&mut out);
        assert_eq!(Trailer::decode(&out, GEOMETRY, &UUID, SlabId(5)), None);
    }
}
