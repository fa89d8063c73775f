//! Everything that touches the kernel's binary interface: message layouts, system calls and ioctls.

pub(crate) mod abi;
pub(crate) mod buffer;
pub(crate) mod child;
pub(crate) mod device;
pub(crate) mod encode;
