//! What kernel and file system agree on when the connection starts (the INIT request).
//!
//! Every capability of the protocol is one row of a table with the decision and its reason, for operators to read:
//! a capability that is not used says why.

mod info;
mod table;

pub use info::{CapabilityRow, ConnectionInfo, ProtocolVersion};
pub use table::{Capability, Decision};
