//! Storage in memory with a known size.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use crate::namespace::error::DatabaseError;

/// How much memory a database in memory takes, and may take.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    bytes: Arc<AtomicU64>,
    limit_bytes: u64,
}

impl Usage {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self { bytes: Arc::default(), limit_bytes }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn check(&self) -> Result<(), DatabaseError> {
        if self.bytes() > self.limit_bytes {
            return Err(DatabaseError::OutOfMemory { limit_bytes: self.limit_bytes });
        }
        Ok(())
    }
}

/// redb's storage in memory, counted.
#[derive(Debug)]
pub(super) struct CountedMemory {
    memory: InMemoryBackend,
    usage: Usage,
}

impl CountedMemory {
    pub(super) fn new(usage: Usage) -> Self {
        Self { memory: InMemoryBackend::new(), usage }
    }
}

impl StorageBackend for CountedMemory {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.usage.bytes.store(len, Ordering::Relaxed);
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}
