//! The superblock: what this device is, and how it is cut into slabs. Two copies, so that a torn rewrite is no loss.

use super::fields::{Reader, Writer};
use crate::geometry::{Geometry, SLAB_BYTES_MAX, SLAB_BYTES_MIN, SLABS_MIN};
use crate::key::BLOCK_BYTES;

/// First eight bytes of a cache.
pub(crate) const MAGIC: [u8; 8] = *b"FBSLABS\n";
/// Version of all on-disk structures; any change of their meaning raises it.
pub(crate) const VERSION: u32 = 1;
/// Bytes of one copy.
pub(crate) const SUPERBLOCK_BYTES: usize = 4096;
/// Device offsets of the copies. The second is rewritten after the first was flushed.
pub(crate) const SUPERBLOCK_OFFSETS: [u64; 2] = [0, 512 * 1024];

/// Identity of one formatting of a device: footers of an older one do not count.
pub(crate) type Uuid = [u8; 16];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) uuid: Uuid,
    pub(crate) geometry: Geometry,
}

/// What the bytes at a superblock's place are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Valid(Superblock),
    /// Ours, in another version.
    OtherVersion(u32),
    /// Ours, with a wrong checksum or impossible contents.
    Damaged,
    /// All bytes are zero.
    Blank,
    Foreign,
}

impl Superblock {
    /// Writes the superblock to the first bytes of `out`, which are [`SUPERBLOCK_BYTES`] long.
    pub(crate) fn encode(&self, out: &mut [u8]) {
        out[..SUPERBLOCK_BYTES].fill(0);
        let mut fields = Writer::new(out);
        fields.bytes(&MAGIC);
        fields.u32(VERSION);
        fields.u32(BLOCK_BYTES);
        fields.bytes(&self.uuid);
        fields.u32(self.geometry.slab_bytes);
        fields.u32(self.geometry.slab_count);
        let crc = crc32c::crc32c(fields.written());
        fields.u32(crc);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Found {
        if bytes.iter().all(|byte| *byte == 0) {
            return Found::Blank;
        }
        let mut fields = Reader::new(bytes);
        if fields.bytes(MAGIC.len()) != Some(&MAGIC) {
            return Found::Foreign;
        }
        // The version comes right after the magic in every version, and before anything that a version may change.
        match fields.u32() {
            Some(VERSION) => decode_fields(&mut fields, bytes).map_or(Found::Damaged, Found::Valid),
            Some(other) => Found::OtherVersion(other),
            None => Found::Damaged,
        }
    }
}

fn decode_fields(fields: &mut Reader<'_>, bytes: &[u8]) -> Option<Superblock> {
    let block_bytes = fields.u32()?;
    let uuid = fields.bytes(16)?.try_into().ok()?;
    let geometry = Geometry { slab_bytes: fields.u32()?, slab_count: fields.u32()? };
    let crc = fields.u32()?;
    let sizes = SLAB_BYTES_MIN..=SLAB_BYTES_MAX;
    let sound = crc == crc32c::crc32c(&bytes[..40])
        && block_bytes == BLOCK_BYTES
        && geometry.slab_bytes.is_power_of_two()
        && sizes.contains(&u64::from(geometry.slab_bytes))
        && geometry.slab_count >= SLABS_MIN;
    sound.then_some(Superblock { uuid, geometry })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> (Superblock, Vec<u8>) {
        let geometry = Geometry { slab_bytes: 1 << 20, slab_count: 9 };
        let superblock = Superblock { uuid: *b"0123456789abcdef", geometry };
        let mut bytes = vec![0; SUPERBLOCK_BYTES];
        superblock.encode(&mut bytes);
        (superblock, bytes)
    }

    #[test]
    fn fields_lie_where_the_format_says() {
        let (superblock, bytes) = encoded();
        assert_eq!(&bytes[..8], b"FBSLABS\n");
        assert_eq!(bytes[8..16], [1, 0, 0, 0, 0, 0, 2, 0]);
        assert_eq!(&bytes[16..32], b"0123456789abcdef");
        assert_eq!(bytes[32..40], [0, 0, 16, 0, 9, 0, 0, 0]);
        assert_eq!(bytes[40..44], crc32c::crc32c(&bytes[..40]).to_le_bytes());
        assert_eq!(Superblock::decode(&bytes), Found::Valid(superblock));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (superblock, good) = encoded();
        for bit in 0..44 * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Superblock::decode(&bytes), Found::Valid(superblock.clone()), "bit {bit}");
        }
    }

    #[test]
    fn other_things_are_told_apart() {
        let (_, mut bytes) = encoded();
        assert_eq!(Superblock::decode(&[0; SUPERBLOCK_BYTES]), Found::Blank);
        assert_eq!(Superblock::decode(b"SQLite format 3\0"), Found::Foreign);
        bytes[8] = 2;
        assert_eq!(Superblock::decode(&bytes), Found::OtherVersion(2));
    }
}
