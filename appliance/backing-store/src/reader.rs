//! [`Reader`]: verified reads of what is there of an object.

use std::sync::Arc;

use slab_store::{AlignedBuf, BLOCK_BYTES, ObjectKey, READ_BYTES_MAX, ReadOutcome};

use crate::entry::Entry;
use crate::files::Files;
use crate::format;
use crate::shared::Shared;

/// Reads for one thread, blocking: one direct read and one of the checksums, mostly from the page cache. Its buffer of
/// about 1 MiB is made with the first read.
pub struct Reader {
    shared: Arc<Shared>,
    buffer: Option<AlignedBuf>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, buffer: None }
    }

    /// The bytes of a range of up to [`READ_BYTES_MAX`] that lies inside the object, if all of its blocks are there and
    /// match their checksums. Damage and device errors are a miss, and counted.
    pub fn read(&mut self, key: &ObjectKey, offset: u64, len: usize) -> ReadOutcome<'_> {
        match self.read_blocks(key, offset, len) {
            Some(start) => {
                let buffer = self.buffer.as_ref().expect("a successful read has made it");
                ReadOutcome::Hit(&buffer[start..start + len])
            }
            None => ReadOutcome::Miss,
        }
    }

    /// Reads the blocks of a range into the buffer; gives the place of the range in it.
    fn read_blocks(&mut self, key: &ObjectKey, offset: u64, len: usize) -> Option<usize> {
        if self.shared.is_failed() || len > READ_BYTES_MAX {
            return None;
        }
        let block = u64::from(BLOCK_BYTES);
        let entry = self.shared.index.find(key)?;
        let end = offset.checked_add(len as u64).filter(|end| *end <= entry.size_bytes)?;
        let (first, last) = ((offset / block) as u32, end.div_ceil(block) as u32);
        if !entry.has_all(first..last) {
            return None;
        }
        let files = self.shared.files(&entry)?;
        let buffer =
            self.buffer.get_or_insert_with(|| AlignedBuf::new(READ_BYTES_MAX + 2 * BLOCK_BYTES as usize));
        let span = (last - first) as usize * BLOCK_BYTES as usize;
        match read_verified(&self.shared, &entry, &files, first, &mut buffer[..span]) {
            Ok(true) => Some((offset - u64::from(first) * block) as usize),
            Ok(false) => None,
            Err(error) => {
                self.shared.device_error(&entry, "read", &error);
                None
            }
        }
    }
}

/// Reads whole blocks from `first` on and checks each; false when one does not match, which is dealt with.
pub(crate) fn read_verified(
    shared: &Shared,
    entry: &Arc<Entry>,
    files: &Files,
    first: u32,
    buffer: &mut [u8],
) -> std::io::Result<bool> {
    let count = (buffer.len() / BLOCK_BYTES as usize) as u32;
    let sums = files.read_sums(first, count)?;
    let read = files.read_data(buffer, u64::from(first) * u64::from(BLOCK_BYTES))?;
    shared.device_worked();
    let blocks = buffer[..read].chunks(BLOCK_BYTES as usize).map(Some).chain(std::iter::repeat(None));
    for ((block, sum), bytes) in (first..).zip(format::sums(&sums)).zip(blocks) {
        let bytes = bytes.and_then(|bytes| bytes.get(..format::block_len(entry.size_bytes, block)));
        let good = bytes.is_some_and(|bytes| format::sum(&entry.key, block, std::iter::once(bytes)) == sum);
        if !good {
            shared.mismatch(entry, files, block);
            return Ok(false);
        }
    }
    Ok(true)
}
