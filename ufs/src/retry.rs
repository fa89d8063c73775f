//! Time limits and retries around any store.

mod limits;

pub use limits::Limits;
