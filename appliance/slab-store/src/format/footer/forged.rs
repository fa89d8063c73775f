//! Footers whose checksums are right and whose contents are not: what a bug of ours, or somebody who knows the format, can
//! write. Whatever is decoded must stay inside its slab, and nothing may panic.
//!
//! `PROPTEST_CASES=1000000 cargo test -p slab-store --release forged` looks longer.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use super::*;
use crate::format::fields::Reader;

const GEOMETRY: Geometry = Geometry { slab_bytes: 1 << 20, slab_count: 8 };
const UUID: Uuid = *b"0123456789abcdef";

/// Mostly what a sound footer has, at times anything.
fn small_or_any() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..5, 2 => 0u32..300_000, 1 => any::<u32>()]
}

prop_compose! {
    fn trailer()(
        records in small_or_any(),
        keys in small_or_any(),
        meta_start in prop_oneof![4 => (0u32..200).prop_map(|page| page * 4096), 1 => any::<u32>()],
        meta_bytes in small_or_any(),
        generation in any::<u64>(),
    ) -> Trailer {
        Trailer {
            uuid: UUID,
            slab: SlabId(5),
            queue: QueueKind::Small,
            generation,
            records,
            keys,
            meta_start,
            meta_bytes,
            meta_crc: 0,
            page_table_crc: 0,
        }
    }
}

/// A meta part of 20-byte records and some keys, as `u32` and bytes that need not fit each other.
fn meta() -> impl Strategy<Value = Vec<u8>> {
    let record = prop::collection::vec(small_or_any(), 5);
    let key = (0u16..20, prop::collection::vec(any::<u8>(), 0..20));
    (prop::collection::vec(record, 0..4), prop::collection::vec(key, 0..4)).prop_map(|(records, keys)| {
        let mut bytes: Vec<u8> = records.concat().into_iter().flat_map(u32::to_le_bytes).collect();
        for (len, key) in keys {
            bytes.extend(len.to_le_bytes());
            bytes.extend(key);
        }
        bytes
    })
}

type Decode = fn(&[u8], &Trailer) -> Option<Meta>;

/// Looks for a forged meta part that `decode` takes though it is not sound.
fn search(decode: Decode) -> Result<(), TestError<(Trailer, Vec<u8>)>> {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    runner.run(&(trailer(), meta()), |(mut trailer, bytes)| {
        trailer.meta_bytes = trailer.meta_bytes.min(bytes.len() as u32);
        trailer.meta_crc = crc32c::crc32c(&bytes[..trailer.meta_bytes as usize]);
        let Some(meta) = decode(&bytes, &trailer) else { return Ok(()) };
        prop_assert_eq!(meta.records.len(), trailer.records as usize);
        prop_assert_eq!(meta.keys.len(), trailer.keys as usize);
        prop_assert!(meta.encoded_bytes() <= trailer.meta_bytes as usize);
        for record in &meta.records {
            let end = u64::from(record.offset.0) * 512 + u64::from(record.len);
            prop_assert!(record.len > 0 && record.len <= BLOCK_BYTES && end <= u64::from(trailer.meta_start));
            prop_assert!((record.key as usize) < meta.keys.len());
        }
        prop_assert!(meta.keys.iter().all(|key| (1..=KEY_BYTES_MAX).contains(&key.len())));
        Ok(())
    })
}

/// The decoder without its bounds: the planted bug.
fn decode_unbounded(bytes: &[u8], trailer: &Trailer) -> Option<Meta> {
    let mut fields = Reader::new(bytes.get(..trailer.meta_bytes as usize)?);
    let record = |fields: &mut Reader<'_>| {
        let (key, block, offset) = (fields.u32()?, BlockIndex(fields.u32()?), Units(fields.u32()?));
        Some(Record { key, block, offset, len: fields.u32()?, crc: fields.u32()? })
    };
    let records = (0..trailer.records).map(|_| record(&mut fields)).collect::<Option<_>>()?;
    let keys = (0..trailer.keys).map(|_| decode_key(&mut fields)).collect::<Option<_>>()?;
    Some(Meta { records, keys })
}

#[test]
fn forged_records_stay_inside_their_slab() {
    search(Meta::decode).unwrap();
}

#[test]
fn the_search_finds_a_decoder_without_bounds() {
    assert!(matches!(search(decode_unbounded), Err(TestError::Fail(..))));
}

proptest! {
    #[test]
    fn forged_trailers_stay_inside_their_slab(trailer in trailer()) {
        let mut bytes = vec![0; TRAILER_BYTES as usize];
        trailer.encode(&mut bytes);
        if let Some(decoded) = Trailer::decode(&bytes, GEOMETRY, &UUID, SlabId(5)) {
            prop_assert_eq!(&decoded, &trailer);
            prop_assert!(decoded.meta_start + decoded.meta_bytes <= GEOMETRY.page_table_start());
            prop_assert!(u64::from(decoded.records) * RECORD_BYTES as u64 <= u64::from(decoded.meta_bytes));
        }
    }

    #[test]
    fn any_bytes_are_no_footer(bytes in prop::collection::vec(any::<u8>(), 0..200), trailer in trailer()) {
        prop_assert_eq!(Trailer::decode(&bytes, GEOMETRY, &UUID, SlabId(5)), None);
        // The checksum of the trailer is 0, which only the empty meta part has.
        prop_assert!(Meta::decode(&bytes, &trailer).is_none_or(|meta| meta.records.is_empty()));
    }
}
