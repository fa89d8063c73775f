//! Progress of a warm-up: a bar on a terminal, now and then a line elsewhere. On stderr.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output;
use crate::config::units::{DurationText, SizeText};
use crate::warm::Progress;

/// Pause between two lines where stderr is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(5);
const BAR: &str = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} ETA {eta} {msg}";

/// Shows how far a warm-up is.
#[derive(Debug)]
pub(super) enum Display {
    /// On a terminal.
    Bar(ProgressBar),
    /// Into a file or pipe.
    Lines {
        /// When the warm-up began.
        started: Instant,
        /// When the last line was written.
        last: Instant,
    },
}

impl Display {
    /// Fits what stderr is.
    pub(super) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            return Self::Lines { started: now, last: now };
        }
        let bar = ProgressBar::new(0);
        bar.set_style(
            ProgressStyle::with_template(BAR).expect("a constant template is right or wrong for good"),
        );
        Self::Bar(bar)
    }

    /// Shows a new state.
    pub(super) fn update(&mut self, now: &Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(now.bytes_total);
                bar.set_position(now.bytes_done);
                bar.set_message(objects(now));
            }
            Self::Lines { started, last } if last.elapsed() >= LINE_PERIOD => {
                *last = Instant::now();
                output::note(&line(now, started.elapsed()));
            }
            Self::Lines { .. } => {}
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn objects(now: &Progress) -> String {
    let more = if now.listing_done { "" } else { "+" };
    format!("{} of {}{more} objects", now.objects_done, now.objects_total)
}

/// `3 of 10 objects, 1MiB of 4MiB, 512KiB/s, 6s left`.
fn line(now: &Progress, elapsed: Duration) -> String {
    let (done, total) = (SizeText(now.bytes_done), SizeText(now.bytes_total));
    let rate = now.bytes_done as f64 / elapsed.as_secs_f64().max(0.001);
    let left = match now.listing_done && rate > 0.0 {
        true => {
            let seconds = now.bytes_total.saturating_sub(now.bytes_done) as f64 / rate;
            // Ten years are as good as forever, and fit into a Duration.
            DurationText(Duration::from_secs(seconds.min(3e8) as u64)).to_string() + " left"
        }
        false => "still listing".to_owned(),
    };
    format!("{}, {done} of {total}, {}/s, {left}", objects(now), SizeText(rate as u64))
}

/// The sum of the progress of several jobs, as if it were one.
pub(super) fn sum(jobs: &[Progress]) -> Progress {
    let mut total = Progress { listing_done: true, finished: true, ..Progress::default() };
    for job in jobs {
        total.objects_total += job.objects_total;
        total.objects_done += job.objects_done;
        total.bytes_total += job.bytes_total;
        total.bytes_done += job.bytes_done;
        total.bytes_fetched += job.bytes_fetched;
        total.failed_count += job.failed_count;
        total.failed.extend(job.failed.iter().cloned());
        total.listing_done &= job.listing_done;
        total.finished &= job.finished;
    }
    total
}

/// What stands at the end: `400 objects, 2 failed: PATH: WHY`, then one line for each further failure that is known.
pub(super) fn summary(end: &Progress) -> String {
    let mut text = format!("{} objects, {} failed", end.objects_total, end.failed_count);
    for (number, (path, why)) in end.failed.iter().enumerate() {
        text.push_str(if number == 0 { ": " } else { "\n  " });
        text.push_str(&format!("{path}: {why}"));
    }
    let untold = end.failed_count.saturating_sub(end.failed.len() as u64);
    if untold > 0 {
        text.push_str(&format!("\n  and {untold} more; see the daemon's log"));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            objects_total: 10,
            objects_done: 3,
            bytes_total: 4 << 20,
            bytes_done: 1 << 20,
            listing_done: true,
            ..Progress::default()
        }
    }

    #[test]
    fn lines_have_objects_bytes_rate_and_time_left() {
        let text = line(&progress(), Duration::from_secs(2));
        assert_eq!(text, "3 of 10 objects, 1MiB of 4MiB, 512KiB/s, 6s left");
        let listing = Progress { listing_done: false, ..progress() };
        assert_eq!(
            line(&listing, Duration::from_secs(2)),
            "3 of 10+ objects, 1MiB of 4MiB, 512KiB/s, still listing"
        );
        let none = Progress { bytes_done: 0, ..progress() };
        assert!(line(&none, Duration::ZERO).ends_with("0B/s, still listing"));
    }

    #[test]
    fn the_summary_names_failures_and_counts_the_rest() {
        assert_eq!(summary(&progress()), "10 objects, 0 failed\n");
        let failed = vec![("/m/a".to_owned(), "denied".to_owned()), ("/m/b".to_owned(), "gone".to_owned())];
        let end = Progress { failed, failed_count: 5, ..progress() };
        assert_eq!(
            summary(&end),
            "10 objects, 5 failed: /m/a: denied\n  /m/b: gone\n  and 3 more; see the daemon's log\n"
        );
    }

    #[test]
    fn several_jobs_are_finished_when_all_are() {
        let done = Progress { finished: true, ..progress() };
        assert_eq!(sum(&[done.clone(), done.clone()]).objects_total, 20);
        assert!(sum(&[done.clone(), done.clone()]).finished);
        assert!(!sum(&[done, progress()]).finished);
    }
}
