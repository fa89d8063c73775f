//! `s3://`: S3, Ceph RGW and kin.

mod settings;

pub use settings::{Credentials, Settings};
