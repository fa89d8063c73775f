//! [`Transport`]: how the kernel's requests reach a mount.

use std::fmt;
use std::str::FromStr;

use fuse_fast::session;

/// How the kernel's requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over io_uring where the kernel offers it, else through /dev/fuse.
    Auto,
    /// Over io_uring, or the mount fails.
    Uring,
    /// Through /dev/fuse.
    Dev,
}

/// The text is none of the three.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not one of {allowed}", allowed = Transport::ALLOWED)]
pub struct InvalidTransport {
    text: String,
}

impl Transport {
    /// The values, for messages.
    pub const ALLOWED: &str = "auto, uring, dev";
    /// What a mount has when nothing is said.
    pub const DEFAULT: Self = Self::Auto;
}

impl FromStr for Transport {
    type Err = InvalidTransport;

    fn from_str(text: &str) -> Result<Self, InvalidTransport> {
        match text {
            "auto" => Ok(Self::Auto),
            "uring" => Ok(Self::Uring),
            "dev" => Ok(Self::Dev),
            _ => Err(InvalidTransport { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Dev => "dev",
        })
    }
}

impl From<Transport> for session::Transport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Auto => Self::Auto,
            Transport::Uring => Self::Ring,
            Transport::Dev => Self::Device,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_shown_alike() {
        for transport in [Transport::Auto, Transport::Uring, Transport::Dev] {
            assert_eq!(transport.to_string().parse(), Ok(transport));
        }
        let message = "io_uring".parse::<Transport>().expect_err("no such value").to_string();
        assert_eq!(message, "\"io_uring\" is not one of auto, uring, dev");
    }
}
