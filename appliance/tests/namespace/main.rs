//! The namespace against stores: what names are shown, how long they are believed, what the kernel is told.
//!
//! The stores are a map in memory with fault knobs ([`memory_store`]), a directory, and an S3 server in process.

mod below;
mod changes;
mod consistency;
mod listings;
mod lookups;
mod memory_store;
mod model;
mod mount;
mod names;
mod real_stores;
mod restarts;
mod trees;
