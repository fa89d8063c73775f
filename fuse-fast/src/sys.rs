//! Everything that touches the kernel's binary interface: message layouts, system calls and ioctls.

pub(crate) mod abi;
pub(crate) mod arena;
pub(crate) mod buffer;
pub(crate) mod child;
pub(crate) mod device;
pub(crate) mod encode;
pub(crate) mod ring;
pub(crate) mod unattached;
pub(crate) mod wake;
