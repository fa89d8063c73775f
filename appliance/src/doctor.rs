//! `forebay doctor`: looks at the host before a user has to.
//!
//! Each part returns [`Finding`]s: [`kernel`] (versions, FUSE, io_uring), [`limits`] (rlimits), [`mounts`] (dead mounts),
//! and with a configuration [`cache`] (where the slabs go), [`index`] (whether memory is enough for it) and [`stores`] (reachable, how fast, clocks). A check looks
//! at the thing itself where it can: it opens /dev/fuse, asks for a ring, writes a file, lists a store. Everything is
//! bounded in time, so that doctor ends on the very hosts that it is for.

mod cache;
mod clock;
mod index;
mod kernel;
mod limits;
mod mounts;
mod stores;
mod sys;

pub(crate) use index::OBJECT_BYTES_USUAL;
use serde::Serialize;

use crate::config::Config;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but slower or with less than it could have.
    Warn,
    /// Forebay cannot work like this.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, such as `/dev/fuse`.
    pub check: String,
    /// How it is.
    pub level: Level,
    /// What was seen.
    pub found: String,
    /// What to do; empty when nothing is to be done.
    pub fix: String,
}

impl Finding {
    fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Ok, found: found.into(), fix: String::new() }
    }

    fn warn(check: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Warn, found: found.into(), fix: fix.into() }
    }

    fn fail(check: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Fail, found: found.into(), fix: fix.into() }
    }
}

/// Looks at everything; the cache and the stores only where a configuration names them.
pub async fn examine(config: Option<&Config>) -> Vec<Finding> {
    let mut findings = kernel::examine();
    findings.extend(limits::examine());
    findings.push(clock::examine());
    findings.extend(mounts::examine().await);
    if let Some(config) = config {
        findings.extend(config.cache.iter().flat_map(cache::examine));
        findings.extend(config.cache.iter().map(|cache| index::examine(cache, config.memory_bytes)));
        findings.extend(stores::examine(config).await);
    }
    findings
}
