//! Sealing: flush the data, write the footer in one piece, flush it.

use std::io;
use std::sync::Arc;

use super::Writer;
use crate::checksum::PAGE_BYTES;
use crate::device::{WriteOp, flush, write_all};
use crate::format::footer::{Trailer, encode_page_table};
use crate::geometry::TRAILER_BYTES;
use crate::log_state::Seal;
use crate::sys::AlignedBuf;

impl Writer {
    /// Seals a slab whose segments are written. An error is that of a flush.
    pub(super) fn seal(&mut self, seal: Seal) -> io::Result<()> {
        if !self.skips_data_flush() {
            flush(&mut *self.queue)?;
        }
        let (start, footer) = self.encode(&seal);
        let len = footer.len();
        let offset = self.shared.geometry.slab_offset(seal.slab) + u64::from(start);
        let op = WriteOp { data: Arc::new(footer), start: 0, len, device_offset: offset };
        let results = write_all(&mut *self.queue, self.unit, vec![op])?;
        if let Some(error) = results.into_iter().find_map(Result::err) {
            self.lose_slab(seal.slab, "write a footer", &error);
            return Ok(());
        }
        flush(&mut *self.queue)?;
        self.finish_seal(seal);
        Ok(())
    }

    fn finish_seal(&self, seal: Seal) {
        let shared = &self.shared;
        shared.counters.sealed_slabs.add(1);
        // The table first: a reader that sees a sealed slab looks for it.
        shared.tables.put(seal.slab, seal.page_table.into());
        shared.slabs.set_sealed(seal.slab);
        shared.lock().end_seal(seal.queue, seal.slab);
    }

    /// The footer's bytes and its offset in the slab.
    fn encode(&self, seal: &Seal) -> (u32, AlignedBuf) {
        let geometry = self.shared.geometry;
        let meta_bytes = seal.meta.encoded_bytes();
        let meta_room = meta_bytes.next_multiple_of(PAGE_BYTES);
        let start = geometry.page_table_start() - meta_room as u32;
        let table_bytes = geometry.page_table_bytes() as usize;
        let mut out = AlignedBuf::new(meta_room + table_bytes + TRAILER_BYTES as usize);
        let (meta, rest) = out.split_at_mut(meta_room);
        let (table, trailer) = rest.split_at_mut(table_bytes);
        seal.meta.encode(meta);
        encode_page_table(&seal.page_table, table);
        Trailer {
            uuid: self.shared.uuid,
            slab: seal.slab,
            queue: seal.queue,
            generation: seal.generation,
            records: seal.meta.records.len() as u32,
            keys: seal.meta.keys.len() as u32,
            meta_start: start,
            meta_bytes: meta_bytes as u32,
            meta_crc: crc32c::crc32c(&meta[..meta_bytes]),
            page_table_crc: crc32c::crc32c(table),
        }
        .encode(trailer);
        (start, out)
    }

    #[cfg(feature = "sim")]
    fn skips_data_flush(&self) -> bool {
        self.shared.is_planted(crate::options::Planted::SkipDataFlush)
    }

    #[cfg(not(feature = "sim"))]
    fn skips_data_flush(&self) -> bool {
        false
    }
}
