//! Decoding of bytes that are right, wrong and random. What the kernel really sends is decoded in tests/changes.rs and
//! the other tests that mount.

use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::*;
use crate::sys::abi::{fuse_forget_one, fuse_rename2_in, fuse_setattr_in, fuse_write_in};

/// A request as the kernel lays it out.
fn message(opcode: u32, body: &[u8]) -> Vec<u8> {
    let header = fuse_in_header {
        len: (size_of::<fuse_in_header>() + body.len()) as u32,
        opcode,
        unique: 77,
        nodeid: 5,
        uid: 1000,
        gid: 100,
        pid: 42,
        ..fuse_in_header::default()
    };
    [header.as_bytes(), body].concat()
}

#[test]
fn a_request_shorter_than_its_header_is_truncated() {
    for length in 0..size_of::<fuse_in_header>() {
        assert_eq!(Request::decode(&vec![0xff; length]).err(), Some(DecodeError::Truncated));
    }
    let mut longer_than_read = message(1, b"name\0");
    longer_than_read.pop();
    assert_eq!(Request::decode(&longer_than_read).err(), Some(DecodeError::Truncated));
}

#[test]
fn the_header_says_who_asks() {
    let bytes = message(1, b"name\0");
    let request = Request::decode(&bytes).expect("a LOOKUP");
    assert_eq!(request.header, RequestHeader { unique: Unique(77), uid: 1000, gid: 100, pid: 42 });
    assert_eq!(request.node, NodeId(5));
    assert!(matches!(request.operation, Operation::Lookup { name } if name == "name"));
}

#[test]
fn an_unknown_opcode_is_answered() {
    let bytes = message(4000, b"");
    let expected = DecodeError::Unknown { unique: Unique(77), opcode: 4000 };
    assert_eq!(Request::decode(&bytes).err(), Some(expected));
}

#[test]
fn names_that_no_directory_can_hold_are_refused() {
    for body in [&b"\0"[..], b"a/b\0", b"no end", b""] {
        let bytes = message(1, body);
        let expected = DecodeError::Malformed { unique: Unique(77), opcode: Opcode::Lookup };
        assert_eq!(Request::decode(&bytes).err(), Some(expected), "{body:?}");
    }
}

#[test]
fn extensions_at_the_end_are_not_arguments() {
    let mut bytes = message(1, b"name\0...8bytes-");
    bytes[36..38].copy_from_slice(&1_u16.to_ne_bytes());
    assert!(matches!(Request::decode(&bytes).expect("a LOOKUP").operation, Operation::Lookup { .. }));
    bytes[36..38].copy_from_slice(&3_u16.to_ne_bytes());
    assert_eq!(Request::decode(&bytes).err(), Some(DecodeError::Truncated));
}

#[test]
fn a_batch_forget_gives_as_many_nodes_as_there_are() {
    let one = |nodeid, nlookup| fuse_forget_one { nodeid, nlookup };
    let nodes = [one(2, 1), one(3, 9)];
    // The count promises more than the message holds.
    let bytes = message(42, &[&[200, 0, 0, 0, 0, 0, 0, 0], nodes.as_bytes()].concat());
    match Request::decode(&bytes).expect("a BATCH_FORGET").operation {
        Operation::BatchForget(forgets) => {
            assert_eq!(forgets.collect::<Vec<_>>(), [(NodeId(2), 1), (NodeId(3), 9)]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn setattr_takes_what_is_valid_alone() {
    let args = fuse_setattr_in {
        // FATTR_SIZE | FATTR_ATIME | FATTR_ATIME_NOW | FATTR_MTIME
        valid: (1 << 3) | (1 << 4) | (1 << 7) | (1 << 5),
        size: 9,
        mode: 0o777,
        mtime: (-5_i64) as u64,
        mtimensec: 6,
        ..fuse_setattr_in::default()
    };
    let bytes = message(4, args.as_bytes());
    let expected = SetAttributes {
        size_bytes: Some(9),
        atime: Some(crate::types::SetTime::Now),
        mtime: Some(crate::types::SetTime::At(crate::Timestamp { seconds: -5, nanos: 6 })),
        ..SetAttributes::default()
    };
    match Request::decode(&bytes).expect("a SETATTR").operation {
        Operation::Change(Change::SetAttr(change)) => assert_eq!(change, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_write_with_less_data_than_it_says_is_refused() {
    let args = fuse_write_in { size: 5, ..fuse_write_in::default() };
    let short = message(16, &[args.as_bytes(), b"1234"].concat());
    assert!(matches!(Request::decode(&short), Err(DecodeError::Malformed { .. })));
    let whole = message(16, &[args.as_bytes(), b"12345"].concat());
    match Request::decode(&whole).expect("a WRITE").operation {
        Operation::Change(Change::Write { data, .. }) => assert_eq!(data, b"12345"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rename_has_two_names() {
    let args = fuse_rename2_in { newdir: 8, flags: libc::RENAME_EXCHANGE, padding: 0 };
    let bytes = message(45, &[args.as_bytes(), b"old\0new\0"].concat());
    match Request::decode(&bytes).expect("a RENAME2").operation {
        Operation::Change(Change::Rename { name, to, flags }) => {
            assert_eq!((name, to), (OsStr::new("old"), (NodeId(8), OsStr::new("new"))));
            assert!(flags.exchange() && !flags.no_replace());
        }
        other => panic!("{other:?}"),
    }
}

fn debug_length(value: &impl std::fmt::Debug) -> usize {
    format!("{value:?}").len()
}

proptest! {
    /// Any body under any opcode gives an operation or an error, and reading the operation stays inside the bytes.
    #[test]
    fn no_bytes_panic(opcode in 0_u32..64, body in proptest::collection::vec(any::<u8>(), 0..256)) {
        let bytes = message(opcode, &body);
        if let Ok(request) = Request::decode(&bytes) {
            if let Operation::BatchForget(forgets) = &request.operation {
                prop_assert!(forgets.clone().count() <= body.len() / size_of::<fuse_forget_one>());
            }
            // Formatting reads every name and every byte that the operation borrows.
            prop_assert_ne!(debug_length(&request), 0);
        }
    }

    #[test]
    fn no_raw_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        match Request::decode(&bytes) {
            Ok(request) => prop_assert_ne!(debug_length(&request), 0),
            Err(error) => prop_assert_ne!(debug_length(&error), 0),
        }
    }
}
