//! [`Consistency`]: how long a mount believes what it knows of names and attributes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::units::{self, DurationText};

/// When a mount asks its stores again for what it already knows. Data never mixes versions in any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// The stores never change: nothing is asked again but by `forebay sync`.
    Immutable,
    /// Names, attributes and the absence of names are believed for this long.
    Ttl(Duration),
    /// Every open and lookup asks the store.
    Strict,
}

/// The text is none of the three forms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not one of {allowed}", allowed = Consistency::ALLOWED)]
pub struct InvalidConsistency {
    text: String,
}

impl Consistency {
    /// The forms, for messages.
    pub const ALLOWED: &str = "immutable, ttl=TIME (such as ttl=30s), strict";
    /// What a mount has when nothing is said.
    pub const DEFAULT: Self = Self::Ttl(Duration::from_secs(30));
}

impl FromStr for Consistency {
    type Err = InvalidConsistency;

    fn from_str(text: &str) -> Result<Self, InvalidConsistency> {
        let invalid = || InvalidConsistency { text: text.to_owned() };
        match text {
            "immutable" => Ok(Self::Immutable),
            "strict" => Ok(Self::Strict),
            _ => {
                let time = text.strip_prefix("ttl").and_then(|rest| rest.trim_start().strip_prefix('='));
                let ttl =
                    units::parse_duration(time.ok_or_else(invalid)?.trim_start()).map_err(|_| invalid())?;
                Ok(Self::Ttl(ttl))
            }
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Immutable => f.write_str("immutable"),
            Self::Ttl(ttl) => write!(f, "ttl={:#}", DurationText(*ttl)),
            Self::Strict => f.write_str("strict"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_and_shown_alike() {
        let cases = [
            ("immutable", Consistency::Immutable),
            ("strict", Consistency::Strict),
            ("ttl=30s", Consistency::Ttl(Duration::from_secs(30))),
            ("ttl=250ms", Consistency::Ttl(Duration::from_millis(250))),
            ("ttl=90s", Consistency::Ttl(Duration::from_secs(90))),
        ];
        for (text, consistency) in cases {
            assert_eq!(text.parse(), Ok(consistency));
            assert_eq!(consistency.to_string(), text);
        }
        assert_eq!("ttl = 5m".parse(), Ok(Consistency::Ttl(Duration::from_secs(300))));
    }

    #[test]
    fn other_texts_are_refused_with_the_forms() {
        for text in ["", "ttl", "ttl=", "ttl=30", "Strict", "immutable ", "ttl30s"] {
            let message = text.parse::<Consistency>().expect_err(text).to_string();
            assert!(message.contains("immutable, ttl="), "{message}");
        }
    }
}
