//! Suites of the slab store: promises, crashes, faults, a model, and opening.

#![allow(clippy::unwrap_used, reason = "what tests share unwraps as tests do")]

mod crash;
mod faults;
mod model;
mod opening;
mod planned;
mod store;
mod support;
