//! First page of a journal file: what it is, whose it is, and in which boot it was written.

use crc32c::crc32c;

/// Frames begin here.
pub(super) const HEADER_BYTES: u64 = 4096;
/// The format that this code reads and writes.
pub(super) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"FBSTAGE\n";
const CRC_AT: usize = 72;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) uuid: [u8; 16],
    /// Counts the files that the journal had.
    pub(super) epoch: u64,
    /// As the kernel writes it in /proc/sys/kernel/random/boot_id.
    pub(super) boot_id: [u8; 36],
}

/// Why a first page cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    Version(u32),
    Magic,
    Checksum,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(HEADER_BYTES as usize);
        page.extend_from_slice(MAGIC);
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.extend_from_slice(&self.uuid);
        page.extend_from_slice(&self.epoch.to_le_bytes());
        page.extend_from_slice(&self.boot_id);
        debug_assert_eq!(page.len(), CRC_AT);
        page.extend_from_slice(&crc32c(&page).to_le_bytes());
        page.resize(HEADER_BYTES as usize, 0);
        page
    }

    pub(super) fn parse(page: &[u8; HEADER_BYTES as usize]) -> Result<Self, HeaderFault> {
        if !page.starts_with(MAGIC) {
            return Err(HeaderFault::Magic);
        }
        let version = u32::from_le_bytes(array(page, 8));
        if version != VERSION {
            return Err(HeaderFault::Version(version));
        }
        if u32::from_le_bytes(array(page, CRC_AT)) != crc32c(&page[..CRC_AT]) {
            return Err(HeaderFault::Checksum);
        }
        Ok(Self {
            uuid: array(page, 12),
            epoch: u64::from_le_bytes(array(page, 28)),
            boot_id: array(page, 36),
        })
    }
}

fn array<const LEN: usize>(page: &[u8], at: usize) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes.copy_from_slice(&page[at..at + LEN]);
    bytes
}
