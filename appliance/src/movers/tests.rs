//! The movers over a store whose answers the test holds back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use ufs::*;

use super::*;
use crate::store::Store;

/// A store whose reads wait for a permit each, and fail while `down`.
struct GatedStore {
    gate: Semaphore,
    reads: AtomicU64,
    down: AtomicBool,
}

fn byte_at(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

#[async_trait::async_trait]
impl Ufs for GatedStore {
    fn url(&self) -> &str {
        "test://gated"
    }
    fn capabilities(&self) -> Capabilities {
        unreachable!("the movers do not ask")
    }
    async fn stat(&self, _: &Key) -> Result<Meta> {
        unreachable!("the movers only read")
    }
    async fn describe(&self, _: &Key) -> Result<(Meta, Attributes)> {
        unreachable!("the movers only read")
    }
    async fn list(&self, _: &ListRequest) -> Result<ListPage> {
        unreachable!("the movers only read")
    }
    async fn read(&self, _: &Key, _: Option<&Version>, range: ByteRange) -> Result<Body> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.gate.acquire().await.expect("open").forget();
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::Unavailable { url: self.url().into(), reason: "down".into(), source: None });
        }
        let bytes: Vec<u8> = (range.start..range.end).map(byte_at).collect();
        // Odd chunks, so that block borders fall inside of them.
        let chunks: Vec<Result<Bytes>> =
            bytes.chunks(50_001).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        Ok(Box::pin(futures::stream::iter(chunks)))
    }
    async fn put(&self, _: &Key, _: Bytes, _: &Attributes, _: &PutCondition) -> Result<Meta> {
        unreachable!("the movers only read")
    }
    async fn multipart_create(&self, _: &Key, _: &Attributes) -> Result<UploadId> {
        unreachable!("the movers only read")
    }
    async fn multipart_put(&self, _: &Key, _: &UploadId, _: PartNumber, _: Bytes) -> Result<UploadedPart> {
        unreachable!("the movers only read")
    }
    async fn multipart_copy(
        &self,
        _: &Key,
        _: &UploadId,
        _: PartNumber,
        _: &CopySource,
        _: ByteRange,
    ) -> Result<UploadedPart> {
        unreachable!("the movers only read")
    }
    async fn multipart_list(&self, _: &Key, _: &UploadId) -> Result<Vec<UploadedPart>> {
        unreachable!("the movers only read")
    }
    async fn multipart_complete(
        &self,
        _: &Key,
        _: &UploadId,
        _: &[UploadedPart],
        _: &PutCondition,
    ) -> Result<Meta> {
        unreachable!("the movers only read")
    }
    async fn multipart_abort(&self, _: &Key, _: &UploadId) -> Result<()> {
        unreachable!("the movers only read")
    }
    async fn copy(&self, _: &CopySource, _: &Key, _: Option<&Attributes>, _: &PutCondition) -> Result<Meta> {
        unreachable!("the movers only read")
    }
    async fn delete(&self, _: &Key, _: Option<&Version>) -> Result<()> {
        unreachable!("the movers only read")
    }
    async fn rename(&self, _: &Key, _: &Key) -> Result<()> {
        unreachable!("the movers only read")
    }
}

struct Fixture {
    store: Arc<GatedStore>,
    movers: Arc<Movers>,
    object: Arc<Object>,
}

impl Fixture {
    fn new(size_bytes: u64, open: usize) -> Self {
        let store = Arc::new(GatedStore {
            gate: Semaphore::new(open),
            reads: AtomicU64::new(0),
            down: AtomicBool::new(false),
        });
        let movers = Movers::start(None, Budget::new(16 << 20)).expect("starts");
        let shared = Arc::new(Store::new(Arc::clone(&store) as Arc<dyn Ufs>, "test".into()));
        let key = Key::new("object").expect("a key");
        let object = Object::new(shared, key, Version::new("v"), size_bytes).expect("a short key");
        Self { store, movers, object: Arc::new(object) }
    }

    async fn read(&self, start: u64, end: u64) -> std::result::Result<Vec<u8>, FetchError> {
        let range = ByteRange::new(start..end);
        let blocks = self.movers.read(&self.object, range, range).await?;
        let base = u64::from(self.object.blocks_of(range).start) * u64::from(BLOCK_BYTES);
        let all: Vec<u8> = blocks.iter().flat_map(|block| block.pieces().concat()).collect();
        Ok(all[(start - base) as usize..(end - base) as usize].to_vec())
    }

    fn reads(&self) -> u64 {
        self.store.reads.load(Ordering::Relaxed)
    }
}

fn expected(start: u64, end: u64) -> Vec<u8> {
    (start..end).map(byte_at).collect()
}

#[tokio::test]
async fn reads_give_the_right_bytes_across_blocks_and_at_the_end() {
    let fixture = Fixture::new(1_000_003, usize::MAX >> 4);
    for (start, end) in [(0, 1), (0, 1_000_003), (131_071, 131_073), (999_999, 1_000_003), (200_000, 600_001)]
    {
        assert_eq!(fixture.read(start, end).await.expect("reads"), expected(start, end), "{start}..{end}");
    }
}

#[tokio::test]
async fn readers_of_the_same_block_share_one_fetch() {
    let fixture = Arc::new(Fixture::new(100_000, 0));
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move { fixture.read(5, 99_000).await })
        })
        .collect();
    tokio::task::yield_now().await;
    fixture.store.gate.add_permits(20);
    for reader in readers {
        assert_eq!(reader.await.expect("no panic").expect("reads"), expected(5, 99_000));
    }
    assert_eq!(fixture.reads(), 1);
}

#[tokio::test]
async fn a_failure_reaches_all_who_wait_and_is_not_kept() {
    let fixture = Arc::new(Fixture::new(100_000, 0));
    fixture.store.down.store(true, Ordering::Relaxed);
    let other = Arc::clone(&fixture);
    let second = tokio::spawn(async move { other.read(0, 10).await });
    tokio::task::yield_now().await;
    fixture.store.gate.add_permits(10);
    assert!(matches!(fixture.read(0, 10).await, Err(FetchError::Store(_))));
    assert!(matches!(second.await.expect("no panic"), Err(FetchError::Store(_))));
    fixture.store.down.store(false, Ordering::Relaxed);
    assert_eq!(fixture.read(0, 10).await.expect("reads"), expected(0, 10));
}

#[tokio::test]
async fn a_reader_that_gives_up_does_not_stop_the_fetch_for_others() {
    let fixture = Arc::new(Fixture::new(100_000, 0));
    let first = Arc::clone(&fixture);
    let impatient = tokio::spawn(async move { first.read(0, 10).await });
    tokio::task::yield_now().await;
    impatient.abort();
    let second = Arc::clone(&fixture);
    let patient = tokio::spawn(async move { second.read(0, 10).await });
    tokio::task::yield_now().await;
    fixture.store.gate.add_permits(1);
    assert_eq!(patient.await.expect("no panic").expect("reads"), expected(0, 10));
    assert_eq!(fixture.reads(), 1);
}

#[tokio::test]
async fn kept_blocks_stay_within_the_budget_however_much_is_read() {
    let fixture = Fixture::new(200 << 20, usize::MAX >> 4);
    for start in (0..200 << 20).step_by(1 << 20) {
        fixture.read(start, start + (1 << 20)).await.expect("reads");
        assert!(fixture.movers.budget.used_bytes() <= 16 << 20);
    }
    assert_eq!(fixture.movers.flights.kept_bytes(), fixture.movers.budget.used_bytes());
}

#[test]
fn runs_are_maximal() {
    let odd_gap = |index| index != 3 && index != 4;
    assert_eq!(runs(1..7, odd_gap).collect::<Vec<_>>(), [1..3, 5..7]);
    assert_eq!(runs(3..5, odd_gap).count(), 0);
}

#[test]
fn parts_end_at_multiples() {
    assert_eq!(in_parts(30..70).collect::<Vec<_>>(), [30..32, 32..64, 64..70]);
}

#[tokio::test]
async fn warm_ups_larger_than_the_budget_do_not_wait_for_each_other() {
    let fixture = Fixture::new(64 << 20, usize::MAX >> 4);
    let others: Vec<_> = (0..8)
        .map(|number| {
            let key = Key::new(format!("object {number}")).expect("a key");
            let object = &fixture.object;
            let object = Object::new(Arc::clone(&object.store), key, object.version.clone(), 64 << 20);
            Arc::new(object.expect("a short key"))
        })
        .collect();
    let warm =
        futures::future::try_join_all(others.iter().map(|object| fixture.movers.ensure_cached(object)));
    let fetched =
        tokio::time::timeout(Duration::from_secs(60), warm).await.expect("no deadlock").expect("reads");
    assert_eq!(fetched, [64 << 20; 8]);
}

#[tokio::test]
async fn a_block_stays_in_memory_while_it_is_on_its_way_to_the_slabs() {
    let fixture = Fixture::new(100_000, 0);
    let claim = fixture.movers.flights.claim(&fixture.object, 0..1);
    let mut part = claim.into_parts(PART_BLOCKS).next().expect("a run to fetch");
    let memory = fixture.movers.budget.reserve(1000, Class::Demand).await;
    let flight = part.land(Block::new(vec![Bytes::from_static(b"x")], memory)).expect("a flight");
    fixture.movers.flights.release(u64::MAX, Class::Demand);
    assert!(fixture.movers.flights.has(&fixture.object, 0));
    fixture.movers.flights.settle(&fixture.object, 0, &flight);
    assert!(!fixture.movers.flights.has(&fixture.object, 0));
}
