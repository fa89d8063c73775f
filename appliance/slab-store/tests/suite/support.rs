//! What the suites share: blocks whose bytes follow from their names, and small stores on simulated devices.

#![allow(dead_code, reason = "each suite uses a part of this")]

use std::future::Future;
use std::sync::OnceLock;

use futures::executor::block_on;
use slab_store::sim::SimDevice;
use slab_store::{
    BLOCK_BYTES, BlockIndex, DeviceSpec, InsertError, ObjectKey, Options, Planted, ReadOutcome, Reader,
    Recovery, SlabStore,
};

/// Eight slabs of 1 MiB: the smallest cache, which evicts soonest.
pub(crate) const CAPACITY: usize = 9 << 20;
pub(crate) const MEMORY: u64 = 16 << 20;

/// An object of a test: its bytes follow from its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Object {
    pub(crate) id: u32,
    pub(crate) size: u64,
}

impl Object {
    pub(crate) fn key(self) -> ObjectKey {
        ObjectKey::new(format!("s3://bucket/object-{}\0etag-{}", self.id, self.size).as_bytes()).unwrap()
    }

    pub(crate) fn blocks(self) -> u32 {
        self.size.div_ceil(u64::from(BLOCK_BYTES)) as u32
    }

    pub(crate) fn block(self, block: u32) -> Vec<u8> {
        let start = u64::from(block) * u64::from(BLOCK_BYTES);
        self.bytes(start, (self.size - start).min(u64::from(BLOCK_BYTES)) as usize)
    }

    /// Bytes of the object: a window on a corpus, at a place of its own.
    pub(crate) fn bytes(self, offset: u64, len: usize) -> Vec<u8> {
        let start = self.id as usize * 40_503 % (CORPUS_BYTES / 2) + offset as usize;
        corpus()[start..start + len].to_vec()
    }
}

const CORPUS_BYTES: usize = 4 << 20;

/// Pseudo-random bytes (splitmix64).
fn corpus() -> &'static [u8] {
    static CORPUS: OnceLock<Vec<u8>> = OnceLock::new();
    CORPUS.get_or_init(|| {
        let word = |i: u64| {
            let x = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (x ^ (x >> 27)).to_le_bytes()
        };
        (0..CORPUS_BYTES as u64 / 8).flat_map(word).collect()
    })
}

pub(crate) fn options(device: &SimDevice) -> Options {
    let mut options = Options::new(DeviceSpec::Custom(Box::new(device.clone())), device.image().len() as u64);
    options.memory_bytes = MEMORY;
    options
}

pub(crate) fn open(device: &SimDevice) -> (SlabStore, Recovery) {
    open_with(device, None)
}

pub(crate) fn open_with(device: &SimDevice, planted: Option<Planted>) -> (SlabStore, Recovery) {
    let mut options = options(device);
    options.planted = planted;
    SlabStore::open(options).unwrap()
}

/// Waits for a future, with a time limit that only a hang reaches.
pub(crate) fn wait<T: Send>(what: &str, future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        scope.spawn(move || sender.send(block_on(future)));
        receiver.recv_timeout(std::time::Duration::from_secs(60)).unwrap_or_else(|_| {
            eprintln!("{what}: no answer in 60 s");
            std::process::abort();
        })
    })
}

pub(crate) fn insert(store: &SlabStore, object: Object) -> Result<(), InsertError> {
    (0..object.blocks()).try_for_each(|block| insert_block(store, object, block))
}

pub(crate) fn insert_block(store: &SlabStore, object: Object, block: u32) -> Result<(), InsertError> {
    let data = object.block(block);
    // In two parts, as network buffers come.
    let (head, tail) = data.split_at(data.len() / 3);
    wait("insert", store.insert(&object.key(), BlockIndex(block), &[head, tail]))
}

/// Reads a range: true for a hit with the right bytes, false for a miss; wrong bytes are a failure.
pub(crate) fn read(reader: &mut Reader, object: Object, offset: u64, len: usize) -> bool {
    match reader.read(&object.key(), offset, len, object.size) {
        ReadOutcome::Miss => false,
        ReadOutcome::Hit(bytes) => {
            let expected = object.bytes(offset, len.min((object.size - offset) as usize));
            assert!(bytes == expected, "wrong bytes of {object:?} at {offset}, length {len}");
            true
        }
    }
}

/// Reads each block of each object alone; gives back how many are hits. `contains` must agree.
pub(crate) fn read_all(store: &SlabStore, reader: &mut Reader, objects: &[Object]) -> usize {
    let mut hits = 0;
    for object in objects {
        for block in 0..object.blocks() {
            let expected = store.contains(&object.key(), BlockIndex(block));
            let offset = u64::from(block) * u64::from(BLOCK_BYTES);
            let hit = read(reader, *object, offset, BLOCK_BYTES as usize);
            assert!(expected || !hit, "{object:?} block {block} is read though it is not contained");
            hits += usize::from(hit);
        }
    }
    hits
}

/// Objects of mixed sizes, from a seed.
pub(crate) fn objects(seed: u32, count: u32) -> Vec<Object> {
    (0..count)
        .map(|i| {
            let random = (seed ^ i).wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(2_246_822_519);
            let size = match random % 4 {
                0 => 1 + u64::from(random >> 8) % 5_000,
                1 => 5_000 + u64::from(random >> 8) % 60_000,
                2 => 100_000 + u64::from(random >> 8) % 30_000,
                _ => 1 + u64::from(random >> 8) % 600_000,
            };
            Object { id: seed.wrapping_mul(1000) + i, size }
        })
        .collect()
}
