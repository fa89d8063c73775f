//! Fault knobs: what goes wrong, how often, changeable while the server runs.
//!
//! Every request is judged once, when it arrives, by draws from one seeded generator; what was drawn is a [`Verdict`]
//! that the connection carries out. Equal seeds and equal orders of arrival give equal faults.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::stats::Operation;

/// The knobs. Probabilities are 0..=1 and judged once a request; the default is a server without faults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knobs {
    /// Delay before a request is served, in ms.
    pub latency_ms: u64,
    /// Spread of the delay: it is `latency_ms * (1 + jitter * u)` with u uniform in -1..1.
    pub jitter: f64,
    /// Response body bytes per second of each request; 0 is no limit.
    pub rate_bytes_per_s: u64,
    /// 503 SlowDown.
    pub p_503: f64,
    /// 500 InternalError.
    pub p_500: f64,
    /// 403 AccessDenied.
    pub p_403: f64,
    /// 403 QuotaExceeded.
    pub p_quota: f64,
    /// The connection is reset (RST) before any answer.
    pub p_reset: f64,
    /// The connection is closed somewhere within the response body.
    pub p_cut: f64,
    /// The response body stops somewhere for `stall_ms`, then the connection is closed.
    pub p_stall: f64,
    /// How long a stalled body stays silent, in ms.
    pub stall_ms: u64,
    /// A straggler: `slow_ms` are added to the delay.
    pub p_slow: f64,
    /// Added delay of a straggler, in ms.
    pub slow_ms: u64,
    /// An outage: connections are reset, no request is answered.
    pub down: bool,
    /// Only requests of this operation are judged; `down` holds for all.
    pub only: Option<Operation>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            jitter: 0.0,
            rate_bytes_per_s: 0,
            p_503: 0.0,
            p_500: 0.0,
            p_403: 0.0,
            p_quota: 0.0,
            p_reset: 0.0,
            p_cut: 0.0,
            p_stall: 0.0,
            stall_ms: 60_000,
            p_slow: 0.0,
            slow_ms: 2_000,
            down: false,
            only: None,
        }
    }
}

/// The knobs of a running server.
pub struct Faults {
    /// Lets requests pass without the lock while no knob is turned.
    turned: AtomicBool,
    state: Mutex<State>,
}

struct State {
    knobs: Knobs,
    rng: SmallRng,
}

impl Default for Faults {
    fn default() -> Self {
        let state = State { knobs: Knobs::default(), rng: SmallRng::seed_from_u64(0) };
        Self { turned: AtomicBool::new(false), state: Mutex::new(state) }
    }
}

impl Faults {
    /// Changes knobs for all requests from now on: `faults.set(|knobs| knobs.p_503 = 0.1)`.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        let mut state = self.state.lock();
        change(&mut state.knobs);
        self.turned.store(state.knobs != Knobs::default(), Ordering::Release);
    }

    /// Puts every knob back to its default; bodies that are under way keep the faults they drew.
    pub fn clear(&self) {
        self.set(|knobs| *knobs = Knobs::default());
    }

    /// The present knobs.
    pub fn knobs(&self) -> Knobs {
        self.state.lock().knobs
    }

    /// Starts the draws again from `seed`.
    pub fn reseed(&self, seed: u64) {
        self.state.lock().rng = SmallRng::seed_from_u64(seed);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.turned.load(Ordering::Acquire) && self.state.lock().knobs.down
    }

    /// Draws the fate of one request.
    pub(crate) fn judge(&self, operation: Operation) -> Verdict {
        if !self.turned.load(Ordering::Acquire) {
            return Verdict::default();
        }
        let mut state = self.state.lock();
        let State { knobs, rng } = &mut *state;
        if knobs.down {
            return Verdict { answer: Answer::Reset, ..Verdict::default() };
        }
        if knobs.only.is_some_and(|only| only != operation) {
            return Verdict::default();
        }
        let delay = delay(knobs, rng);
        let answer = answer(knobs, rng);
        let break_at = body_break(knobs, rng);
        Verdict { delay, answer, body: BodyFault { rate_bytes_per_s: knobs.rate_bytes_per_s, break_at } }
    }
}

fn delay(knobs: &Knobs, rng: &mut SmallRng) -> Duration {
    let spread = 1.0 + knobs.jitter * rng.random_range(-1.0..1.0);
    let straggle_ms = if rng.random_bool(knobs.p_slow.clamp(0.0, 1.0)) { knobs.slow_ms } else { 0 };
    let delay_ms = knobs.latency_ms as f64 * spread.max(0.0) + straggle_ms as f64;
    Duration::from_secs_f64(delay_ms / 1000.0)
}

/// The kinds of spoiled answers exclude each other: one draw decides among them.
fn answer(knobs: &Knobs, rng: &mut SmallRng) -> Answer {
    let draw: f64 = rng.random();
    let kinds = [
        (knobs.p_503, Answer::SlowDown),
        (knobs.p_500, Answer::InternalError),
        (knobs.p_403, Answer::AccessDenied),
        (knobs.p_quota, Answer::QuotaExceeded),
        (knobs.p_reset, Answer::Reset),
    ];
    let mut below = 0.0;
    for (probability, kind) in kinds {
        below += probability;
        if draw < below {
            return kind;
        }
    }
    Answer::Serve
}

fn body_break(knobs: &Knobs, rng: &mut SmallRng) -> Option<Break> {
    let (draw, at): (f64, f64) = (rng.random(), rng.random());
    if draw < knobs.p_cut {
        return Some(Break { at, silence: Duration::ZERO });
    }
    let stalls = draw < knobs.p_cut + knobs.p_stall;
    stalls.then(|| Break { at, silence: Duration::from_millis(knobs.stall_ms) })
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) answer: Answer,
    pub(crate) body: BodyFault,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    #[default]
    Serve,
    SlowDown,
    InternalError,
    AccessDenied,
    QuotaExceeded,
    Reset,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct BodyFault {
    /// 0: no limit.
    pub(crate) rate_bytes_per_s: u64,
    pub(crate) break_at: Option<Break>,
}

/// The body ends behind this share (0..1) of its bytes: nothing for `silence`, then the connection closes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Break {
    pub(crate) at: f64,
    pub(crate) silence: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equal_faults_at_about_the_set_rate() {
        let draw = |seed| {
            let faults = Faults::default();
            faults.reseed(seed);
            faults.set(|knobs| {
                knobs.p_503 = 0.1;
                knobs.p_cut = 0.2;
            });
            (0..10_000).map(|_| faults.judge(Operation::Get)).collect::<Vec<_>>()
        };
        let (one, same, other) = (draw(1), draw(1), draw(2));
        assert!(one == same && one != other);
        let refused = one.iter().filter(|verdict| verdict.answer == Answer::SlowDown).count();
        let cut = one.iter().filter(|verdict| verdict.body.break_at.is_some()).count();
        // five standard deviations of a binomial draw around the mean
        assert!((850..1150).contains(&refused), "{refused}");
        assert!((1800..2200).contains(&cut), "{cut}");
    }

    #[test]
    fn only_one_operation_is_judged() {
        let faults = Faults::default();
        faults.set(|knobs| {
            knobs.p_500 = 1.0;
            knobs.only = Some(Operation::Get);
        });
        assert_eq!(faults.judge(Operation::Head), Verdict::default());
        assert_eq!(faults.judge(Operation::Get).answer, Answer::InternalError);
        faults.clear();
        assert_eq!(faults.judge(Operation::Get), Verdict::default());
    }
}
