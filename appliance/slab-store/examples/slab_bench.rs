//! Figures of the store alone: fill, reopen, random reads. `bench/slab/README.md` says how to compare with fio.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use slab_store::{
    BLOCK_BYTES, BlockIndex, DeviceSpec, ObjectKey, Options, ReadOutcome, ReaderShape, SlabStore, Submitted,
};

/// Arguments: `--name value`, all optional but `--path`.
struct Args(Vec<String>);

impl Args {
    fn get<T: std::str::FromStr>(&self, name: &str, default: T) -> T {
        let at = self.0.iter().position(|arg| *arg == format!("--{name}"));
        let value = at.and_then(|at| self.0.get(at + 1));
        value
            .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("--{name} {value}: not usable")))
    }
}

fn main() {
    let args = Args(std::env::args().collect());
    let path: PathBuf = args.get("path", PathBuf::new());
    assert!(!path.as_os_str().is_empty(), "--path FILE is needed");
    let device = DeviceSpec::File { path };
    let capacity_bytes = args.get("capacity-mib", 2048u64) << 20;
    let mut options = Options::new(device, capacity_bytes);
    options.memory_bytes = args.get("memory-mib", 256u64) << 20;
    let (store, recovery) = SlabStore::open(options).expect("the cache opens");
    println!("opened: {recovery:?}");
    let object_bytes = args.get("object-bytes", 4u64 << 20);
    match args.get("run", "read".to_string()).as_str() {
        "fill" => fill(&store, object_bytes, args.get("fill-mib", 1024u64) << 20),
        "read" => read(&store, &args, object_bytes),
        "open" => {}
        other => panic!("--run {other}: fill, read or open"),
    }
    println!("{:?}", store.stats());
    store.close();
}

fn key(object: u64) -> ObjectKey {
    ObjectKey::new(format!("s3://bucket/train/n{object:012}.jpg\0\"{object:032x}\"").as_bytes())
        .expect("a short key")
}

/// Inserts objects until `total` bytes were taken.
fn fill(store: &SlabStore, object_bytes: u64, total: u64) {
    let data: Vec<u8> = (0..BLOCK_BYTES).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let started = Instant::now();
    let mut bytes = 0;
    for object in 0..total / object_bytes {
        let key = key(object);
        for block in 0..object_bytes.div_ceil(u64::from(BLOCK_BYTES)) {
            let len = (object_bytes - block * u64::from(BLOCK_BYTES)).min(u64::from(BLOCK_BYTES));
            let parts = [&data[..len as usize]];
            block_on(store.insert(&key, BlockIndex(block as u32), &parts)).expect("the block is taken");
            bytes += len;
        }
    }
    let elapsed = started.elapsed();
    println!(
        "filled {} MiB in {elapsed:?}: {:.0} MB/s",
        bytes >> 20,
        bytes as f64 / elapsed.as_secs_f64() / 1e6
    );
}

/// Random aligned reads with a fixed number in flight, from one thread.
fn read(store: &SlabStore, args: &Args, object_bytes: u64) {
    let (bytes, depth): (usize, u16) = (args.get("bytes", 4096), args.get("depth", 32));
    let objects = args.get("fill-mib", 1024u64) * (1 << 20) / object_bytes;
    let runtime = Duration::from_secs(args.get("seconds", 5));
    let mut reader = store.reader_with(ReaderShape { slots: depth, read_bytes_max: bytes }).expect("a ring");
    let keys: Vec<ObjectKey> = (0..objects).map(key).collect();
    let places = object_bytes / bytes as u64;
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let (mut done, mut misses) = (0u64, 0u64);
    let warm_up = Duration::from_secs(1);
    let (mut started, mut is_warm) = (Instant::now(), false);
    while !done.is_multiple_of(1024) || started.elapsed() < runtime {
        if !is_warm && done.is_multiple_of(256) && started.elapsed() >= warm_up {
            (started, is_warm, done) = (Instant::now(), true, 0);
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let place = (random >> 20) % (objects * places);
        let (object, offset) = (&keys[(place / places) as usize], place % places * bytes as u64);
        match reader.submit(0, object, offset, bytes, object_bytes) {
            Submitted::Queued => continue,
            Submitted::Miss => misses += 1,
            Submitted::Full => {
                let reaped = reader.reap().expect("reads are under way");
                misses += u64::from(reaped.outcome == ReadOutcome::Miss);
                done += 1;
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    while reader.reap().is_some() {}
    let (rate, moved) = (done as f64 / seconds, done as f64 * bytes as f64 / seconds / 1e6);
    println!("read {bytes} B at depth {depth}: {rate:.0} IOPS, {moved:.0} MB/s, {misses} misses");
}
