//! Write-back: turns the publish events of a mount's staged tree into calls of its stores.
//!
//! Parts: the `scheduler` gives due events to workers; `put` and `remove` carry one out, with `parts` (what is sent and what is
//! copied inside the store), `multipart` (sending it), `content` (reading it off the disk) and `reconcile` (the store has
//! something else than expected). `upload_log` remembers unfinished uploads over a crash, `failures` what goes wrong,
//! `pacer` keeps to a bandwidth, `flush` waits, `kept` gives up copies. [`Settings`] are the keys of `[writeback]`.
//!
//! Flow of a put, and the states that its file goes through:
//!
//! ```text
//! event due -> taken -> begin_upload (the file is synced: local) -> parts go out (uploading)
//!     -> its turn (all earlier related events are published) -> PUT or Complete, bound to what was there
//!     -> names know the new version -> staged tree knows it (remote)
//! ```
//!
//! A large file is taken as soon as its delay is over, since its parts show nothing; everything else when it is its turn.
//! A worker never holds memory or a place among the transfers while it waits for its turn. What fails is given back and
//! tried again for ever, with growing pauses; dirty data stays where it is.
//!
//! The trade: within one tree one request follows the other, because a store knows no order but that of its answers. After a
//! crash in the moment between the store's answer and the record
//! of it, a large file is sent again; which object is ours is told by [`ufs::Attributes::write_id`].

mod below;
mod content;
mod disk_threads;
mod engine;
mod failures;
mod flush;
mod kept;
mod multipart;
mod pacer;
mod parts;
mod put;
mod reconcile;
mod remove;
mod scheduler;
mod settings;
mod transfers;
mod upload_log;

pub use below::Below;
pub use engine::{Delays, Options, StartError, Writeback};
pub use flush::{FlushProgress, FlushRequest};
pub use settings::{Rule, Settings, SyncOnClose};
