//! [`Block`]: fetched data in memory, with the reservation that pays for it.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;

use crate::memory::{Class, Reservation};

/// The bytes of one block. Cheap to clone; the memory is given back when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Block(Arc<Data>);

#[derive(Debug)]
struct Data {
    pieces: Vec<Bytes>,
    len: usize,
    memory: Reservation,
}

impl Block {
    /// A block of the pieces in which its bytes arrived.
    pub fn new(pieces: Vec<Bytes>, memory: Reservation) -> Self {
        let len = pieces.iter().map(Bytes::len).sum();
        Self(Arc::new(Data { pieces, len, memory }))
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Bytes that it takes from the share of a class.
    pub fn reserved_bytes(&self, class: Class) -> u64 {
        let counts = class == Class::Demand || self.0.memory.is_background();
        if counts { self.0.len as u64 } else { 0 }
    }

    /// Its pieces, in order.
    pub fn pieces(&self) -> &[Bytes] {
        &self.0.pieces
    }

    /// Appends the slices of `start..end` of this block.
    pub fn slices<'a>(&'a self, start: usize, end: usize, into: &mut Vec<IoSlice<'a>>) {
        let mut at = 0;
        for piece in &self.0.pieces {
            let from = start.clamp(at, at + piece.len()) - at;
            let to = end.clamp(at, at + piece.len()) - at;
            if from < to {
                into.push(IoSlice::new(&piece[from..to]));
            }
            at += piece.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Budget;

    #[tokio::test]
    async fn slices_cross_pieces() {
        let budget = Budget::new(1 << 20);
        let memory = budget.reserve(6, Class::Demand).await;
        let block = Block::new(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")], memory);
        let mut slices = Vec::new();
        block.slices(2, 5, &mut slices);
        let joined: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(joined, b"cde");
    }
}
