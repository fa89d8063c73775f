//! The harness of the end-to-end tests: real mounts of real stores, driven as a user drives them.
//!
//! Parts: [`Setup`] describes a daemon (mounts, cache, settings) and owns its directories; [`Daemon`] is the running
//! `forebay` process, whose end leaves nothing behind; [`S3`] is an S3 server in this process, [`SharedStore`] any store
//! that a whole tree can be put into; [`Tree`] is a generated dataset with its expected bytes; [`mod@run`] runs a program
//! with a deadline, so that a mount that hangs fails a test instead of stopping it.
//!
//! Flow: a test puts objects into a store, starts a daemon, reads through the mount with ordinary system calls, and
//! compares with what was put and with what the server counted. A daemon that outlives its test's time limit is
//! killed, which ends every read that hangs.
//!
//! Nothing here knows the daemon's code: the command line, the configuration file and the JSON of `status` are the
//! whole interface, so the tests hold for any build of it.

mod binary;
mod cut_disk;
mod daemon;
mod loop_device;
mod mounts;
mod reading;
mod requirements;
mod run;
mod setup;
mod shared_store;
mod store;
mod sys;
mod tree;
mod wait;
mod watchdog;

pub use binary::forebay;
pub use cut_disk::{CutDisk, Survivors, Trigger};
pub use daemon::Daemon;
pub use loop_device::{Disk, LoopDevice};
pub use mounts::{detach, mounted_at};
pub use reading::{Access, DirectBuffer, open, read_range, read_whole};
pub use requirements::{missing_fuse, missing_loop_devices, missing_passthrough, missing_program, skip};
pub use run::{Finished, run};
pub use s3_server::{Knobs, Operation, Stats, SyntheticObject, synthetic_bytes, synthetic_difference};
pub use setup::Setup;
pub use shared_store::SharedStore;
pub use store::S3;
pub use sys::{FileMap, remove_xattr, set_xattr, xattr};
pub use tree::{Tree, TreeFile};
pub use wait::{eventually, settled};

/// Mebibytes in bytes.
pub const MIB: u64 = 1 << 20;

/// Ends a test with a SKIP line (a failure with FOREBAY_NO_SKIP=1) when one of the given checks names something that
/// is missing: `require!(missing_fuse(), missing_program("fio"))`.
#[macro_export]
macro_rules! require {
    ($($missing:expr),+ $(,)?) => {
        $(if let Some(reason) = $missing {
            $crate::skip(&reason);
            return;
        })+
    };
}
