//! Reading through a mount with the system calls that jobs use.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Alignment that O_DIRECT may ask for.
const PAGE_BYTES: usize = 4096;
/// Bytes of one read of [`read_whole`].
const STEP_BYTES: usize = 1 << 20;

/// Whether the page cache is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Through the page cache.
    Buffered,
    /// O_DIRECT: every read is a request to the daemon.
    Direct,
}

impl Access {
    /// Both ways.
    pub const ALL: [Access; 2] = [Access::Buffered, Access::Direct];

    fn flags(self) -> i32 {
        match self {
            Access::Buffered => 0,
            Access::Direct => libc::O_DIRECT,
        }
    }
}

/// Opens a file for reading.
pub fn open(path: &Path, access: Access) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(access.flags()).open(path)
}

/// A page-aligned buffer, good for both ways of access.
pub struct DirectBuffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl DirectBuffer {
    /// A buffer of `len` zero bytes.
    pub fn new(len: usize) -> Self {
        let bytes = vec![0; len + PAGE_BYTES];
        let start = bytes.as_ptr().align_offset(PAGE_BYTES);
        Self { bytes, start, len }
    }

    /// The bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

/// Up to `buffer.len()` bytes from `offset` on: fewer only at the end of the file. Fills `buffer` and gives the part
/// that was read.
pub fn read_range<'b>(file: &File, offset: u64, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(&buffer[..filled])
}

/// Opens and reads a file from start to end.
pub fn read_whole(path: &Path, access: Access) -> io::Result<Vec<u8>> {
    let file = open(path, access)?;
    let mut buffer = DirectBuffer::new(STEP_BYTES);
    let mut whole = Vec::new();
    loop {
        let piece = read_range(&file, whole.len() as u64, buffer.bytes_mut())?;
        whole.extend_from_slice(piece);
        if piece.len() < STEP_BYTES {
            return Ok(whole);
        }
    }
}
