//! [`Settings`]: when changes are sent, and how much at a time.

use std::sync::Arc;
use std::time::Duration;

use globset::GlobMatcher;
use staging::{Delay, DelayRule};

use super::transfers::Sent;

/// A change that does not come to rest is published after this.
const SMALL_AT_MOST: Duration = Duration::from_secs(60);
const LARGE_AT_MOST: Duration = Duration::from_secs(600);
/// A file that stays open is sent again after its period while that costs at most a third of its size, and after this many
/// periods whatever it costs: so a log is not sent more than twice in all, and never gets old.
const PERIODS_MAX: u32 = 10;
const RESEND_SHARE: u64 = 3;

/// What a close waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncOnClose {
    /// Nothing: the file is sent in the background.
    #[default]
    No,
    /// The file is on this host's disk.
    Local,
    /// The store has confirmed it.
    Remote,
}

/// Settings of one mount's write-back.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Pause after the last change of a file of at least `small_file_bytes`.
    pub delay_large: Duration,
    /// Pause after the last change of a smaller one.
    pub delay_small: Duration,
    /// Where large begins.
    pub small_file_bytes: u64,
    /// How often a small file that stays open is sent.
    pub period: Duration,
    /// Length of the parts of an upload; a file of one part is put whole.
    pub part_bytes: u64,
    /// Parts and files on their way to one store at a time.
    pub uploads_max: usize,
    /// Bytes a second to all stores of the mount; `None` is no limit.
    pub bandwidth_bytes: Option<u64>,
    /// Bytes in the staging directory that the stores have too.
    pub kept_limit_bytes: u64,
    /// What a close waits for.
    pub sync_on_close: SyncOnClose,
    /// The first that matches holds.
    pub rules: Vec<Rule>,
}

/// Other settings for some paths.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Paths inside the mount.
    pub paths: GlobMatcher,
    /// In place of `delay_large` and `delay_small`.
    pub delay: Option<Duration>,
    /// In place of `period`, and for large files too.
    pub period: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay_large: Duration::from_secs(2),
            delay_small: Duration::from_secs(10),
            small_file_bytes: 16 << 20,
            period: Duration::from_secs(10),
            part_bytes: 16 << 20,
            uploads_max: 8,
            bandwidth_bytes: None,
            kept_limit_bytes: 20 << 30,
            sync_on_close: SyncOnClose::No,
            rules: Vec::new(),
        }
    }
}

impl Settings {
    /// The delays for the staged tree. `sent` is the memory of what open files have cost so far.
    pub(super) fn delay_rule(self: Arc<Self>, sent: Arc<Sent>) -> DelayRule {
        Arc::new(move |path, size_bytes| self.delay(path, size_bytes, sent.bytes(path)))
    }

    fn delay(&self, path: &str, size_bytes: u64, sent_bytes: u64) -> Delay {
        let rule = self.rules.iter().find(|rule| rule.paths.is_match(path));
        let is_large = size_bytes >= self.small_file_bytes;
        let (quiet, at_most, period) = match is_large {
            true => (self.delay_large, LARGE_AT_MOST, None),
            false => (self.delay_small, SMALL_AT_MOST, Some(self.period)),
        };
        let quiet = rule.and_then(|rule| rule.delay).unwrap_or(quiet);
        let period = rule.and_then(|rule| rule.period).or(period);
        let is_cheap = sent_bytes <= size_bytes / RESEND_SHARE;
        let while_open = period.map(|period| if is_cheap { period } else { period * PERIODS_MAX });
        Delay { quiet, at_most: at_most.max(quiet), while_open }
    }
}

#[cfg(test)]
mod tests {
    use globset::Glob;

    use super::*;

    fn settings() -> Settings {
        let rule = Rule {
            paths: Glob::new("bulk/**").expect("a pattern").compile_matcher(),
            delay: Some(Duration::from_secs(1)),
            period: None,
        };
        Settings { rules: vec![rule], ..Settings::default() }
    }

    #[test]
    fn the_first_rule_that_matches_holds() {
        let settings = settings();
        let plain = settings.delay("other/file", 1000, 0);
        assert_eq!(plain.quiet, settings.delay_small);
        let ruled = settings.delay("bulk/a/file", 1000, 0);
        assert_eq!(ruled.quiet, Duration::from_secs(1));
        assert_eq!(settings.delay("x", settings.small_file_bytes, 0).quiet, settings.delay_large);
    }

    /// 1 KiB each 100 ms for a minute, sent whole each time: at most twice the final size in all.
    #[test]
    fn a_log_is_sent_at_most_twice_in_all() {
        let settings = settings();
        let (mut sent, mut last, mut final_size) = (0u64, Duration::ZERO, 0u64);
        for tick in 1..=600u64 {
            let (now, size) = (Duration::from_millis(tick * 100), tick * 1024);
            final_size = size;
            let period = settings.delay("log", size, sent).while_open.expect("a small file");
            if now - last >= period {
                (sent, last) = (sent + size, now);
            }
        }
        assert!(sent > 0, "nothing was sent while it was open");
        let total = sent + final_size;
        assert!(total <= 2 * final_size, "{total} bytes for a log of {final_size}");
    }
}
