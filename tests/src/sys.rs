//! System calls that the standard library does not have.

mod ext4;
mod file_map;

pub(crate) use ext4::shut_down_ext4;
pub use file_map::FileMap;
