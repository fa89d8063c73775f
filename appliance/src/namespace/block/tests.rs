use proptest::prelude::*;
use ufs::Version;

use super::*;

fn file(name: &str, number: u64, ns: i64, size_bytes: u64, version: &str) -> Entry {
    let version = PackedVersion::new(&Version::new(version));
    Entry {
        name: name.into(),
        number: Number(number),
        modified: Timestamp(ns),
        kind: Kind::File { size_bytes, version },
    }
}

fn directory(name: &str, number: u64) -> Entry {
    Entry::directory(name, Number(number), Timestamp(0))
}

fn row_of(entries: &[Entry], ordinal: u32) -> Vec<u8> {
    let mut builder = BlockBuilder::default();
    entries.iter().for_each(|entry| builder.push(entry));
    builder.finish(ordinal).1
}

#[test]
fn a_block_is_the_bytes_of_its_description() {
    let entries = [file("ab", 7, 3_000_000_002, 5, "v"), directory("abc", 8)];
    let row = row_of(&entries, 9);
    let body = [
        [9, 0, 0, 0, 2, 0].as_slice(),
        // flags, shared, suffix, "ab", 7 - 0 - 1 = 6 zigzag 12, 3 s zigzag 6, 2 ns, 5 bytes, version: length, raw, "v"
        &[2, 0, 2, b'a', b'b', 12, 6, 2, 5, 2, 0, b'v'],
        // directory, shared, suffix, "c", 8 - 7 - 1 = 0, 0 - 3 s zigzag 5
        &[1, 2, 1, b'c', 0, 5],
    ]
    .concat();
    assert_eq!(row[0], 1);
    assert_eq!(row[1..5], xxh3_64(&body).to_le_bytes()[..4]);
    assert_eq!(row[5..], body);
}

#[test]
fn a_name_is_found_in_both_forms() {
    let row = row_of(&[file("a", 2, 0, 1, "x"), file("a-b", 3, 0, 1, "x"), directory("a", 4)], 0);
    let found = Block::open(&row).and_then(|block| block.find("a")).expect("a sound block");
    assert_eq!(found.iter().map(|entry| entry.number.0).collect::<Vec<_>>(), [2, 4]);
    let none = Block::open(&row).and_then(|block| block.find("b")).expect("a sound block");
    assert!(none.is_empty());
}

#[test]
fn every_flipped_byte_is_seen() {
    let row = row_of(&[file("name", 2, 0, 1, "d41d8cd98f00b204e9800998ecf8427e"), directory("z", 3)], 1);
    for at in 0..row.len() {
        let mut damaged = row.clone();
        damaged[at] ^= 0x10;
        assert!(Block::open(&damaged).is_err(), "byte {at}");
        assert!(Block::open(&row[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_synthetic_etag_listing_takes_less_than_40_bytes_a_name() {
    let entries: Vec<_> = (0..200u64)
        .map(|i| {
            file(
                &format!("img_{:08}.jpg", i * 7),
                i + 10,
                1_700_000_000_000_000_000,
                100_000 + i,
                &format!("{i:032x}"),
            )
        })
        .collect();
    assert!(row_of(&entries, 0).len() < 200 * 40);
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        Just(Kind::Directory),
        (any::<u64>(), ".{0,60}").prop_map(|(size_bytes, text)| {
            Kind::File { size_bytes, version: PackedVersion::new(&Version::new(text)) }
        }),
    ];
    ("[^/\0]{1,60}", any::<u64>(), any::<i64>(), kind).prop_map(|(name, number, ns, kind)| Entry {
        name: name.into(),
        number: Number(number),
        modified: Timestamp(ns),
        kind,
    })
}

proptest! {
    #[test]
    fn entries_come_back(entries in prop::collection::vec(any_entry(), 1..40), ordinal: u32) {
        let row = row_of(&entries, ordinal);
        let block = Block::open(&row).expect("written above");
        prop_assert_eq!(block.ordinal(), ordinal);
        let back = block.into_entries().expect("written above");
        // The lowest second of the range cannot be written in whole nanoseconds.
        let lowest = i64::MIN + Timestamp::NANOSECONDS_PER_SECOND;
        for (a, b) in entries.iter().zip(&back) {
            prop_assert!(a == b || a.modified.0 < lowest, "{:?} {:?}", a, b);
        }
        prop_assert_eq!(entries.len(), back.len());
    }

    #[test]
    fn foreign_bytes_never_panic(mut row in prop::collection::vec(any::<u8>(), 0..300)) {
        // A right hash lets the bytes reach the decoder.
        if row.len() > HEAD_BYTES {
            row[0] = VERSION;
            let hash = (xxh3_64(&row[5..]) as u32).to_le_bytes();
            row[1..5].copy_from_slice(&hash);
        }
        if let Ok(block) = Block::open(&row) {
            drop(block.into_entries());
        }
    }
}
