//! The Forebay daemon: mounts stores as local files and keeps what is read on the node's NVMe.
//!
//! [`daemon`] puts the parts together. A request comes in through [`filesystem`], is resolved by [`namespace`], is
//! served by [`read_path`] from the [`cache`], and what is missing is fetched by [`movers`] within the budget of
//! [`memory`]. On a read-write mount [`overlay`] lays what was written here over the namespace. [`config`], [`cli`] and
//! [`control`] are what the operator sees.

pub mod cache;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod doctor;
pub mod errno;
pub mod filesystem;
pub mod memory;
pub mod movers;
pub mod namespace;
pub mod object;
pub mod overlay;
pub mod read_path;
pub mod status;
pub mod store;
pub mod warm;
pub mod writeback;
