//! Objects whose bytes are computed from a seed and an offset: any size, no memory.
//!
//! A byte depends on (seed, offset) alone, so any range can be made on its own and a reader can be checked without
//! a second copy of the data. The generator is a 64-bit mix of the index of each 8-byte word, in little-endian order:
//! it makes several GB/s on one core and leaves nothing for a compressor. It is no cryptographic generator.

use std::ops::Range;

use bytes::Bytes;

/// An object that is generated while it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticObject {
    /// Selects the contents: two objects of one seed agree on their common length.
    pub seed: u64,
    /// Length of the object in bytes; terabytes cost nothing.
    pub size_bytes: u64,
}

const WORD_BYTES: u64 = 8;

/// Bytes `range` of the endless object of `seed`.
pub fn synthetic_bytes(seed: u64, range: Range<u64>) -> Bytes {
    let len = usize::try_from(range.end.saturating_sub(range.start)).expect("a range in memory fits usize");
    let mut out = vec![0; len];
    synthetic_fill(seed, range.start, &mut out);
    out.into()
}

/// Writes the bytes from `offset` on of the endless object of `seed` into `out`.
pub fn synthetic_fill(seed: u64, offset: u64, out: &mut [u8]) {
    let base = mix(seed);
    let head_len = head_len(offset, out.len());
    let (head, rest) = out.split_at_mut(head_len);
    if head_len > 0 {
        copy_from_word(base, offset, head);
    }
    let aligned = offset + head_len as u64;
    let mut index = aligned / WORD_BYTES;
    let mut words = rest.chunks_exact_mut(WORD_BYTES as usize);
    for word in &mut words {
        word.copy_from_slice(&word_at(base, index).to_le_bytes());
        index += 1;
    }
    let tail = words.into_remainder();
    if !tail.is_empty() {
        copy_from_word(base, index * WORD_BYTES, tail);
    }
}

/// Whether `data` is what the object of `seed` holds from `offset` on; the position of the first difference if not.
pub fn synthetic_difference(seed: u64, offset: u64, data: &[u8]) -> Option<u64> {
    const STEP: usize = 64 * 1024;
    let mut expected = [0; STEP];
    let mut at = offset;
    for piece in data.chunks(STEP) {
        let want = &mut expected[..piece.len()];
        synthetic_fill(seed, at, want);
        if piece != want {
            let first = piece.iter().zip(want.iter()).position(|(a, b)| a != b).unwrap_or(0);
            return Some(at + first as u64);
        }
        at += piece.len() as u64;
    }
    None
}

/// Bytes before the first word border, at most `len`.
fn head_len(offset: u64, len: usize) -> usize {
    let to_border = (WORD_BYTES - offset % WORD_BYTES) % WORD_BYTES;
    len.min(to_border as usize)
}

/// Fills `out` (shorter than a word) from within the word that holds `offset`.
fn copy_from_word(base: u64, offset: u64, out: &mut [u8]) {
    let word = word_at(base, offset / WORD_BYTES).to_le_bytes();
    let start = (offset % WORD_BYTES) as usize;
    out.copy_from_slice(&word[start..start + out.len()]);
}

#[inline]
fn word_at(base: u64, index: u64) -> u64 {
    mix(base.wrapping_add(index))
}

/// A bijection of 64-bit words (two multiplications, as in MurmurHash3's finalizer).
#[inline]
fn mix(word: u64) -> u64 {
    let mut x = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_a_slice_of_the_whole() {
        let whole = synthetic_bytes(7, 0..100);
        for start in 0..40 {
            for end in start..100 {
                assert_eq!(synthetic_bytes(7, start as u64..end as u64), whole[start..end], "{start}..{end}");
            }
        }
    }

    #[test]
    fn seeds_and_offsets_give_different_bytes() {
        assert_ne!(synthetic_bytes(1, 0..64), synthetic_bytes(2, 0..64));
        assert_ne!(synthetic_bytes(1, 0..64), synthetic_bytes(1, 8..72));
        assert_ne!(synthetic_bytes(1, 0..64), synthetic_bytes(1, (1 << 40)..(1 << 40) + 64));
    }

    #[test]
    fn the_first_difference_is_found() {
        let mut data = synthetic_bytes(9, 5..200_000).to_vec();
        assert_eq!(synthetic_difference(9, 5, &data), None);
        data[150_000] ^= 1;
        assert_eq!(synthetic_difference(9, 5, &data), Some(150_005));
    }
}
