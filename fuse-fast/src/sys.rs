//! Everything that touches the kernel's binary interface: message layouts, system calls and ioctls.

pub(crate) mod abi;
pub(crate) mod encode;
