//! What all scenarios stand on: the daemon and the S3 server as processes, readers, measuring and reports.

pub(crate) mod daemon;
pub(crate) mod fileset;
pub(crate) mod fuser_mirror;
pub(crate) mod interrupt;
pub(crate) mod machine;
pub(crate) mod mountinfo;
pub(crate) mod plain_client;
pub(crate) mod readers;
pub(crate) mod report;
pub(crate) mod server_process;
pub(crate) mod sys;
pub(crate) mod uploader;
pub(crate) mod workdir;
