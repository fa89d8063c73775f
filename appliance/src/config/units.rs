//! Sizes and times as operators write and read them. The one owner of both directions.

use std::fmt;
use std::time::Duration;

const SIZE_UNITS: [(&str, u64); 11] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
];

const TIME_UNITS_MS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no size; a size is a whole number with a unit ({units}), such as 300GiB", units = SIZE_UNITS_TEXT)]
pub struct InvalidSize {
    text: String,
}

/// The text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no time; a time is a whole number with a unit ({units}), such as 30s", units = TIME_UNITS_TEXT)]
pub struct InvalidDuration {
    text: String,
}

/// The text is no bandwidth.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no bandwidth; a bandwidth is a size for each second, above none, such as 200MiB/s")]
pub struct InvalidRate {
    text: String,
}

/// The units of a size, for messages.
pub const SIZE_UNITS_TEXT: &str = "B, KiB, MiB, GiB, TiB, PiB, KB, MB, GB, TB, PB";
/// The units of a time, for messages.
pub const TIME_UNITS_TEXT: &str = "ms, s, m, h, d";

/// Bytes of `300GiB` (1024-based), `20GB` (1000-based) or `4096B`. The unit is required and its case counts.
pub fn parse_size(text: &str) -> Result<u64, InvalidSize> {
    parse(text, &SIZE_UNITS).ok_or_else(|| InvalidSize { text: text.to_owned() })
}

/// The time of `250ms`, `30s`, `5m`, `1h` or `7d`. The unit is required.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let millis = parse(text, &TIME_UNITS_MS).ok_or_else(|| InvalidDuration { text: text.to_owned() })?;
    Ok(Duration::from_millis(millis))
}

/// Bytes a second of `200MiB/s`; at least one.
pub fn parse_rate(text: &str) -> Result<u64, InvalidRate> {
    let rate = text.strip_suffix("/s").and_then(|size| parse_size(size).ok()).filter(|rate| *rate > 0);
    rate.ok_or_else(|| InvalidRate { text: text.to_owned() })
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start_matches(' ');
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Shows bytes with the largest 1024-based unit that leaves at least 1: `512MiB`, `1.5GiB`, `0B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeText(pub u64);

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |unit: &&(&str, u64)| self.0 >= unit.1;
        let (name, factor) = SIZE_UNITS[..6].iter().rev().find(fits).unwrap_or(&SIZE_UNITS[0]);
        let text = match self.0 % factor {
            0 => format!("{}{name}", self.0 / factor),
            _ => format!("{:.1}{name}", self.0 as f64 / *factor as f64),
        };
        f.pad(&text)
    }
}

/// Shows a time: in one unit where that is exact (`250ms`, `30s`, `5m`), else by its two leading units (`3h 12m`) or
/// tenths of a second; `{:#}` is always exact and can be parsed again (`90s`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationText(pub Duration);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let text = if f.alternate() { exact_duration_text(millis) } else { duration_text(millis) };
        f.pad(&text)
    }
}

fn exact_duration_text(millis: u64) -> String {
    let divides = |unit: &&(&str, u64)| millis.is_multiple_of(unit.1) && millis > 0;
    let (name, factor) = TIME_UNITS_MS.iter().rev().find(divides).unwrap_or(&TIME_UNITS_MS[1]);
    format!("{}{name}", millis / factor)
}

fn duration_text(millis: u64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    let place = TIME_UNITS_MS.iter().rposition(|(_, factor)| millis >= *factor).unwrap_or(0);
    let (name, factor) = TIME_UNITS_MS[place];
    let (whole, rest) = (millis / factor, millis % factor);
    if rest == 0 {
        return format!("{whole}{name}");
    }
    if name == "s" {
        return format!("{:.1}s", millis as f64 / 1000.0);
    }
    let (below, below_factor) = TIME_UNITS_MS[place - 1];
    match rest / below_factor {
        0 => format!("{whole}{name}"),
        second => format!("{whole}{name} {second}{below}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_unit_has_its_factor() {
        // IEC 80000-13 (binary) and SI (decimal) prefixes.
        let cases = [
            ("7B", 7),
            ("3KiB", 3_072),
            ("512MiB", 536_870_912),
            ("300GiB", 322_122_547_200),
            ("2TiB", 2_199_023_255_552),
            ("1PiB", 1_125_899_906_842_624),
            ("4KB", 4_000),
            ("5MB", 5_000_000),
            ("20GB", 20_000_000_000),
            ("6TB", 6_000_000_000_000),
            ("1PB", 1_000_000_000_000_000),
            ("1 GiB", 1_073_741_824),
            ("0B", 0),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert!(cases.len() > SIZE_UNITS.len());
        assert_eq!(SIZE_UNITS.map(|(name, _)| name).join(", "), SIZE_UNITS_TEXT);
    }

    #[test]
    fn every_time_unit_has_its_factor() {
        let cases =
            [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("7d", 604_800_000)];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(TIME_UNITS_MS.map(|(name, _)| name).join(", "), TIME_UNITS_TEXT);
    }

    #[test]
    fn what_is_no_size_or_time_is_refused_with_the_allowed_form() {
        for text in ["", "10", "GiB", "1.5GiB", "-1GiB", "10gib", "10 Gb", "99999999PiB", "10GiB!", "+3B"] {
            let message = parse_size(text).expect_err(text).to_string();
            assert!(message.contains(SIZE_UNITS_TEXT) && message.contains("300GiB"), "{message}");
        }
        for text in ["", "30", "s", "30 sec", "1.5s", "-3s", "30S", "99999999999999999999d"] {
            let message = parse_duration(text).expect_err(text).to_string();
            assert!(message.contains(TIME_UNITS_TEXT), "{message}");
        }
    }

    #[test]
    fn sizes_are_shown_as_they_are_written() {
        for text in ["0B", "1023B", "1KiB", "512MiB", "300GiB", "1PiB"] {
            assert_eq!(SizeText(parse_size(text).expect(text)).to_string(), text);
        }
        assert_eq!(SizeText(1536 << 20).to_string(), "1.5GiB");
        assert_eq!(format!("{:>8}|", SizeText(1 << 20)), "    1MiB|");
    }

    #[test]
    fn times_are_shown_short() {
        let shown = |millis| DurationText(Duration::from_millis(millis)).to_string();
        let cases = [(0, "0s"), (250, "250ms"), (30_000, "30s"), (1_500, "1.5s"), (90_000, "1m 30s")];
        for (millis, text) in cases {
            assert_eq!(shown(millis), text);
        }
        assert_eq!(shown(3_600_000 + 59_000), "1h");
        assert_eq!(shown(2 * 86_400_000 + 3 * 3_600_000 + 5), "2d 3h");
        for text in ["0s", "90s", "250ms", "36h", "5m"] {
            assert_eq!(format!("{:#}", DurationText(parse_duration(text).expect(text))), text);
        }
    }
}
