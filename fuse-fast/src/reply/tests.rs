//! Replies against a responder that writes down what arrives.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::types::{DirHandle, DirOffset, FileKind, NodeId, ReadDirArgs};

/// Answers in the order of their arrival.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Responder for Log {
    fn answer(&self, request: Unique, answer: &Answer<'_>) {
        let text = match answer {
            Answer::Data(parts) => format!("data {:?}", parts.concat()),
            Answer::Listing(listing) => format!("listing of {} bytes", listing.bytes().len()),
            other => format!("{other:?}"),
        };
        self.0.lock().push(format!("{} {text}", request.0));
    }

    fn dropped(&self, request: Unique) {
        self.0.lock().push(format!("{} dropped", request.0));
    }
}

trait Concat {
    fn concat(&self) -> String;
}

impl Concat for [std::io::IoSlice<'_>] {
    fn concat(&self) -> String {
        let bytes: Vec<u8> = self.iter().flat_map(|part| part.iter().copied()).collect();
        String::from_utf8(bytes).expect("text")
    }
}

fn logged(act: impl FnOnce(Arc<dyn Responder>)) -> Vec<String> {
    let log = Arc::new(Log::default());
    act(Arc::<Log>::clone(&log));
    std::mem::take(&mut *log.0.lock())
}

#[test]
fn a_reply_arrives_once() {
    let arrived = logged(|responder| {
        Reply::<()>::new(Unique(1), Arc::clone(&responder)).ok(());
        Reply::<()>::new(Unique(2), Arc::clone(&responder)).error(Errno::ENOSPC);
        Reply::<()>::new(Unique(3), Arc::clone(&responder)).result(Err(Errno::EINTR));
        drop(Reply::<()>::new(Unique(4), Arc::clone(&responder)));
        let reply = ReplyData::new(Unique(5), responder);
        std::thread::spawn(move || reply.bytes(b"abc")).join().expect("no panic");
    });
    assert_eq!(arrived, ["1 Done", "2 Error(ENOSPC)", "3 Error(EINTR)", "4 dropped", "5 data \"abc\""]);
}

#[test]
fn a_reply_that_unwinds_is_dropped() {
    let arrived = logged(|responder| {
        let reply = Reply::<()>::new(Unique(9), responder);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _reply = reply;
            panic!("planted");
        }));
        assert!(result.is_err());
    });
    assert_eq!(arrived, ["9 dropped"]);
}

/// getxattr(2): size 0 asks for the length, too little room is ERANGE.
#[test]
fn extended_attributes_fit_or_do_not() {
    let answer = |room| {
        logged(|responder| ReplyXattr::new(Unique(1), responder, room).value(b"value"))
            .pop()
            .expect("one answer")
    };
    assert_eq!(answer(0), "1 XattrSize(5)");
    assert_eq!(answer(4), "1 Error(ERANGE)");
    assert_eq!(answer(5), "1 data \"value\"");
    assert_eq!(answer(100), "1 data \"value\"");
}

fn directory(size_bytes: u32, plus: bool) -> ReplyDirectory {
    let args =
        ReadDirArgs { node: NodeId::ROOT, handle: DirHandle(0), offset: DirOffset(0), size_bytes, plus };
    ReplyDirectory::new(Unique(1), Arc::new(Log::default()), &args)
}

fn record(name: &str) -> DirRecord<'_> {
    DirRecord { ino: 7, next: DirOffset(1), kind: FileKind::Regular, name: OsStr::new(name), entry: None }
}

/// FUSE_DIRENT_SIZE of linux/fuse.h: 24 bytes and the name, to a multiple of 8.
#[test]
fn entries_fill_the_room_that_there_is() {
    let mut exact = directory(32 + 40, false);
    assert_eq!(exact.add(&record("12345678")), Added::Name);
    assert_eq!(exact.add(&record("123456789")), Added::Name);
    assert_eq!(exact.add(&record("1")), Added::Full);
    let mut short = directory(32 + 39, false);
    assert_eq!(short.add(&record("12345678")), Added::Name);
    assert_eq!(short.add(&record("123456789")), Added::Full);
    // FUSE_DIRENTPLUS_SIZE: 128 bytes more.
    let mut plus = directory(128 + 32, true);
    assert_eq!(plus.add(&record("a")), Added::Name);
    assert_eq!(plus.add(&record("a")), Added::Full);
}

#[test]
fn the_first_entry_has_the_bytes_of_the_header() {
    let mut reply = directory(4096, false);
    assert_eq!(reply.add(&record("ab")), Added::Name);
    let mut expected = Vec::new();
    expected.extend_from_slice(&7_u64.to_ne_bytes());
    expected.extend_from_slice(&1_u64.to_ne_bytes());
    expected.extend_from_slice(&2_u32.to_ne_bytes());
    // DT_REG is 8.
    expected.extend_from_slice(&8_u32.to_ne_bytes());
    expected.extend_from_slice(b"ab\0\0\0\0\0\0");
    assert_eq!(reply.listing.bytes(), expected);
}

#[test]
fn entries_with_attributes_take_a_reference_each() {
    let attributes = crate::Attributes {
        ino: 5,
        size_bytes: 0,
        blocks_512: 0,
        atime: crate::Timestamp::default(),
        mtime: crate::Timestamp::default(),
        ctime: crate::Timestamp::default(),
        kind: FileKind::Regular,
        permissions: 0o644,
        links: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        block_size_bytes: 512,
        valid: Duration::ZERO,
    };
    let entry = crate::Entry::new(NodeId(5), attributes, Duration::ZERO);
    let absent = crate::Entry::negative(Duration::ZERO);
    let mut plus = directory(4096, true);
    assert_eq!(plus.add(&DirRecord { entry: Some(&entry), ..record("a") }), Added::Reference);
    assert_eq!(plus.add(&DirRecord { entry: Some(&absent), ..record("a") }), Added::Name);
    let mut plain = directory(4096, false);
    assert_eq!(plain.add(&DirRecord { entry: Some(&entry), ..record("a") }), Added::Name);
}

proptest! {
    /// What was added is read back, whole and in order, and never exceeds the room.
    #[test]
    fn listings_read_back(
        names in proptest::collection::vec("[a-z]{1,40}", 0..60), size in 0_u32..3000, plus in any::<bool>(),
    ) {
        let mut reply = directory(size, plus);
        let fitting: Vec<&String> = names.iter().take_while(|name| reply.add(&record(name)) == Added::Name).collect();
        prop_assert!(reply.listing.bytes().len() <= size as usize);
        let read_back: Vec<String> =
            reply.listing.records().map(|record| record.name.to_string_lossy().into_owned()).collect();
        prop_assert_eq!(read_back.iter().collect::<Vec<_>>(), fitting);
    }
}
