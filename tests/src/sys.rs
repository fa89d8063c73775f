//! System calls that the standard library does not have.

mod ext4;
mod file_map;
mod xattr;

pub(crate) use ext4::shut_down_ext4;
pub use file_map::FileMap;
pub use xattr::{remove_xattr, set_xattr, xattr};
