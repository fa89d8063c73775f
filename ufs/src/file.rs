//! `file://`: a local or NFS directory.
