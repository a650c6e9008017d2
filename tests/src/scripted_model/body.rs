//! A response body that sends what it was given, at its pace, and then ends, stalls or breaks. Knows nothing of
//! events.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::scripted_model::reply::Then;
use crate::scripted_model::server::Ticket;

/// How often a body that is about to break lets the connection write out what it has.
const FLUSHES_BEFORE_CUT: u8 = 2;

/// What is left to send.
pub(crate) struct ScriptedBody {
    frames: std::vec::IntoIter<Bytes>,
    pause: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    then: Then,
    flushes: u8,
    /// The length, where it is told to the client in advance.
    length: Option<u64>,
    /// Dropped with the body; tells the server whether the client waited for the end.
    ticket: Ticket,
}

impl ScriptedBody {
    /// A stream of frames without a length.
    pub(crate) fn stream(frames: Vec<Bytes>, pause: Option<Duration>, then: Then, ticket: Ticket) -> Self {
        Self { frames: frames.into_iter(), pause, timer: None, then, flushes: 0, length: None, ticket }
    }

    /// A body whose length is known.
    pub(crate) fn whole(body: Bytes, ticket: Ticket) -> Self {
        let length = Some(body.len() as u64);
        let frames = if body.is_empty() { Vec::new() } else { vec![body] };
        Self { length, ..Self::stream(frames, None, Then::End, ticket) }
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let (Some(pause), false) = (self.pause, self.frames.as_slice().is_empty()) {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
        if let Some(frame) = self.frames.next() {
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
