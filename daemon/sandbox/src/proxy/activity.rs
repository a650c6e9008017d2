//! Whether anything moves on a connection, so that one on which nothing does is given up. Knows nothing of what moves.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What has moved on a connection. Its clones tell of the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    moved: AtomicU64,
    deciding: AtomicUsize,
}

/// While it lives, the connection waits for a decision and may rest.
#[derive(Debug)]
pub(crate) struct Deciding(Activity);

impl Activity {
    /// Lets the connection rest.
    pub(crate) fn deciding(&self) -> Deciding {
        self.0.deciding.fetch_add(1, Ordering::Relaxed);
        Deciding(self.clone())
    }

    /// Ends when nothing moved for at least this long, and at most twice as long.
    pub(crate) async fn rested(&self, limit: Duration) {
        let mut before = None;
        loop {
            let now = self.0.moved.load(Ordering::Relaxed);
            if before == Some(now) && self.0.deciding.load(Ordering::Relaxed) == 0 {
                return;
            }
            before = Some(now);
            match tokio::time::Instant::now().checked_add(limit) {
                Some(next) => tokio::time::sleep_until(next).await,
                None => pending().await,
            }
        }
    }

    fn moved(&self) {
        self.0.moved.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        // The time that it waited does not count.
        self.0.moved();
        self.0.0.deciding.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that tells what moves on it.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    activity: Activity,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.activity.moved();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_ready() {
            self.activity.moved();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
