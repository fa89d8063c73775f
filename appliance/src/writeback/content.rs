//! The bytes of a staged file: what is on this disk, and what is missing from the base in its store.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use staging::{NodeNumber, Segment, StagedFile};
use ufs::{ByteRange, Version};

use super::engine::Engine;
use super::failures::Failure;
use crate::memory::Class;

/// What is fetched at a time of an object that is needed no more.
const PIECE_BYTES: u64 = 8 << 20;

/// Reads a range of a file as it is now. [`Failure::Changed`] when the file has become shorter.
pub(super) async fn read(engine: &Engine, file: &StagedFile, range: Range<u64>) -> Result<Bytes, Failure> {
    let len = usize::try_from(range.end - range.start).expect("a part fits into memory");
    if len == 0 {
        return Ok(Bytes::new());
    }
    let segments = file.segments(range.clone());
    if segments.iter().map(|segment| segment.range().end).max() != Some(range.end) {
        return Err(Failure::Changed);
    }
    let has_local = segments.iter().any(|segment| matches!(segment, Segment::Local(_)));
    let mut bytes = match file.backing() {
        Some(backing) if has_local => match engine.disk.read(backing, range.start, len).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(Failure::Changed),
            read => read?,
        },
        _ => BytesMut::zeroed(len),
    };
    for segment in segments {
        let at = |offset: u64| usize::try_from(offset - range.start).expect("inside the part");
        match segment {
            Segment::Local(_) => {}
            Segment::Hole(hole) => bytes[at(hole.start)..at(hole.end)].fill(0),
            Segment::Base(gap) => {
                let places = at(gap.start)..at(gap.end);
                fill(engine, file, gap, &mut bytes[places]).await?;
            }
        }
    }
    Ok(bytes.freeze())
}

/// Fetches all that files have in an object which is about to be replaced or removed, so that they need it no more.
pub(super) async fn bring_here(engine: &Engine, files: &[NodeNumber]) -> Result<(), Failure> {
    for number in files {
        let file = Arc::new(engine.staging.open_file(*number, false)?);
        for segment in file.segments(0..u64::MAX) {
            let Segment::Base(gap) = segment else { continue };
            let mut start = gap.start;
            while start < gap.end {
                let piece = start..gap.end.min(start + PIECE_BYTES);
                start = piece.end;
                let _memory = engine.budget.reserve(PIECE_BYTES, Class::Background).await;
                let bytes = read(engine, &file, piece.clone()).await?;
                engine.disk.fill(Arc::clone(&file), piece.start, bytes).await?;
            }
        }
        engine.disk.detach(file).await?;
    }
    Ok(())
}

/// Fetches what this disk does not have.
async fn fill(engine: &Engine, file: &StagedFile, range: Range<u64>, out: &mut [u8]) -> Result<(), Failure> {
    let base = file.base().ok_or(Failure::Changed)?;
    let target = engine.below.target_of(&base).ok_or(Failure::NoTarget)?;
    let version = base.version.map(Version::new);
    let mut body = target.store.ufs.read(&target.key, version.as_ref(), ByteRange::new(range)).await?;
    let mut filled = 0;
    while let Some(chunk) = body.try_next().await? {
        out[filled..filled + chunk.len()].copy_from_slice(&chunk);
        filled += chunk.len();
    }
    Ok(())
}
