//! The first failure after which nothing is believed any more.

use std::io;
use std::sync::OnceLock;

use crate::error::StageError;

#[derive(Debug, Default)]
pub(crate) struct Poison {
    cause: OnceLock<Box<str>>,
}

impl Poison {
    /// Refuses from now on. Only the first cause is kept; it is logged here, once.
    pub(crate) fn set(&self, action: &'static str, source: &io::Error) {
        let cause = format!("{action}: {source}").into_boxed_str();
        if self.cause.set(cause).is_ok() {
            tracing::error!(
                action,
                error = %source,
                "the staging directory is not trusted any more: writes are refused until a restart"
            );
        }
    }

    /// Fails when poisoned.
    pub(crate) fn check(&self) -> Result<(), StageError> {
        self.cause().map_or(Ok(()), |cause| Err(StageError::Poisoned { cause: cause.into() }))
    }

    /// What failed first.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.get().map(AsRef::as_ref)
    }
}
