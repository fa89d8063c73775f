//! Coming back: the index is rebuilt from footers, in time proportional to the number of slabs.
//!
//! Threads take slabs from a counter and read trailer and meta of each: two reads a slab, never its data. The newest
//! generation of a block wins, whatever the order in which the slabs are read.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::device::{Device, read_exact_at};
use crate::format::footer::{Meta, QueueKind, Trailer};
use crate::format::superblock::Uuid;
use crate::geometry::{Geometry, SlabId, TRAILER_BYTES};
use crate::index::Entry;
use crate::key::ObjectKey;
use crate::log_state::LogState;
use crate::shared::Shared;
use crate::sys::AlignedBuf;

/// Threads that read footers; they wait for the device more than they compute.
const THREADS: usize = 8;

/// What was found when the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Slabs with a sound footer.
    pub slabs: u32,
    /// Blocks that can be read.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Slabs with a damaged footer, and blocks that did not fit the memory bound.
    pub discarded: u64,
    /// Time it took.
    pub elapsed: Duration,
}

/// What lies at a slab's end.
pub(crate) enum Footer {
    Sound(Trailer, Meta),
    /// Never sealed, or invalidated: the trailer is all zeroes.
    Blank,
    Unsound,
}

/// Reads the footer of one slab.
pub(crate) fn read_footer(
    device: &dyn Device,
    geometry: Geometry,
    uuid: &Uuid,
    slab: SlabId,
) -> std::io::Result<Footer> {
    let start = geometry.slab_offset(slab);
    let mut buf = AlignedBuf::new(TRAILER_BYTES as usize);
    read_exact_at(device, &mut buf, TRAILER_BYTES as usize, start + u64::from(geometry.trailer_start()))?;
    if buf.iter().all(|byte| *byte == 0) {
        return Ok(Footer::Blank);
    }
    let Some(trailer) = Trailer::decode(&buf, geometry, uuid, slab) else { return Ok(Footer::Unsound) };
    let len = (trailer.meta_bytes as usize).next_multiple_of(TRAILER_BYTES as usize);
    let mut buf = AlignedBuf::new(len);
    read_exact_at(device, &mut buf, len, start + u64::from(trailer.meta_start))?;
    Ok(Meta::decode(&buf, &trailer).map_or(Footer::Unsound, |meta| Footer::Sound(trailer, meta)))
}

/// Keys of a meta part, ready for fingerprints.
pub(crate) fn keys_of(meta: &Meta) -> Vec<ObjectKey> {
    let keys = meta.keys.iter().map(|key| ObjectKey::new(key).expect("decoding checked the length"));
    keys.collect()
}

/// One thread's finds.
#[derive(Default)]
struct Finds {
    sealed: Vec<(u64, QueueKind, SlabId)>,
    free: Vec<SlabId>,
    unsound: Vec<SlabId>,
    discarded: u64,
}

/// Fills index, queues and free list.
pub(crate) fn recover(shared: &Shared) -> Recovery {
    let started = Instant::now();
    let next = AtomicU32::new(0);
    let finds = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| scan(shared, &next))).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    let finds = finds.into_iter().map(|finds| match finds {
        Ok(finds) => finds,
        Err(panic) => std::panic::resume_unwind(panic),
    });
    let mut all = Finds::default();
    for mut finds in finds {
        all.sealed.append(&mut finds.sealed);
        all.free.append(&mut finds.free);
        all.unsound.append(&mut finds.unsound);
        all.discarded += finds.discarded;
    }
    let slabs = all.sealed.len() as u32;
    let discarded = all.discarded + all.unsound.len() as u64;
    settle(&mut shared.lock(), all);
    let (blocks, bytes) = (shared.index.blocks() as u64, shared.used_bytes.get());
    Recovery { slabs, blocks, bytes, discarded, elapsed: started.elapsed() }
}

fn settle(state: &mut LogState, mut all: Finds) {
    all.sealed.sort_unstable_by_key(|(generation, ..)| *generation);
    all.free.sort_unstable();
    state.next_generation = all.sealed.last().map_or(1, |(generation, ..)| generation + 1);
    for (_, queue, slab) in all.sealed {
        state.sealed.push(queue, slab);
    }
    state.free.extend(all.free);
    state.unsound = all.unsound;
}

fn scan(shared: &Shared, next: &AtomicU32) -> Finds {
    let mut finds = Finds::default();
    loop {
        let slab = SlabId(next.fetch_add(1, Relaxed));
        if slab.0 >= shared.geometry.slab_count || shared.is_failed() {
            return finds;
        }
        match read_footer(&*shared.device, shared.geometry, &shared.uuid, slab) {
            Ok(Footer::Sound(trailer, meta)) => {
                shared.slabs.start(slab, trailer.generation);
                shared.slabs.set_sealed(slab);
                finds.discarded += enter_all(shared, slab, trailer.generation, &meta);
                finds.sealed.push((trailer.generation, trailer.queue, slab));
            }
            Ok(Footer::Blank) => finds.free.push(slab),
            Ok(Footer::Unsound) => finds.unsound.push(slab),
            Err(error) => {
                shared.device_error("read a footer", &error);
                finds.unsound.push(slab);
            }
        }
    }
}

/// Enters a slab's blocks in the index; gives back how many did not fit.
fn enter_all(shared: &Shared, slab: SlabId, generation: u64, meta: &Meta) -> u64 {
    let keys = keys_of(meta);
    let (mut discarded, mut bytes) = (0, 0i64);
    for record in &meta.records {
        let name = keys[record.key as usize].fingerprint(record.block);
        let entry = Entry::new(name, slab, record.offset, record.len, record.crc);
        bytes += i64::from(record.len);
        let newer = |present: &Entry| {
            // Same slab: the later record is the newer one.
            let wins = present.slab == slab || shared.slabs.generation(present.slab) < generation;
            bytes -= i64::from(if wins { present.len() } else { record.len });
            wins
        };
        if shared.index.insert_if(entry, newer).is_err() {
            discarded += 1;
            bytes -= i64::from(record.len);
        }
    }
    // Two's complement: adding a negative sum wraps to a subtraction.
    shared.used_bytes.add(bytes as u64);
    discarded
}
