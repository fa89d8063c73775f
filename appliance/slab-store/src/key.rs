//! Identity of cached data: the key of an object's version, and blocks on its fixed grid.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::error::KeyError;

/// Size of a block: objects are cut at multiples of it, and only the last block of an object may be shorter.
///
/// The grid never depends on what was asked for, so two ranges of one object always share blocks.
pub const BLOCK_BYTES: u32 = 128 * 1024;

/// Longest key in bytes.
pub const KEY_BYTES_MAX: usize = 4096;

/// Index of a block in its object: block `i` begins at byte `i * BLOCK_BYTES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockIndex(pub u32);

/// Identity of one version of one object, as the caller spells it (store, key, ETag).
///
/// The bytes are kept on disk in full and seed every checksum. What a key names must never change: a store may give
/// back any bytes that were inserted under it. Cloning is a reference count.
#[derive(Clone, Debug)]
pub struct ObjectKey {
    bytes: Arc<[u8]>,
    hash: u128,
    seed: u32,
}

impl ObjectKey {
    /// Takes 1 to [`KEY_BYTES_MAX`] bytes of any content.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.is_empty() || bytes.len() > KEY_BYTES_MAX {
            return Err(KeyError { len: bytes.len(), limit: KEY_BYTES_MAX });
        }
        Ok(Self { bytes: bytes.into(), hash: xxh3_128(bytes), seed: crc32c::crc32c(bytes) })
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// 128-bit hash of the key.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    pub(crate) fn fingerprint(&self, block: BlockIndex) -> Fingerprint {
        Fingerprint::new(self.hash, block)
    }

    pub(crate) fn seed(&self, block: BlockIndex) -> BlockSeed {
        BlockSeed(crc32c::crc32c_append(self.seed, &block.0.to_le_bytes()))
    }

    pub(crate) fn shared_bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }
}

impl PartialEq for ObjectKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.bytes == other.bytes
    }
}

impl Eq for ObjectKey {}

/// 128-bit hash of a key and a block index: what the index in memory knows of a block's name.
///
/// Two names that share it would be told apart by the checksum, which is seeded with the full key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) high: u64,
    pub(crate) low: u64,
}

impl Fingerprint {
    /// Mixes the block index into both halves of the key's hash (splitmix64's finalizer, a bijection per half).
    fn new(key_hash: u128, block: BlockIndex) -> Self {
        let (high, low) = ((key_hash >> 64) as u64, key_hash as u64);
        let salt = u64::from(block.0).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { high: mix(high ^ salt), low: mix(low.wrapping_add(salt)) }
    }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Start value of a block's checksums: crc32c of the key's bytes and the block index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockSeed(pub(crate) u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_checked() {
        assert_eq!(ObjectKey::new(b"").map_err(|e| e.len), Err(0));
        assert!(ObjectKey::new(&[7; KEY_BYTES_MAX]).is_ok());
        assert_eq!(ObjectKey::new(&[7; KEY_BYTES_MAX + 1]).map_err(|e| e.limit), Err(KEY_BYTES_MAX));
    }

    #[test]
    fn blocks_and_keys_have_names_of_their_own() {
        let (a, b) = (ObjectKey::new(b"a").unwrap(), ObjectKey::new(b"b").unwrap());
        let names =
            [a.fingerprint(BlockIndex(0)), a.fingerprint(BlockIndex(1)), b.fingerprint(BlockIndex(0))];
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
        assert_ne!(a.seed(BlockIndex(0)).0, b.seed(BlockIndex(0)).0);
    }
}
