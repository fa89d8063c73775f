//! Ranged reads, bound to a version by `fstat` before and after every chunk.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::{Bytes, BytesMut};
use futures::stream::{once, try_unfold};
use futures::{StreamExt, future};
use nix::sys::stat::fstat;

use super::FileStore;
use super::root::{Root, version};
use crate::{Body, ByteRange, Key, Result, Version};

/// One unit on the blocking pool: long enough that the hop (about 10 us) does not count.
const CHUNK_BYTES: u64 = 1 << 20;

/// An open file and what is still to be read of it.
struct Reader {
    file: File,
    key: Key,
    version: Version,
    left: ByteRange,
}

/// The first chunk is read together with the open, so that a small file costs one unit.
pub(super) async fn open(
    store: &FileStore,
    key: Key,
    wanted: Option<Version>,
    range: ByteRange,
) -> Result<Body> {
    let opened = store.run(move |shared| {
        let mut reader = Reader::open(&shared.root, key, wanted, range)?;
        let first = reader.next_chunk(&shared.root)?;
        Ok((reader, first))
    });
    let (reader, first) = opened.await?;
    let rest = try_unfold((store.clone(), reader), |(store, mut reader)| async move {
        if reader.left.is_empty() {
            return Ok(None);
        }
        let read = store.run(move |shared| {
            let chunk = reader.next_chunk(&shared.root)?;
            Ok((reader, chunk))
        });
        let (reader, chunk) = read.await?;
        Ok(Some((chunk, (store, reader))))
    });
    Ok(once(future::ready(Ok(first))).chain(rest).boxed())
}

impl Reader {
    fn open(root: &Root, key: Key, wanted: Option<Version>, range: ByteRange) -> Result<Self> {
        let (file, stat) = root.open_range(&key, wanted.as_ref(), range)?;
        Ok(Self { file, key, version: version(&stat), left: range })
    }

    fn next_chunk(&mut self, root: &Root) -> Result<Bytes> {
        let len = usize::try_from(self.left.len().min(CHUNK_BYTES)).expect("a MiB fits");
        let mut chunk = BytesMut::zeroed(len);
        let read = self.file.read_exact_at(&mut chunk, self.left.start);
        let stat = fstat(&self.file).map_err(|errno| root.error(&self.key, errno))?;
        // Looked at first: a file that was cut short in between is a changed one, not a broken one.
        if version(&stat) != self.version {
            return Err(root.changed(&self.key, &self.version));
        }
        read.map_err(|error| root.io_error(&self.key, error))?;
        self.left.start += len as u64;
        Ok(chunk.freeze())
    }
}
