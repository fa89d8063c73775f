//! [`Object`]: one version of one object in one store, as an open file or a warm-up sees it.

use std::ops::Range;
use std::sync::Arc;

use slab_store::{BLOCK_BYTES, BlockIndex, ObjectKey};
use ufs::{ByteRange, Key, Version};

use crate::store::Store;

/// One version of an object: its bytes never change.
pub struct Object {
    /// Where it lives.
    pub store: Arc<Store>,
    /// Its key there.
    pub key: Key,
    /// The version that every read of it is bound to.
    pub version: Version,
    /// Its length.
    pub size_bytes: u64,
    /// Its name in the slabs.
    pub cache_key: ObjectKey,
    /// Hash of that name: what tells it apart in memory.
    fingerprint: u128,
}

/// What names a block among the blocks in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockId {
    /// Fingerprint of the object's cache key.
    pub object: u128,
    /// Place in the object.
    pub index: BlockIndex,
}

impl Object {
    /// Names an object version. Fails when store identity, key and version are longer together than a cache key may be.
    pub fn new(
        store: Arc<Store>,
        key: Key,
        version: Version,
        size_bytes: u64,
    ) -> Result<Self, slab_store::KeyError> {
        let text =
            [store.identity.as_bytes(), b"\0", key.as_str().as_bytes(), b"\0", version.as_str().as_bytes()];
        let text = text.concat();
        let fingerprint = xxhash_rust::xxh3::xxh3_128(&text);
        Ok(Self { store, key, version, size_bytes, cache_key: ObjectKey::new(&text)?, fingerprint })
    }

    /// Number of blocks.
    pub fn block_count(&self) -> u32 {
        u32::try_from(self.size_bytes.div_ceil(u64::from(BLOCK_BYTES))).unwrap_or(u32::MAX)
    }

    /// The blocks that hold a byte range.
    pub fn blocks_of(&self, range: ByteRange) -> Range<u32> {
        let block = u64::from(BLOCK_BYTES);
        let end = range.end.min(self.size_bytes).div_ceil(block);
        let start = (range.start / block).min(end);
        // An object of more than 2^32 blocks (512 TiB) is larger than any store takes.
        u32::try_from(start).unwrap_or(u32::MAX)..u32::try_from(end).unwrap_or(u32::MAX)
    }

    /// The bytes of a run of blocks.
    pub fn bytes_of(&self, blocks: &Range<u32>) -> ByteRange {
        let block = u64::from(BLOCK_BYTES);
        ByteRange::new(u64::from(blocks.start) * block..(u64::from(blocks.end) * block).min(self.size_bytes))
    }

    /// The name of one of its blocks.
    pub fn block_id(&self, index: u32) -> BlockId {
        BlockId { object: self.fingerprint, index: BlockIndex(index) }
    }
}
