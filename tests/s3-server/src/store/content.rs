//! The bytes of a version: pieces that are stored or generated, shared between versions and never copied.
//!
//! A PUT has one stored piece, a multipart upload one a part, a synthetic object one that is computed. A range of
//! a content is a content, so that GET with a range, UploadPartCopy and CopyObject are the same operation.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use s3s::StdError;
use s3s::stream::{ByteStream, RemainingLength};

use crate::synthetic::{SyntheticObject, synthetic_bytes};

/// Largest part of a body that is handed to the connection at once. Generated pieces of this size stay in the L2 cache
/// between the generator and the socket.
const BODY_CHUNK_BYTES: u64 = 256 * 1024;

/// A run of bytes.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Stored(Bytes),
    Synthetic { seed: u64, range: Range<u64> },
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Piece::Stored(bytes) => bytes.len() as u64,
            Piece::Synthetic { range, .. } => range.end - range.start,
        }
    }

    /// The bytes `range` of this piece; the range lies within it.
    fn slice(&self, range: Range<u64>) -> Piece {
        match self {
            Piece::Stored(bytes) => Piece::Stored(bytes.slice(range.start as usize..range.end as usize)),
            Piece::Synthetic { seed, range: own } => {
                Piece::Synthetic { seed: *seed, range: own.start + range.start..own.start + range.end }
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Piece::Stored(bytes) => bytes,
            Piece::Synthetic { seed, range } => synthetic_bytes(seed, range),
        }
    }
}

/// The bytes of one version of an object.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pieces: Pieces,
    size_bytes: u64,
}

/// One piece is by far the usual case, and a million of them must stay small.
#[derive(Clone, Debug)]
enum Pieces {
    One(Piece),
    Many(Vec<Piece>),
}

impl Pieces {
    fn as_slice(&self) -> &[Piece] {
        match self {
            Pieces::One(piece) => std::slice::from_ref(piece),
            Pieces::Many(pieces) => pieces,
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self { size_bytes: bytes.len() as u64, pieces: Pieces::One(Piece::Stored(bytes)) }
    }
}

impl From<SyntheticObject> for Content {
    fn from(object: SyntheticObject) -> Self {
        let piece = Piece::Synthetic { seed: object.seed, range: 0..object.size_bytes };
        Self { size_bytes: object.size_bytes, pieces: Pieces::One(piece) }
    }
}

impl Content {
    /// The contents one after the other.
    pub(crate) fn concat<'a>(parts: impl Iterator<Item = &'a Content>) -> Content {
        let pieces: Vec<Piece> = parts.flat_map(|part| part.pieces.as_slice().iter().cloned()).collect();
        Self { size_bytes: pieces.iter().map(Piece::len).sum(), pieces: Pieces::Many(pieces) }
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The bytes `range`, which lies within the content.
    pub(crate) fn slice(&self, range: Range<u64>) -> Content {
        let size_bytes = range.end - range.start;
        if let Pieces::One(piece) = &self.pieces {
            return Self { pieces: Pieces::One(piece.slice(range)), size_bytes };
        }
        let mut pieces = Vec::new();
        let mut start = 0;
        for piece in self.pieces.as_slice() {
            let end = start + piece.len();
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                pieces.push(piece.slice(from - start..to - start));
            }
            start = end;
        }
        Self { pieces: Pieces::Many(pieces), size_bytes }
    }

    /// A digest of all bytes; for checks of parts that were copied.
    pub(crate) fn fold<T>(&self, initial: T, mut step: impl FnMut(&mut T, &[u8])) -> T {
        let mut state = initial;
        let mut body = self.clone().into_body();
        while let Some(chunk) = body.next_chunk() {
            step(&mut state, &chunk);
        }
        state
    }

    pub(crate) fn into_body(self) -> ContentBody {
        let pieces = match self.pieces {
            Pieces::One(piece) => VecDeque::from([piece]),
            Pieces::Many(pieces) => pieces.into(),
        };
        ContentBody { pieces, remaining_bytes: self.size_bytes }
    }
}

/// A response body: chunks of at most [`BODY_CHUNK_BYTES`], stored ones without a copy.
pub(crate) struct ContentBody {
    pieces: VecDeque<Piece>,
    remaining_bytes: u64,
}

impl ContentBody {
    fn next_chunk(&mut self) -> Option<Bytes> {
        while self.pieces.front().is_some_and(|piece| piece.len() == 0) {
            self.pieces.pop_front();
        }
        let front = self.pieces.front_mut()?;
        let len = front.len().min(BODY_CHUNK_BYTES);
        let chunk = front.slice(0..len);
        *front = front.slice(len..front.len());
        self.remaining_bytes -= len;
        Some(chunk.into_bytes())
    }
}

impl Stream for ContentBody {
    type Item = Result<Bytes, StdError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.get_mut().next_chunk().map(Ok))
    }
}

impl ByteStream for ContentBody {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(self.remaining_bytes as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(content: &Content) -> Vec<u8> {
        content.fold(Vec::new(), |all, chunk| all.extend_from_slice(chunk))
    }

    #[test]
    fn a_slice_of_mixed_pieces_is_a_slice_of_their_bytes() {
        let stored = Content::from(Bytes::from_static(b"0123456789"));
        let made = Content::from(SyntheticObject { seed: 3, size_bytes: 20 });
        let all = Content::concat([&stored, &made, &stored].into_iter());
        let whole = bytes_of(&all);
        assert_eq!(whole.len(), 40);
        assert_eq!(whole[10..30], synthetic_bytes(3, 0..20));
        for start in 0..40 {
            for end in start..=40 {
                let part = all.slice(start as u64..end as u64);
                assert_eq!(part.size_bytes(), (end - start) as u64);
                assert_eq!(bytes_of(&part), whole[start..end], "{start}..{end}");
                assert_eq!(bytes_of(&part.slice(0..part.size_bytes())), whole[start..end]);
            }
        }
    }

    #[test]
    fn a_large_body_comes_in_chunks() {
        let mut body =
            Content::from(SyntheticObject { seed: 1, size_bytes: 3 * BODY_CHUNK_BYTES + 1 }).into_body();
        let lens: Vec<u64> =
            std::iter::from_fn(|| body.next_chunk()).map(|chunk| chunk.len() as u64).collect();
        assert_eq!(lens, [BODY_CHUNK_BYTES, BODY_CHUNK_BYTES, BODY_CHUNK_BYTES, 1]);
    }
}
