//! Decoding of bytes that are wrong.

use super::*;

#[test]
fn a_request_shorter_than_its_header_is_truncated() {
    for length in 0..size_of::<fuse_in_header>() {
        assert_eq!(Request::decode(&vec![0xff; length]).err(), Some(DecodeError::Truncated));
    }
}
