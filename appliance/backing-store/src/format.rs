//! The bytes of a checksum file: a header, then one checksum for each block of the object, 0 where it is absent.
//! docs/FORMAT-FILES.md draws it.

use slab_store::{BLOCK_BYTES, BlockIndex, KEY_BYTES_MAX, ObjectKey, block_checksum};

const MAGIC: [u8; 8] = *b"FBYFILE1";
const BLOCK_BYTES_AT: usize = 20;
const KEY_LEN_AT: usize = 24;
const CRC_AT: usize = 28;
const KEY_AT: usize = 32;
const FLAG_SEALED: u32 = 1;

/// Bytes before the first checksum.
pub(crate) const HEADER_BYTES: usize = 8192;
/// Bytes of a checksum.
pub(crate) const SUM_BYTES: usize = 4;

const _: () = assert!(KEY_AT + KEY_BYTES_MAX <= HEADER_BYTES);

/// What a header says.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) key: ObjectKey,
    pub(crate) size_bytes: u64,
    /// All blocks were there and durable when this was written.
    pub(crate) sealed: bool,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let key = self.key.as_bytes();
        let mut bytes = vec![0; HEADER_BYTES];
        let flags = if self.sealed { FLAG_SEALED } else { 0 };
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&flags.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.size_bytes.to_le_bytes());
        bytes[BLOCK_BYTES_AT..KEY_LEN_AT].copy_from_slice(&BLOCK_BYTES.to_le_bytes());
        bytes[KEY_LEN_AT..CRC_AT].copy_from_slice(&(key.len() as u32).to_le_bytes());
        bytes[KEY_AT..KEY_AT + key.len()].copy_from_slice(key);
        let crc = crc32c::crc32c(&bytes);
        bytes[CRC_AT..KEY_AT].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header in the first [`HEADER_BYTES`] of a file; `None` when it is damaged, cut off or of another layout.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Header> {
        let mut bytes = bytes.get(..HEADER_BYTES)?.to_vec();
        let word = |bytes: &[u8], at: usize| {
            bytes[at..at + 4].try_into().map(u32::from_le_bytes).expect("four bytes")
        };
        let crc = word(&bytes, CRC_AT);
        bytes[CRC_AT..KEY_AT].fill(0);
        if bytes[..8] != MAGIC || crc != crc32c::crc32c(&bytes) || word(&bytes, BLOCK_BYTES_AT) != BLOCK_BYTES
        {
            return None;
        }
        let key_len = word(&bytes, KEY_LEN_AT) as usize;
        let key = ObjectKey::new(bytes.get(KEY_AT..KEY_AT + key_len)?).ok()?;
        let size_bytes = u64::from_le_bytes(bytes[12..20].try_into().expect("eight bytes"));
        Some(Header { key, size_bytes, sealed: word(&bytes, 8) & FLAG_SEALED != 0 })
    }
}

/// Where the checksum of a block stands.
pub(crate) fn sum_offset(block: u32) -> u64 {
    HEADER_BYTES as u64 + u64::from(block) * SUM_BYTES as u64
}

/// The checksum of a block; never 0, which stands for "absent".
pub(crate) fn sum<'a>(key: &ObjectKey, block: u32, parts: impl Iterator<Item = &'a [u8]>) -> u32 {
    block_checksum(key, BlockIndex(block), parts).max(1)
}

/// The checksums in bytes of the table.
pub(crate) fn sums(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(SUM_BYTES).map(|sum| u32::from_le_bytes(sum.try_into().expect("four bytes")))
}

/// Count of blocks of an object.
pub(crate) fn block_count(size_bytes: u64) -> u32 {
    u32::try_from(size_bytes.div_ceil(u64::from(BLOCK_BYTES))).unwrap_or(u32::MAX)
}

/// Length of a block; the last one may be short.
pub(crate) fn block_len(size_bytes: u64, block: u32) -> usize {
    let start = u64::from(block) * u64::from(BLOCK_BYTES);
    size_bytes.saturating_sub(start).min(u64::from(BLOCK_BYTES)) as usize
}

/// Bytes that a checksum file takes on disk at most.
pub(crate) fn sums_file_bytes(size_bytes: u64) -> u64 {
    sum_offset(block_count(size_bytes)).next_multiple_of(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sealed: bool) -> Header {
        let key = ObjectKey::new(b"s3://bucket/key\0etag").expect("short");
        Header { key, size_bytes: 123_456_789, sealed }
    }

    #[test]
    fn a_header_comes_back() {
        for sealed in [false, true] {
            let read = Header::decode(&header(sealed).encode()).expect("valid");
            assert!(read.key == header(sealed).key);
            assert_eq!((read.size_bytes, read.sealed), (123_456_789, sealed));
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let bytes = header(true).encode();
        for at in (0..64).chain([HEADER_BYTES - 1]) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(Header::decode(&damaged).is_none(), "byte {at}");
        }
        assert!(Header::decode(&bytes[..HEADER_BYTES - 1]).is_none());
    }

    #[test]
    fn the_last_block_is_short() {
        let block = u64::from(BLOCK_BYTES);
        assert_eq!(
            (block_count(0), block_count(1), block_count(block), block_count(block + 1)),
            (0, 1, 1, 2)
        );
        assert_eq!(block_len(block + 5, 1), 5);
        assert_eq!(block_len(block + 5, 0), BLOCK_BYTES as usize);
    }
}
