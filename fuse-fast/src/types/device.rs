//! Reads that a transport carries out for a file system.

use std::os::fd::BorrowedFd;

/// A file or block device that answers are read from. The descriptor decides about `O_DIRECT`.
#[derive(Debug, Clone, Copy)]
pub struct Device<'a> {
    /// Where to read.
    pub file: BorrowedFd<'a>,
    /// Unit of offsets and lengths there; a read that ends early goes on at a multiple of it.
    pub unit_bytes: u32,
}

/// Place of a device in [`FileSystem::devices`](crate::FileSystem::devices).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceIndex(pub u16);

/// One read from a device into the buffer of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRead {
    /// Where from.
    pub device: DeviceIndex,
    /// First byte on the device.
    pub offset: u64,
    /// Bytes.
    pub length: usize,
    /// First byte in the buffer.
    pub position: usize,
}

/// Names device reads to the file system that started them; its own choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadToken(pub u64);
