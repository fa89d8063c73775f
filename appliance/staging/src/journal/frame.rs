//! One frame of the journal: the bytes around a record. docs/FORMAT-JOURNAL.md has the picture.

use crc32c::{crc32c, crc32c_append};

/// Bytes in front of a payload.
pub(super) const HEAD_BYTES: usize = 24;
/// Frames begin at multiples of this.
pub(super) const ALIGN_BYTES: u64 = 8;
/// Longest payload: a directory of a million names is renamed in less.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The fields in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) payload_bytes: u32,
    pub(super) crc: u32,
    /// Counts the frames of the file, from 1.
    pub(super) seq: u64,
    /// Frames up to this one had been flushed when this one was written.
    pub(super) flushed: u64,
}

impl Head {
    pub(super) fn parse(bytes: &[u8; HEAD_BYTES]) -> Self {
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        Self { payload_bytes: u32_at(0), crc: u32_at(4), seq: u64_at(8), flushed: u64_at(16) }
    }

    /// Can this be a head that follows frame `last_seq`, with this much room behind it?
    pub(super) fn is_plausible(&self, last_seq: u64, room_bytes: u64) -> bool {
        self.payload_bytes > 0
            && self.payload_bytes as usize <= PAYLOAD_BYTES_MAX
            && u64::from(self.payload_bytes) <= room_bytes
            && self.seq > last_seq
            && self.flushed < self.seq
    }

    /// Does the payload belong to it? `seed` is the file's, so that frames of an older file do not count.
    pub(super) fn is_intact(&self, head: &[u8; HEAD_BYTES], payload: &[u8], seed: u32) -> bool {
        self.crc == checksum(seed, head, payload)
    }
}

fn checksum(seed: u32, head: &[u8; HEAD_BYTES], payload: &[u8]) -> u32 {
    let crc = crc32c_append(seed, &head[..4]);
    crc32c_append(crc32c_append(crc, &head[8..]), payload)
}

/// Start value of the checksums in one file.
pub(super) fn seed(uuid: &[u8; 16], epoch: u64) -> u32 {
    crc32c_append(crc32c(uuid), &epoch.to_le_bytes())
}

/// Space that a payload of this length takes in the file.
pub(super) fn frame_bytes(payload_bytes: usize) -> u64 {
    (HEAD_BYTES as u64 + payload_bytes as u64).next_multiple_of(ALIGN_BYTES)
}

/// Fills in the head of `frame`, whose first [`HEAD_BYTES`] were left free; the rest is the payload.
pub(super) fn seal(frame: &mut [u8], seq: u64, flushed: u64, seed: u32) {
    let payload_bytes = frame.len() - HEAD_BYTES;
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&(payload_bytes as u32).to_le_bytes());
    head[8..16].copy_from_slice(&seq.to_le_bytes());
    head[16..].copy_from_slice(&flushed.to_le_bytes());
    let crc = checksum(seed, &head, &frame[HEAD_BYTES..]);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
    frame[..HEAD_BYTES].copy_from_slice(&head);
}
