//! [`PassthroughMode`].

use std::str::FromStr;

/// Whether large complete files are read by the kernel itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PassthroughMode {
    /// Where the kernel and the cache directory allow it.
    #[default]
    Auto,
    /// Never: everything lies in slabs.
    Off,
}

/// The text is neither `auto` nor `off`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no way to pass through; write auto or off")]
pub struct InvalidPassthroughMode {
    text: String,
}

impl FromStr for PassthroughMode {
    type Err = InvalidPassthroughMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => Err(InvalidPassthroughMode { text: text.to_owned() }),
        }
    }
}
