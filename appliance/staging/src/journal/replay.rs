//! Reading a journal back, and telling a torn tail from damage.
//!
//! Frames are read until one does not check. What follows is a torn tail, cut off without a word, unless a later frame
//! is intact and says that what is unreadable had been flushed: then the disk lost bytes that it had promised to keep.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::frame::{ALIGN_BYTES, HEAD_BYTES, Head, frame_bytes, seed};
use super::header::{HEADER_BYTES, Header, HeaderFault, VERSION};
use crate::disk::DiskFile;
use crate::error::OpenError;
use crate::record::Change;

const WINDOW_BYTES: u64 = 4 * 1024 * 1024;
static ZEROES: [u8; 4096] = [0; 4096];

/// A journal that was read to its end.
pub(crate) struct Replayed {
    pub(super) header: Header,
    /// Bytes behind the last intact frame that were not empty.
    pub(crate) torn_bytes: u64,
}

impl Replayed {
    /// Was it written before the machine started last?
    pub(crate) fn is_of_another_boot(&self, boot_id: &[u8; 36]) -> bool {
        self.header.boot_id != *boot_id
    }

    /// Names this staging directory; stays over its life.
    pub(crate) fn uuid(&self) -> [u8; 16] {
        self.header.uuid
    }
}

/// Reads all records of a file in order.
pub(crate) fn replay(
    file: Arc<dyn DiskFile>,
    path: &Path,
    mut apply: impl FnMut(Vec<Change>) -> Result<(), &'static str>,
) -> Result<Replayed, OpenError> {
    let io = |source| OpenError::Io { action: "read", path: path.to_owned(), source };
    let damaged = |offset, detail: String| OpenError::Damaged { path: path.to_owned(), offset, detail };
    let mut window = Window::new(file).map_err(io)?;
    let header = read_header(&mut window, path)?;
    let seed = seed(&header.uuid, header.epoch);
    let (mut at, mut last_seq) = (HEADER_BYTES, 0);
    while let Some((head, payload)) = window.frame(at, last_seq, seed).map_err(io)? {
        if head.seq != last_seq + 1 {
            break;
        }
        let changes = postcard::from_bytes(payload).map_err(|error| damaged(at, error.to_string()))?;
        apply(changes).map_err(|detail| damaged(at, detail.to_owned()))?;
        last_seq = head.seq;
        at += frame_bytes(head.payload_bytes as usize);
    }
    let tail = survey_tail(&mut window, at, last_seq, seed).map_err(io)?;
    if tail.flushed > last_seq {
        return Err(damaged(
            at,
            format!("record {} is unreadable, record {} is not", last_seq + 1, tail.flushed),
        ));
    }
    Ok(Replayed { header, torn_bytes: tail.used_bytes })
}

fn read_header(window: &mut Window, path: &Path) -> Result<Header, OpenError> {
    let damaged =
        |detail: &str| OpenError::Damaged { path: path.to_owned(), offset: 0, detail: detail.to_owned() };
    let page = window
        .bytes(0, HEADER_BYTES)
        .map_err(|source| OpenError::Io { action: "read", path: path.to_owned(), source })?
        .and_then(|bytes| bytes.first_chunk())
        .ok_or_else(|| damaged("the file is too short"))?;
    Header::parse(page).map_err(|fault| match fault {
        HeaderFault::Version(found) => OpenError::Version { path: path.to_owned(), found, known: VERSION },
        HeaderFault::Magic => damaged("it does not begin as a journal does"),
        HeaderFault::Checksum => damaged("the first page does not check"),
    })
}

struct Tail {
    /// Greatest number that an intact frame says was flushed.
    flushed: u64,
    /// Bytes up to the last one that is not zero.
    used_bytes: u64,
}

/// Looks for intact frames behind the first one that is not.
fn survey_tail(window: &mut Window, from: u64, last_seq: u64, seed: u32) -> io::Result<Tail> {
    let mut tail = Tail { flushed: 0, used_bytes: 0 };
    let mut at = from;
    while at < window.file_bytes {
        let rest = (window.file_bytes - at).min(ZEROES.len() as u64);
        if window.bytes(at, rest)?.is_none_or(|bytes| bytes == &ZEROES[..rest as usize]) {
            at += rest;
            continue;
        }
        let word = rest.min(ALIGN_BYTES);
        let is_used = window.bytes(at, word)?.is_some_and(|bytes| bytes != &ZEROES[..word as usize]);
        let mut step = word;
        if let Some((head, _)) = window.frame(at, last_seq, seed)? {
            tail.flushed = tail.flushed.max(head.flushed);
            step = frame_bytes(head.payload_bytes as usize);
        }
        at += step;
        if is_used {
            tail.used_bytes = at - from;
        }
    }
    Ok(tail)
}

/// A file as a window that moves forward.
struct Window {
    file: Arc<dyn DiskFile>,
    file_bytes: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl Window {
    fn new(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        Ok(Self { file_bytes: file.size()?, file, start: 0, buffer: Vec::new() })
    }

    /// `len` bytes at `at`; `None` when the file ends before.
    fn bytes(&mut self, at: u64, len: u64) -> io::Result<Option<&[u8]>> {
        if at.checked_add(len).is_none_or(|end| end > self.file_bytes) {
            return Ok(None);
        }
        if at < self.start || at + len > self.start + self.buffer.len() as u64 {
            let wanted = len.max(WINDOW_BYTES).min(self.file_bytes - at);
            self.buffer.resize(wanted as usize, 0);
            self.file.read_exact_at(&mut self.buffer, at)?;
            self.start = at;
        }
        let from = (at - self.start) as usize;
        Ok(Some(&self.buffer[from..from + len as usize]))
    }

    /// The frame at `at`, when it is intact and later than `last_seq`.
    fn frame(&mut self, at: u64, last_seq: u64, seed: u32) -> io::Result<Option<(Head, &[u8])>> {
        let room = self.file_bytes.saturating_sub(at + HEAD_BYTES as u64);
        let Some(head_bytes) =
            self.bytes(at, HEAD_BYTES as u64)?.and_then(|bytes| bytes.first_chunk().copied())
        else {
            return Ok(None);
        };
        let head = Head::parse(&head_bytes);
        if !head.is_plausible(last_seq, room) {
            return Ok(None);
        }
        let payload = self.bytes(at + HEAD_BYTES as u64, u64::from(head.payload_bytes))?;
        Ok(payload
            .filter(|payload| head.is_intact(&head_bytes, payload, seed))
            .map(|payload| (head, payload)))
    }
}
