//! A stream that pushes back: while the peer does not take what is written to it, nothing is read from it, and
//! if that lasts too long the connection fails in both directions. Without it a peer that sends requests and
//! never reads the answers grows the daemon's memory without a bound.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a peer may leave a write pending.
pub const STALL_LIMIT: Duration = Duration::from_secs(30);

/// The stream. Poll it from one task.
pub struct Gate<S> {
    io: S,
    limit: Duration,
    state: State,
    /// Whoever waits to read: for the peer, or for a pending write.
    reader: Option<Waker>,
}

enum State {
    /// The last write went through.
    Open,
    /// A write is pending; at the end of the sleep the connection fails.
    Blocked(Pin<Box<Sleep>>),
    /// The peer took too long.
    Dead,
}

impl<S> Gate<S> {
    /// Wraps a stream.
    pub fn new(io: S, limit: Duration) -> Self {
        Self { io, limit, state: State::Open, reader: None }
    }

    fn keep_reader(&mut self, cx: &Context<'_>) {
        match &mut self.reader {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.reader = Some(cx.waker().clone()),
        }
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    /// Notes what a write or flush said, and fails the connection when the peer was too slow.
    fn settle<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            if let State::Blocked(_) = self.state {
                self.state = State::Open;
                self.wake_reader();
            }
            return result;
        }
        if let State::Open = self.state {
            self.state = State::Blocked(Box::pin(tokio::time::sleep_until(Instant::now() + self.limit)));
        }
        if let State::Blocked(sleep) = &mut self.state
            && sleep.as_mut().poll(cx).is_ready()
        {
            self.state = State::Dead;
            self.wake_reader();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.state {
            State::Open => {
                let result = Pin::new(&mut self.io).poll_read(cx, buffer);
                if result.is_pending() {
                    // The peer may never say anything more, and the connection fail meanwhile.
                    self.keep_reader(cx);
                }
                result
            }
            State::Blocked(_) => {
                self.keep_reader(cx);
                Poll::Pending
            }
            State::Dead => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if let State::Dead = self.state {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let result = Pin::new(&mut self.io).poll_write(cx, data);
        self.settle(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Dead = self.state {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let result = Pin::new(&mut self.io).poll_flush(cx);
        self.settle(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_reads_is_cut_off() {
        let (near, mut far) = tokio::io::duplex(16);
        let (mut reader, mut writer) = tokio::io::split(Gate::new(near, Duration::from_secs(5)));
        far.write_all(b"hello").await.expect("far writes");
        let writing = tokio::spawn(async move { writer.write_all(&[0; 64]).await });
        tokio::task::yield_now().await;
        let mut buffer = [0; 5];
        let reading = reader.read_exact(&mut buffer).await;
        assert_eq!(reading.expect_err("read fails").kind(), io::ErrorKind::TimedOut);
        assert_eq!(writing.await.expect("task").expect_err("write fails").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_silent_peer_hears_that_it_was_cut_off() {
        let (near, _far) = tokio::io::duplex(16);
        let (mut reader, mut writer) = tokio::io::split(Gate::new(near, Duration::from_secs(5)));
        let reading = tokio::spawn(async move { reader.read_u8().await });
        tokio::task::yield_now().await;
        assert!(writer.write_all(&[0; 64]).await.is_err());
        let heard = tokio::time::timeout(Duration::from_secs(5), reading).await.expect("it is woken");
        assert_eq!(heard.expect("task").expect_err("read fails").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn reading_goes_on_when_the_peer_reads_again() {
        let (near, mut far) = tokio::io::duplex(16);
        let (mut reader, mut writer) = tokio::io::split(Gate::new(near, Duration::from_secs(5)));
        far.write_all(b"hello").await.expect("far writes");
        let writing = tokio::spawn(async move { writer.write_all(&[0; 32]).await });
        tokio::task::yield_now().await;
        let mut taken = [0; 32];
        far.read_exact(&mut taken).await.expect("far reads");
        writing.await.expect("task").expect("write goes through");
        let mut buffer = [0; 5];
        reader.read_exact(&mut buffer).await.expect("read goes on");
        assert_eq!(&buffer, b"hello");
    }
}
