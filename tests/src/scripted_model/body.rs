//! A response body that sends what it was given, at its pace, and then ends, stalls or breaks. Knows nothing of
//! events.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::scripted_model::reply::{STAMP, Then};
use crate::scripted_model::server::Ticket;

/// How often a body that is about to break lets the connection write out what it has.
const FLUSHES_BEFORE_CUT: u8 = 2;

/// When the next frame is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rhythm {
    /// At once.
    AtOnce,
    /// So long after it was asked for.
    Pause(Duration),
    /// So long after the last one was due.
    Pace(Duration),
}

impl Rhythm {
    pub(crate) fn new(pause: Option<Duration>, pace: Option<Duration>) -> Self {
        match (pause, pace) {
            (_, Some(pace)) => Self::Pace(pace),
            (Some(pause), None) => Self::Pause(pause),
            (None, None) => Self::AtOnce,
        }
    }
}

/// What is left to send.
pub(crate) struct ScriptedBody {
    frames: std::vec::IntoIter<Bytes>,
    rhythm: Rhythm,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the last frame was due.
    due: Option<Instant>,
    then: Then,
    flushes: u8,
    /// The length, where it is told to the client in advance.
    length: Option<u64>,
    /// Dropped with the body; tells the server whether the client waited for the end.
    ticket: Ticket,
}

impl ScriptedBody {
    /// A stream of frames without a length.
    pub(crate) fn stream(frames: Vec<Bytes>, rhythm: Rhythm, then: Then, ticket: Ticket) -> Self {
        let frames = frames.into_iter();
        Self { frames, rhythm, timer: None, due: None, then, flushes: 0, length: None, ticket }
    }

    /// A body whose length is known.
    pub(crate) fn whole(body: Bytes, ticket: Ticket) -> Self {
        let length = Some(body.len() as u64);
        let frames = if body.is_empty() { Vec::new() } else { vec![body] };
        Self { length, ..Self::stream(frames, Rhythm::AtOnce, Then::End, ticket) }
    }

    /// When the next frame is due, if not at once.
    fn next_due(&self) -> Option<Instant> {
        match self.rhythm {
            Rhythm::AtOnce => None,
            Rhythm::Pause(pause) => Some(Instant::now() + pause),
            Rhythm::Pace(pace) => Some(self.due.map_or_else(Instant::now, |last| last + pace)),
        }
    }
}

/// Puts the moment in place of the first stamp.
fn stamped(frame: Bytes) -> Bytes {
    let stamp = STAMP.as_bytes();
    let Some(at) = frame.windows(stamp.len()).position(|bytes| bytes == stamp) else { return frame };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut bytes = frame.to_vec();
    bytes[at..at + stamp.len()].copy_from_slice(format!("{now:019}").as_bytes());
    bytes.into()
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.timer.is_none()
            && !self.frames.as_slice().is_empty()
            && let Some(due) = self.next_due()
        {
            self.due = Some(due);
            self.timer = Some(Box::pin(tokio::time::sleep_until(due)));
        }
        if let Some(timer) = &mut self.timer {
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
        if let Some(frame) = self.frames.next() {
            let frame = if matches!(self.rhythm, Rhythm::Pace(_)) { stamped(frame) } else { frame };
            if self.frames.as_slice().is_empty() && self.then == Then::End {
                self.ticket.finish();
            }
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        match self.then {
            Then::End => {
                self.ticket.finish();
                Poll::Ready(None)
            }
            Then::Stall => Poll::Pending,
            Then::Cut if self.flushes < FLUSHES_BEFORE_CUT => {
                self.flushes += 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Then::Cut => {
                self.ticket.finish();
                Poll::Ready(Some(Err(io::Error::other("The script cuts the stream here"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.length.is_some() && self.frames.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
