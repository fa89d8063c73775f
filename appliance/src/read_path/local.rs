//! [`LocalReader`]: what one session thread needs to read the cache.
//!
//! Two ways. Where the transport has memory of the request itself, the slabs are read into it by the transport's own ring
//! ([`PlannedRead`]): no switch, no copy, many at once. Elsewhere, and for the few plans that need more room than a
//! request has (a small piece of a block in a slab that is still open), the thread waits for a ring of its own. So it does for
//! large objects that are not read by the kernel itself: they are in files of their own, which the transport does not know.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use fuse_fast::Errno;
use fuse_fast::reply::ReplyBuffer;
use fuse_fast::types::{Device, DeviceIndex, DeviceRead, ReadToken};
use slab_store::{PlannedRead, ReadOutcome, Step};
use ufs::ByteRange;

use crate::cache::{Cache, CacheReader};
use crate::object::Object;

/// The one device that the slabs are on.
const SLABS: DeviceIndex = DeviceIndex(0);

/// Reads of one thread. Those that the transport carries out are at most as many as it has requests.
pub struct LocalReader {
    cache: Cache,
    reader: CacheReader,
    /// Tells the tokens of this reader from those of one before it, which a panic ended.
    generation: u32,
    flights: Vec<PlannedRead>,
    free: Vec<u32>,
    reads: Vec<DeviceRead>,
}

/// What became of a read into the memory of its request.
pub(super) enum InPlace {
    /// It was answered.
    Answered,
    /// It comes back when the device has answered.
    UnderWay,
    /// It is not in the slabs.
    Miss(ReplyBuffer),
    /// It is, but takes more memory than the request has.
    NoRoom(ReplyBuffer),
}

impl LocalReader {
    /// The devices that a transport must know to read slabs.
    pub fn devices(cache: &Cache) -> Vec<Device<'_>> {
        let slabs = &cache.slabs;
        let unit_bytes = slabs.unit_bytes();
        slabs.descriptor().map(|file| Device { file, unit_bytes }).into_iter().collect()
    }

    /// For the calling thread.
    pub fn new(cache: &Cache) -> io::Result<Self> {
        static GENERATIONS: AtomicU32 = AtomicU32::new(0);
        Ok(Self {
            cache: cache.clone(),
            reader: cache.reader()?,
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            flights: Vec::new(),
            free: Vec::new(),
            reads: Vec::new(),
        })
    }

    /// Reads, waiting for the device.
    pub(super) fn read(&mut self, object: &Object, range: ByteRange) -> ReadOutcome<'_> {
        self.reader.read(object, range)
    }

    /// Whether a transport can read the object: it lies in slabs on a device.
    pub(super) fn can_read_in_place(&self, object: &Object) -> bool {
        self.cache.large(object).is_none() && self.cache.slabs.descriptor().is_some()
    }

    /// Begins a read into the memory of its request.
    pub(super) fn start(&mut self, object: &Object, range: ByteRange, mut reply: ReplyBuffer) -> InPlace {
        let flight = self.free.pop().unwrap_or_else(|| {
            self.flights.push(PlannedRead::default());
            self.flights.len() as u32 - 1
        });
        let (slabs, read) = (&self.cache.slabs, &mut self.flights[flight as usize]);
        let (key, len) = (&object.cache_key, range.len() as usize);
        let step = reply.with(|memory| slabs.start(read, key, range.start, len, object.size_bytes, memory));
        self.take(flight, step, reply)
    }

    /// Goes on when the device has answered. A token of before a panic is a miss.
    pub(super) fn finish(
        &mut self,
        token: ReadToken,
        result: Result<(), Errno>,
        mut reply: ReplyBuffer,
    ) -> InPlace {
        let (generation, flight) = ((token.0 >> 32) as u32, token.0 as u32);
        let Some(read) = self.flights.get_mut(flight as usize).filter(|_| generation == self.generation)
        else {
            return InPlace::Miss(reply);
        };
        let result = result.map_err(|errno| io::Error::from_raw_os_error(errno.get()));
        let slabs = &self.cache.slabs;
        let step = reply.with(|memory| slabs.finish(read, result, memory));
        self.take(flight, step, reply)
    }

    fn take(&mut self, flight: u32, step: Step, reply: ReplyBuffer) -> InPlace {
        if step == Step::Read {
            let runs = self.flights[flight as usize].runs().iter();
            self.reads.clear();
            self.reads.extend(runs.map(|run| DeviceRead {
                device: SLABS,
                offset: run.device_offset,
                length: run.len,
                position: run.position,
            }));
            reply.read(&self.reads, ReadToken(u64::from(self.generation) << 32 | u64::from(flight)));
            return InPlace::UnderWay;
        }
        self.free.push(flight);
        match step {
            Step::Hit(bytes) => {
                reply.filled(bytes);
                InPlace::Answered
            }
            Step::NoRoom => InPlace::NoRoom(reply),
            Step::Miss | Step::Read => InPlace::Miss(reply),
        }
    }
}
