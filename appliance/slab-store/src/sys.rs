//! All unsafe code of the crate: aligned buffers, the ring, and what std and nix do not wrap.
//!
//! A buffer that the kernel may still touch belongs to the ring until its completion was reaped; dropping a ring waits
//! for what is in flight.

mod aligned;
mod ring;
mod statx;

pub use aligned::AlignedBuf;
pub(crate) use ring::RingQueue;
pub(crate) use statx::direct_io_alignment;
