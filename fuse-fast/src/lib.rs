//! A FUSE transport.
