//! A response body that counts what it sends, and paces or breaks it as its verdict says.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use s3s::StdError;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::faults::{BodyFault, Break};
use crate::stats::Counters;

/// A paced body goes out in pieces of at most this, so that the rate is even.
const PACED_PIECE_BYTES: usize = 64 * 1024;
/// Time between the last bytes and the break, in which the connection writes out what it holds.
const FLUSH_TIME: Duration = Duration::from_millis(2);

/// The body of one response.
pub(crate) struct ResponseBody {
    inner: s3s::Body,
    counters: Arc<Counters>,
    shaping: Option<Box<Shaping>>,
}

impl ResponseBody {
    pub(crate) fn new(inner: s3s::Body, counters: Arc<Counters>, fault: BodyFault) -> Self {
        let size_bytes = inner.size_hint().exact().unwrap_or(0);
        let shaping =
            (fault != BodyFault::default() && size_bytes > 0).then(|| Shaping::new(fault, size_bytes));
        Self { inner, counters, shaping: shaping.map(Box::new) }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let Self { inner, counters, shaping } = &mut *self;
        let frame = match shaping {
            None => ready!(Pin::new(inner).poll_frame(cx)),
            Some(shaping) => ready!(shaping.poll_frame(inner, cx)),
        };
        match &frame {
            Some(Ok(frame)) => {
                let len = frame.data_ref().map_or(0, Bytes::len);
                counters.bytes_sent.fetch_add(len as u64, Ordering::Relaxed);
            }
            Some(Err(_)) => {
                counters.faults.fetch_add(1, Ordering::Relaxed);
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.shaping.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.shaping {
            None => self.inner.size_hint(),
            Some(shaping) => SizeHint::with_exact(shaping.size_bytes - shaping.sent_bytes),
        }
    }
}

/// How a spoiled or slow body is sent.
struct Shaping {
    size_bytes: u64,
    sent_bytes: u64,
    rate_bytes_per_s: u64,
    started: Option<Instant>,
    break_at: Option<(u64, Break)>,
    /// Taken from the inner body, not sent yet.
    held: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
    is_broken: bool,
}

impl Shaping {
    fn new(fault: BodyFault, size_bytes: u64) -> Self {
        let break_at = fault.break_at.map(|broken| ((size_bytes as f64 * broken.at) as u64, broken));
        Self {
            size_bytes,
            sent_bytes: 0,
            rate_bytes_per_s: fault.rate_bytes_per_s,
            started: None,
            break_at,
            held: Bytes::new(),
            pause: None,
            is_broken: false,
        }
    }

    fn poll_frame(
        &mut self,
        inner: &mut s3s::Body,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.is_broken {
            return Poll::Ready(Some(Err("the body is broken off by a fault".into())));
        }
        if let Some((_, broken)) = self.break_at.filter(|(at, _)| self.sent_bytes >= *at) {
            self.is_broken = true;
            return self.pause_until(Instant::now() + broken.silence.max(FLUSH_TIME), cx);
        }
        if self.held.is_empty() {
            match ready!(Pin::new(&mut *inner).poll_frame(cx)) {
                Some(Ok(frame)) => self.held = frame.into_data().unwrap_or_default(),
                end => return Poll::Ready(end),
            }
        }
        let due = self.due();
        if due > Instant::now() {
            return self.pause_until(due, cx);
        }
        Poll::Ready(Some(Ok(Frame::data(self.next_piece()))))
    }

    /// Sleeps; the next poll after it goes on.
    fn pause_until(
        &mut self,
        deadline: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let mut pause = Box::pin(sleep_until(deadline));
        if pause.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        self.pause = Some(pause);
        Poll::Pending
    }

    /// When the next piece may go out.
    fn due(&mut self) -> Instant {
        let started = *self.started.get_or_insert_with(Instant::now);
        match self.rate_bytes_per_s {
            0 => started,
            rate => started + Duration::from_secs_f64(self.sent_bytes as f64 / rate as f64),
        }
    }

    fn next_piece(&mut self) -> Bytes {
        let paced = if self.rate_bytes_per_s > 0 { PACED_PIECE_BYTES } else { usize::MAX };
        let to_break = self.break_at.map_or(u64::MAX, |(at, _)| at - self.sent_bytes);
        let len = self.held.len().min(paced).min(usize::try_from(to_break).unwrap_or(usize::MAX));
        self.sent_bytes += len as u64;
        self.held.split_to(len)
    }
}
