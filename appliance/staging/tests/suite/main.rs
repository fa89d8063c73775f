//! What the staged tree promises, on a simulated disk and on a real one.

mod crash;
mod data;
mod limits;
mod names;
mod publishing;
mod recovery;
mod store_model;
mod support;
