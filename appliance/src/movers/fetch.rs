//! One ranged read of a store, cut into blocks as its body arrives.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use slab_store::BLOCK_BYTES;

use super::flights::OwnedRun;
use super::inserts::LandedRun;
use super::{Block, Movers};
use crate::memory::{Class, Reservation};
use crate::object::Object;

/// Why a block could not be had. Cheap to clone: all who wait for the block get it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// The store failed, after all retries.
    #[error(transparent)]
    Store(Arc<ufs::Error>),
    /// Blocks vanished from memory and slabs faster than they could be handed over.
    #[error("{url}: blocks of {key:?} were evicted faster than they were read; raise --memory")]
    Lost {
        /// The store.
        url: String,
        /// The object.
        key: String,
    },
    /// The daemon is stopping.
    #[error("the fetch was given up because the daemon is stopping")]
    Aborted,
}

impl FetchError {
    pub(super) fn lost(object: &Object) -> Self {
        Self::Lost { url: object.store.ufs.url().to_owned(), key: object.key.as_str().to_owned() }
    }
}

impl Movers {
    /// Fetches a run of blocks with one request and lands each as it is complete. `memory` pays for the run.
    pub(super) async fn fetch(
        &self,
        object: &Arc<Object>,
        mut run: OwnedRun,
        class: Class,
        memory: Reservation,
    ) {
        let _waited_for = matches!(class, Class::Demand).then(|| self.demand.read());
        let _slot = self.slots.take(class).await;
        let counters = &object.store.counters;
        counters.read_started();
        let mut landed = LandedRun::new(object, run.blocks().start);
        let fetched = self.fetch_body(object, &mut run, &mut landed, memory).await;
        self.inserts.queue_run(landed).await;
        match fetched {
            Ok(()) => counters.read_succeeded(),
            Err(error) => {
                counters.read_failed(&error);
                tracing::warn!(store = object.store.ufs.url(), key = %object.key, %error, "a read from the store failed");
                run.fail(&FetchError::Store(Arc::new(error)));
            }
        }
    }

    async fn fetch_body(
        &self,
        object: &Arc<Object>,
        run: &mut OwnedRun,
        landed: &mut LandedRun,
        mut memory: Reservation,
    ) -> Result<(), ufs::Error> {
        let range = object.bytes_of(&run.blocks());
        let mut body = object.store.ufs.read(&object.key, Some(&object.version), range).await?;
        let mut assembly = Assembly::default();
        let mut left = range.len();
        while let Some(chunk) = body.next().await {
            let mut chunk = chunk?;
            object.store.counters.bytes_received(chunk.len() as u64);
            while !chunk.is_empty() && left > 0 {
                let block_len = left.min(u64::from(BLOCK_BYTES)) as usize;
                if let Some(pieces) = assembly.take(&mut chunk, block_len) {
                    left -= block_len as u64;
                    self.land(run, landed, Block::new(pieces, memory.split(block_len as u64))).await;
                }
            }
        }
        Ok(())
    }

    async fn land(&self, run: &mut OwnedRun, landed: &mut LandedRun, block: Block) {
        let index = run.blocks().start;
        if let Some(flight) = run.land(block.clone()) {
            self.inserts.landed(landed, index, block, flight).await;
        }
    }
}

/// The pieces of the block that is being received.
#[derive(Default)]
struct Assembly {
    pieces: Vec<Bytes>,
    len: usize,
}

impl Assembly {
    /// Takes from `chunk` what the block of `block_len` bytes still lacks; gives the pieces when it is complete.
    fn take(&mut self, chunk: &mut Bytes, block_len: usize) -> Option<Vec<Bytes>> {
        let piece = chunk.split_to((block_len - self.len).min(chunk.len()));
        self.len += piece.len();
        self.pieces.push(piece);
        (self.len == block_len).then(|| {
            self.len = 0;
            std::mem::take(&mut self.pieces)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_cut_at_block_borders() {
        let mut assembly = Assembly::default();
        let mut first = Bytes::from_static(b"abcde");
        assert!(assembly.take(&mut first, 8).is_none());
        let mut second = Bytes::from_static(b"fghij");
        let pieces = assembly.take(&mut second, 8).expect("the block is complete");
        assert_eq!(pieces.concat(), b"abcdefgh");
        assert_eq!(&second[..], b"ij");
    }
}
