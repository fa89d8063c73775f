//! A FUSE transport for Linux: mount, session, wire types and notifications, without libfuse.
//!
//! Job: carry the requests of one mount from the kernel to a [`FileSystem`] and its answers back, at the least cost.
//!
//! Parts: [`types`] and [`fs`] are what a file system is written against and say nothing of a transport;
//! [`reply`] are the handles that answer a request, from any thread and exactly once; [`mount`](mod@mount) attaches a mount
//! point; [`session`] runs the threads that read `/dev/fuse`; [`negotiate`] decides about each capability of the
//! kernel; [`notify`] tells the kernel what to forget.
//!
//! Flow: [`mount::mount`] gives a [`FuseDevice`](mount::FuseDevice), [`Session::start`](session::Session::start) agrees
//! with the kernel on the protocol and starts the threads, each request is decoded, dispatched to a method of
//! [`FileSystem`] together with its reply, and the reply writes the answer to the descriptor that the request came from.
//!
//! Trade: the session is our own and not the one of a library, which costs this crate and buys control over
//! descriptors, buffers and threads that io_uring, passthrough and a restart under a living mount need.
//!
//! Protocol 7.31 (Linux 5.4) or newer is required, up to 7.45 (Linux 6.18) is understood.

pub mod fs;
pub mod mount;
pub mod negotiate;
pub mod notify;
pub mod passthrough;
pub mod reply;
pub mod session;
pub mod types;

mod decode;
mod sys;

pub use fs::FileSystem;
pub use types::{
    Attributes, DirHandle, DirOffset, Entry, Errno, FileHandle, FileKind, NodeId, Opened, OpenedDir,
    OpenedFlags, ReadArgs, ReadDirArgs, RequestHeader, StatFs, Timestamp, Unique,
};
