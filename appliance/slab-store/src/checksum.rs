//! The two checksums of a block, both crc32c and both seeded with the block's full name.
//!
//! - *block*: crc32c(key bytes, block index as LE u32, data). In the index; checks reads of whole blocks.
//! - *page*: crc32c(key bytes, block index as LE u32, page number as LE u32, page data), for each 4 KiB page of a large
//!   block. In the slab's page table; checks parts of blocks.
//!
//! Because the seed holds the key, bytes that verify were written for this very block: a wrong extent, a stale slab or
//! two keys with one fingerprint fail like a flipped bit does.

use std::sync::LazyLock;

use crc_fast::{CrcAlgorithm, Digest};
use crc32c::{crc32c_append, crc32c_combine};

use crate::key::{BLOCK_BYTES, BlockIndex, BlockSeed, ObjectKey};

/// Unit of partial reads.
pub(crate) const PAGE_BYTES: usize = 4096;

/// From this length on folding with wide carry-less multiplication (crc-fast, VPCLMULQDQ) beats the crc32 instruction:
/// on a CPU with AVX-512 the user time of a 128 KiB read fell from 12 to 8 us (bench/slab, medians of two).
const FOLD_BYTES_MIN: usize = 512;

/// Continues a crc32c over more data.
pub(crate) fn append(crc: u32, data: &[u8]) -> u32 {
    if data.len() < FOLD_BYTES_MIN {
        return crc32c_append(crc, data);
    }
    // The state is the sum before its final inversion.
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!crc));
    digest.update(data);
    digest.finalize() as u32
}

/// The *block* checksum of a block that is given in parts, for caches with another layout.
pub fn block_checksum<'a>(
    object: &ObjectKey,
    block: BlockIndex,
    parts: impl Iterator<Item = &'a [u8]>,
) -> u32 {
    block_crc(object.seed(block), parts)
}

pub(crate) fn block_crc<'a>(seed: BlockSeed, parts: impl Iterator<Item = &'a [u8]>) -> u32 {
    parts.fold(seed.0, append)
}

/// Pages of the largest block.
pub(crate) const BLOCK_PAGES: usize = BLOCK_BYTES as usize / PAGE_BYTES;

/// The checksums of a block and of its pages, from one pass over its parts, which may end anywhere.
///
/// A crc is linear: that of A followed by B is that of B alone, plus that of A moved by the length of B. So the data of
/// each page is summed up alone, and enters both sums behind what stands before it in each.
pub(crate) fn block_and_page_crcs(seed: BlockSeed, parts: &[&[u8]]) -> (u32, [u32; BLOCK_PAGES]) {
    let mut sums = Sums { seed, block: seed.0, pages: [0; BLOCK_PAGES], page: 0 };
    let (mut data_crc, mut filled) = (0, 0);
    for part in parts {
        let mut part = *part;
        while !part.is_empty() {
            let (head, rest) = part.split_at(part.len().min(PAGE_BYTES - filled));
            data_crc = append(data_crc, head);
            (filled, part) = (filled + head.len(), rest);
            if filled == PAGE_BYTES {
                sums.add(data_crc, filled);
                (data_crc, filled) = (0, 0);
            }
        }
    }
    if filled > 0 {
        sums.add(data_crc, filled);
    }
    (sums.block, sums.pages)
}

struct Sums {
    seed: BlockSeed,
    block: u32,
    pages: [u32; BLOCK_PAGES],
    page: u32,
}

impl Sums {
    /// The next page holds `len` bytes with this crc.
    fn add(&mut self, data_crc: u32, len: usize) {
        let before_page = crc32c_append(self.seed.0, &self.page.to_le_bytes());
        let behind = |before| match len {
            PAGE_BYTES => moved_by_a_page(before) ^ data_crc,
            _ => crc32c_combine(before, data_crc, len),
        };
        (self.pages[self.page as usize], self.block) = (behind(before_page), behind(self.block));
        self.page += 1;
    }
}

/// The crc of data with a page of zero bits of sum behind it: one look-up for each byte of the crc.
fn moved_by_a_page(crc: u32) -> u32 {
    static TABLES: LazyLock<[[u32; 256]; 4]> = LazyLock::new(|| {
        let moved = |byte: usize, at: usize| crc32c_combine((byte as u32) << (8 * at), 0, PAGE_BYTES);
        std::array::from_fn(|at| std::array::from_fn(|byte| moved(byte, at)))
    });
    let tables = &*TABLES;
    crc.to_le_bytes().iter().zip(tables).fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)])
}

pub(crate) fn page_crc(seed: BlockSeed, page: u32, data: &[u8]) -> u32 {
    append(crc32c_append(seed.0, &page.to_le_bytes()), data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit-at-a-time CRC-32C (RFC 3720, B.4: reflected polynomial 0x82f63b78), the second source.
    fn reference(data: &[u8]) -> u32 {
        !data.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0x82f6_3b78 & (0u32.wrapping_sub(crc & 1)))
            })
        })
    }

    #[test]
    fn checksums_are_those_of_the_documented_byte_strings() {
        assert_eq!(reference(&[0; 32]), 0x8a91_36aa, "RFC 3720 B.4: 32 bytes of zeroes");
        let key = ObjectKey::new(b"s3://b/k\0etag").unwrap();
        let seed = key.seed(BlockIndex(0x0102_0304));
        let name = b"s3://b/k\0etag\x04\x03\x02\x01";
        let block = [&name[..], b"hello", b" world"].concat();
        assert_eq!(block_crc(seed, [&b"hello"[..], b" world"].into_iter()), reference(&block));
        let page = [&name[..], &[7, 0, 0, 0], b"page"].concat();
        assert_eq!(page_crc(seed, 7, b"page"), reference(&page));
    }

    #[test]
    fn one_pass_gives_the_sums_of_the_documented_byte_strings() {
        let seed = ObjectKey::new(b"s3://b/k\0etag").unwrap().seed(BlockIndex(9));
        let data: Vec<u8> = (0..BLOCK_BYTES).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for len in [1, 4_095, 4_096, 4_097, 65_536, 70_001, BLOCK_BYTES as usize] {
            let data = &data[..len];
            for cuts in [&[][..], &[1], &[5_000], &[4_096, 8_192], &[100, 4_100, 60_000]] {
                let mut parts = Vec::new();
                let mut rest = data;
                for cut in cuts.iter().rev().filter(|cut| **cut < len) {
                    let (head, tail) = rest.split_at(*cut);
                    parts.insert(0, tail);
                    rest = head;
                }
                parts.insert(0, rest);
                let (block, pages) = block_and_page_crcs(seed, &parts);
                assert_eq!(block, block_crc(seed, [data].into_iter()), "{len} bytes cut at {cuts:?}");
                let mut expected = [0; BLOCK_PAGES];
                for ((page, chunk), crc) in (0..).zip(data.chunks(PAGE_BYTES)).zip(&mut expected) {
                    *crc = page_crc(seed, page, chunk);
                }
                assert_eq!(pages, expected, "{len} bytes cut at {cuts:?}");
            }
        }
    }

    #[test]
    fn both_ways_to_compute_agree_with_the_reference_at_every_length() {
        let data: Vec<u8> = (0..5_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for len in (0..600).chain([1_023, 1_024, 4_095, 4_096, 4_097, 5_000]) {
            let head = len / 3;
            let whole = append(append(0, &data[..head]), &data[head..len]);
            assert_eq!(whole, reference(&data[..len]), "{len} bytes");
        }
    }
}
