use std::fs;

use tempfile::TempDir;

use super::*;
use crate::namespace::block::BlockBuilder;
use crate::namespace::entry::{Entry, Timestamp};
use crate::namespace::record::{Override, Record, WallMs};

const ROOT: Number = Number(7);
const CACHE_BYTES: usize = 1 << 20;

fn open(directory: &TempDir) -> Arc<Database> {
    Database::open(directory.path(), CACHE_BYTES).expect("the directory can be written")
}

fn block(listing: ListingId, name: &str) -> Op {
    let mut builder = BlockBuilder::default();
    builder.push(&Entry::directory(name, Number(9), Timestamp(0)));
    let (form, row) = builder.finish(0);
    Op::Block { key: block_key(listing, &form), row }
}

fn publish(database: &Database, listing: ListingId) -> Op {
    let record = Record { listing, listed_at: WallMs(1), listed_deep_at: None, names: 1, hidden: 2 };
    Op::Publish { directory: ROOT, root: ROOT, record, pin: database.pin(listing) }
}

fn find(database: &Database, listing: ListingId, name: &str) -> Option<Number> {
    let found = database.read(|tables| tables.find(listing, name)).expect("a sound file");
    found.map(|entry| entry.number)
}

fn listing_of_root(database: &Database) -> Option<ListingId> {
    let record = database.read(|tables| tables.record(ROOT)).expect("a sound file");
    record.map(|record| record.listing)
}

#[tokio::test]
async fn a_closed_database_keeps_its_rows_and_never_repeats_a_number() {
    let directory = TempDir::new().expect("a temporary directory");
    let database = open(&directory);
    let (listing, number) =
        (database.take_stamp().await.expect("a stamp"), database.take_number().await.expect("a number"));
    database.write(vec![block(listing, "a"), publish(&database, listing)]).await.expect("written");
    drop(database);
    let database = open(&directory);
    assert_eq!(listing_of_root(&database), Some(listing));
    assert_eq!(find(&database, listing, "a"), Some(Number(9)));
    assert_eq!(database.read(|tables| tables.hidden(ROOT)).expect("a sound file"), 2);
    assert!(database.take_number().await.expect("a number") > number);
    assert!(database.take_stamp().await.expect("a stamp") > listing);
}

/// What a kill leaves is the file as it is: the page cache outlives the process.
#[tokio::test]
async fn a_copy_taken_at_any_time_opens_with_whole_listings() {
    let directory = TempDir::new().expect("a temporary directory");
    let database = open(&directory);
    for round in 0..40 {
        let listing = database.take_stamp().await.expect("a stamp");
        let begin = Op::Begin { listing, root: ROOT };
        database.write(vec![begin, block(listing, "a")]).await.expect("written");
        database.write(vec![block(listing, "b"), publish(&database, listing)]).await.expect("written");
        let number = database.take_number().await.expect("a number");
        if round % 8 == 7 {
            database.write_durably(Vec::new()).await.expect("written");
        }
        let copy = TempDir::new().expect("a temporary directory");
        fs::copy(directory.path().join("names.redb"), copy.path().join("names.redb")).expect("copied");
        let killed = open(&copy);
        if let Some(listing) = listing_of_root(&killed) {
            assert_eq!(find(&killed, listing, "a"), Some(Number(9)), "round {round}");
            assert_eq!(find(&killed, listing, "b"), Some(Number(9)), "round {round}");
        }
        assert!(killed.take_number().await.expect("a number") > number, "round {round}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_replaced() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("names.redb");
    let garbage = [b"not a database at all".to_vec(), vec![0xa5; 100_000], vec![0; 4096]];
    for content in garbage {
        fs::write(&path, content).expect("written");
        let database = open(&directory);
        assert_eq!(listing_of_root(&database), None);
        drop(database);
        fs::remove_file(&path).expect("it is a file");
    }
}

#[tokio::test]
async fn damage_anywhere_never_panics_and_never_lies() {
    let directory = TempDir::new().expect("a temporary directory");
    let database = open(&directory);
    let listing = database.take_stamp().await.expect("a stamp");
    database.write_durably(vec![block(listing, "a"), publish(&database, listing)]).await.expect("written");
    drop(database);
    let sound = fs::read(directory.path().join("names.redb")).expect("it is a file");
    for page in 0..(sound.len() / 4096).min(64) {
        let copy = TempDir::new().expect("a temporary directory");
        let mut damaged = sound.clone();
        damaged[page * 4096..][..4096].fill(0xa5);
        fs::write(copy.path().join("names.redb"), damaged).expect("written");
        let database = open(&copy);
        if let Ok(Some(record)) = database.read(|tables| tables.record(ROOT)) {
            assert_eq!(record.listing, listing, "page {page}");
            if let Ok(found) = database.read(|tables| tables.find(listing, "a")) {
                assert!(found.is_none_or(|entry| entry.number == Number(9)), "page {page}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_of_another_format_is_replaced() {
    let directory = TempDir::new().expect("a temporary directory");
    drop(open(&directory));
    let redb = redb::Database::open(directory.path().join("names.redb")).expect("made above");
    let transaction = redb.begin_write().expect("nobody else writes");
    transaction.open_table(tables::META).expect("made above").insert("format", 99).expect("written");
    transaction.commit().expect("written");
    drop(redb);
    assert_eq!(listing_of_root(&open(&directory)), None);
}

#[tokio::test]
async fn an_old_listing_stays_while_it_is_read_and_goes_then() {
    let database = Database::in_memory(1 << 30).expect("memory");
    let (old, new) =
        (database.take_stamp().await.expect("a stamp"), database.take_stamp().await.expect("a stamp"));
    database.write(vec![block(old, "a"), publish(&database, old)]).await.expect("written");
    let pin = database.pin(old);
    database.write(vec![block(new, "b"), publish(&database, new)]).await.expect("written");
    database.write(Vec::new()).await.expect("written");
    assert_eq!(find(&database, old, "a"), Some(Number(9)));
    drop(pin);
    // Each write gives the writer one more round.
    for _ in 0..100 {
        if find(&database, old, "a").is_none() {
            break;
        }
        database.write(Vec::new()).await.expect("written");
    }
    assert_eq!(find(&database, old, "a"), None);
    assert_eq!(find(&database, new, "b"), Some(Number(9)));
}

#[tokio::test]
async fn a_listing_drops_older_overrides_and_keeps_newer_ones() {
    let database = Database::in_memory(1 << 30).expect("memory");
    let row = |stamp| Override { stamp: ListingId(stamp), asked_at: WallMs(1), entry: None };
    let overrides = [("old", 4), ("new", 6)];
    let ops =
        overrides.map(|(name, stamp)| Op::Override { directory: ROOT, name: name.into(), row: row(stamp) });
    database.write(ops.into()).await.expect("written");
    database.write(vec![publish(&database, ListingId(5))]).await.expect("written");
    let left = database.read(|tables| tables.overrides(ROOT, 10)).expect("a sound file");
    assert_eq!(left.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["new"]);
}

#[tokio::test]
async fn an_older_import_does_not_replace_a_newer_one() {
    let database = Database::in_memory(1 << 30).expect("memory");
    database
        .write(vec![publish(&database, ListingId(5)), publish(&database, ListingId(4))])
        .await
        .expect("written");
    assert_eq!(listing_of_root(&database), Some(ListingId(5)));
}

#[tokio::test]
async fn memory_without_a_cache_directory_is_bounded() {
    let database = Database::in_memory(1 << 20).expect("memory");
    let mut refused = None;
    for number in 0..10_000 {
        let name = format!("{number:0>200}");
        if let Err(error) = database.queue(vec![block(ListingId(number), &name)]).await {
            refused = Some(error);
            break;
        }
        database.write(Vec::new()).await.expect("written");
    }
    let refused = refused.expect("2 MB do not fit in 1 MiB");
    assert!(matches!(*refused, DatabaseError::OutOfMemory { limit_bytes } if limit_bytes == 1 << 20));
}

#[tokio::test]
async fn blocks_of_a_listing_are_kept_until_it_is_published() {
    let directory = TempDir::new().expect("a temporary directory");
    let database = open(&directory);
    let listing = ListingId(7);
    let import = database.pin(listing);
    database.write(vec![Op::Begin { listing, root: ROOT }, block(listing, "a")]).await.expect("written");
    let publish = publish(&database, listing);
    drop(import);
    // Each batch lets the writer remove garbage once.
    for _ in 0..3 {
        database.write(Vec::new()).await.expect("written");
    }
    database.write(vec![publish]).await.expect("written");
    assert_eq!(find(&database, listing, "a"), Some(Number(9)));
}

#[tokio::test]
async fn a_listing_begun_before_a_failure_is_not_published_after_it() {
    let database = Database::in_memory(1 << 30).expect("memory");
    let listing = database.take_stamp().await.expect("a stamp");
    let pin = database.pin(listing);
    database.write(vec![block(listing, "a")]).await.expect("written");
    database.core.report_damage(&DatabaseError::Panicked);
    // The writer replaces the database on its next round, at the latest after this.
    database.write(Vec::new()).await.expect("written");
    database.write(Vec::new()).await.expect("written");
    let record = Record { listing, listed_at: WallMs(1), listed_deep_at: None, names: 1, hidden: 0 };
    database.write(vec![Op::Publish { directory: ROOT, root: ROOT, record, pin }]).await.expect("written");
    assert_eq!(listing_of_root(&database), None);
    assert_eq!(find(&database, listing, "a"), None);
    database.write(vec![block(listing, "b")]).await.expect("it goes on in memory");
    assert_eq!(find(&database, listing, "b"), Some(Number(9)));
}
