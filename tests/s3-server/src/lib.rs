//! An S3 server in process, with fault knobs, for tests, the demo and benchmarks.
//!
//! The protocol (routing, XML, SigV4) is the `s3s` crate; this crate is the store behind it and the connection in
//! front of it:
//!
//! - [`Server`] accepts connections, counts each request ([`Stats`]) and draws its fault ([`Faults`]);
//! - `api` answers the S3 operations from `store`, an ordered map of immutable versions for each bucket;
//! - `synthetic` makes objects of any size from a seed; [`Frames`] is a dataset of them.
//!
//! Conditional requests, ranges, list order and multipart ETags are as Amazon documents them, and a GET serves one
//! version whole however often the key is replaced meanwhile. All is in memory and gone at the end; versioned buckets,
//! ACLs, encryption and the rest of S3 are absent.

mod access;
mod api;
mod dataset;
mod faults;
mod server;
mod stats;
mod store;
mod synthetic;

pub use dataset::{Frame, Frames};
pub use faults::{Faults, Knobs};
pub use server::{Options, Server};
pub use stats::{Operation, Stats};
pub use store::Change;
pub use synthetic::{SyntheticObject, synthetic_bytes, synthetic_difference, synthetic_fill};
