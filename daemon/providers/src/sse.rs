//! The events of a stream, each bounded in size. The format itself (WHATWG HTML, "Server-sent events") is
//! `sse-stream`'s; here stands what it does not do: a bound, and leaving out what carries no data.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use sse_stream::SseByteStream;

use crate::socket::Messages;

/// The most bytes that may come without an event among them.
pub(crate) const EVENT_BYTES: usize = 16 * 1024 * 1024;

/// Why there are no more events.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SseError {
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
    /// An event is longer than it may be.
    #[error("An event is longer than {EVENT_BYTES} bytes")]
    TooLong,
    /// An event is not UTF-8.
    #[error("An event is not UTF-8")]
    NotText,
}

/// The data of the events of an answer.
pub(crate) enum Events {
    /// Server-sent events, over a stream of bytes.
    Sent(Box<SentEvents>),
    /// Messages of a WebSocket.
    Messages(Box<Messages>),
}

impl Events {
    /// Reads from these bytes; an error among them is the end.
    pub(crate) fn new(bytes: BoxStream<'static, Result<Bytes, SseError>>) -> Self {
        let taken = Arc::new(AtomicUsize::new(0));
        let events = SseByteStream::new(Bounded { bytes, taken: Arc::clone(&taken) });
        Self::Sent(Box::new(SentEvents { events, taken }))
    }

    /// The data of the next event that has any; `None` at the end. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Result<String, SseError>> {
        match self {
            Self::Sent(events) => events.next().await,
            Self::Messages(messages) => messages.next().await,
        }
    }
}

/// The data of the events that come over a stream of bytes.
pub(crate) struct SentEvents {
    events: SseByteStream<Bounded>,
    /// Bytes since the last event.
    taken: Arc<AtomicUsize>,
}

impl SentEvents {
    /// The data of the next event that has any; `None` at the end. Cancel safe.
    async fn next(&mut self) -> Option<Result<String, SseError>> {
        loop {
            let event = self.events.next().await?;
            self.taken.store(0, Ordering::Relaxed);
            match event {
                Ok(event) => match event.data {
                    Some(data) if !data.is_empty() => return Some(Ok(data)),
                    Some(_) | None => {}
                },
                Err(error) => return Some(Err(unwrap(error))),
            }
        }
    }
}

fn unwrap(error: sse_stream::Error) -> SseError {
    match error {
        sse_stream::Error::Body(error) => match error.downcast::<SseError>() {
            Ok(error) => *error,
            Err(error) => SseError::Broken(error.to_string()),
        },
        _ => SseError::NotText,
    }
}

/// Bytes that end with an error when too many come without an event.
struct Bounded {
    bytes: BoxStream<'static, Result<Bytes, SseError>>,
    taken: Arc<AtomicUsize>,
}

impl Stream for Bounded {
    type Item = Result<Bytes, SseError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.bytes.poll_next_unpin(cx));
        if let Some(Ok(bytes)) = &next {
            let before = self.taken.fetch_add(bytes.len(), Ordering::Relaxed);
            if before.saturating_add(bytes.len()) > EVENT_BYTES {
                return Poll::Ready(Some(Err(SseError::TooLong)));
            }
        }
        Poll::Ready(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    async fn read(pieces: Vec<Result<Bytes, SseError>>) -> Vec<Result<String, String>> {
        let mut events = Events::new(stream::iter(pieces).boxed());
        let mut all = Vec::new();
        while let Some(event) = events.next().await {
            all.push(event.map_err(|error| error.to_string()));
        }
        all
    }

    #[tokio::test]
    async fn only_events_with_data_count_wherever_the_bytes_are_cut() {
        let text =
            "\u{feff}: hello\r\n\r\nevent: x\rdata: é1\rdata:2\r\rid: 7\n\ndata\n\ndata: 漢\n\ndata: lost";
        for at in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(at);
            let read = read(vec![Ok(Bytes::copy_from_slice(a)), Ok(Bytes::copy_from_slice(b))]).await;
            assert_eq!(read, [Ok("é1\n2".to_owned()), Ok("漢".to_owned())], "cut at {at}");
        }
    }

    #[tokio::test]
    async fn an_event_that_does_not_end_is_an_error() {
        let mebibyte = Bytes::from(vec![b'x'; 1024 * 1024]);
        let mut pieces = vec![Ok(Bytes::from_static(b"data: a\n\ndata: "))];
        pieces.extend((0..17).map(|_| Ok(mebibyte.clone())));
        let read = read(pieces).await;
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].as_deref(), Ok("a"));
        assert!(read[1].as_ref().unwrap_err().contains("longer than"));
    }

    #[tokio::test]
    async fn many_events_may_be_longer_than_one_may() {
        let event = Bytes::from(format!("data: {}\n\n", "x".repeat(6 * 1024 * 1024)));
        let read = read((0..4).map(|_| Ok(event.clone())).collect()).await;
        assert!(read.len() == 4 && read.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn errors_end_the_stream_after_what_came_before() {
        let broken = vec![Ok(Bytes::from_static(b"data: a\n\n")), Err(SseError::Broken("reset".to_owned()))];
        assert_eq!(read(broken).await, [Ok("a".to_owned()), Err("reset".to_owned())]);
        let bytes = vec![Ok(Bytes::from_static(b"data: \xff\n\n")), Ok(Bytes::from_static(b"data: a\n\n"))];
        assert_eq!(read(bytes).await, [Err("An event is not UTF-8".to_owned())]);
    }
}
