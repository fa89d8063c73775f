//! [`Fields`]: a cursor over the arguments of a request.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::sys::abi::fuse_forget_one;
use crate::types::NodeId;

/// What is left of the arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    /// The first struct, where the transport keeps it apart.
    first: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(first: &'a [u8], rest: &'a [u8]) -> Fields<'a> {
        Fields { first, rest }
    }

    /// The next struct.
    pub(crate) fn take<T: FromBytes + KnownLayout + Immutable>(&mut self) -> Option<T> {
        let from = if self.first.is_empty() { &mut self.rest } else { &mut self.first };
        let (value, rest) = T::read_from_prefix(from).ok()?;
        *from = rest;
        Some(value)
    }

    /// The next `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    /// The bytes up to the next NUL, which goes too.
    pub(crate) fn text(&mut self) -> Option<&'a OsStr> {
        let end = self.rest.iter().position(|&byte| byte == 0)?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        Some(OsStr::from_bytes(text))
    }

    /// The name of a directory entry: text that is not empty and has no `/`.
    pub(crate) fn name(&mut self) -> Option<&'a OsStr> {
        self.text().filter(|name| !name.is_empty() && !name.as_bytes().contains(&b'/'))
    }
}

/// The nodes of a BATCH_FORGET, as many as really are there.
#[derive(Debug, Clone)]
pub(crate) struct Forgets<'a> {
    left: u32,
    fields: Fields<'a>,
}

impl<'a> Forgets<'a> {
    pub(super) fn new(count: u32, fields: Fields<'a>) -> Forgets<'a> {
        Forgets { left: count, fields }
    }
}

impl Iterator for Forgets<'_> {
    type Item = (NodeId, u64);

    fn next(&mut self) -> Option<(NodeId, u64)> {
        self.left = self.left.checked_sub(1)?;
        let one: fuse_forget_one = self.fields.take()?;
        Some((NodeId(one.nodeid), one.nlookup))
    }
}
