//! Write-back from a staged tree to a real store in this process: what the store shows at each moment, what is sent, and what
//! happens when the store says no.

mod conflicts;
mod failures;
mod large;
mod order;
mod rig;
