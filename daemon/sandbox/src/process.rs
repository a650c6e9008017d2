//! A command that runs: its output, its end, and how to stop it. Knows nothing of how it was started.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use helper_protocol::frame::{self, HEADER_BYTES};
use helper_protocol::report::{End, Report};
use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::time::timeout;

use crate::error::SandboxError;
use crate::register::Entry;

/// How long a helper may take to clear away a tree that was killed, before it is killed itself.
const CLEARING: Duration = Duration::from_secs(5);

/// A command and everything it started. Dropping it kills them all.
#[derive(Debug)]
pub struct Process {
    helper: Child,
    channel: Channel,
    output: Option<pipe::Receiver>,
    state: State,
    entry: Option<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Killed,
    Ended(Exit),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Process {
    pub(crate) fn new(
        helper: Child,
        channel: Channel,
        output: Option<pipe::Receiver>,
        entry: Option<Entry>,
    ) -> Self {
        Self { helper, channel, output, state: State::Running, entry }
    }

    /// The helper's process id, for logs; none once it was seen to have ended.
    #[must_use]
    pub fn helper_id(&self) -> Option<u32> {
        self.helper.id()
    }

    /// Standard output and standard error, in order. Ends when the command and all it started have ended.
    /// Empty where the output was not piped, or was taken before.
    pub fn take_output(&mut self) -> impl AsyncRead + Send + Unpin + use<> {
        PipedOutput(self.output.take())
    }

    /// Kills the command and everything it started, at once. Its output ends, and [`Process::wait`] tells
    /// how it ended.
    pub fn kill(&mut self) {
        if self.state == State::Running {
            self.state = State::Killed;
            // The only failure is that the helper is gone already, and with it the tree.
            if let Err(error) = rustix::net::shutdown(&self.channel.stream, Shutdown::Write) {
                tracing::debug!(%error, "the helper had ended before it was told to");
            }
        }
    }

    /// Asks the command and everything it started to end, with SIGTERM. They may ignore it.
    pub fn terminate(&mut self) {
        if self.state == State::Running
            && let Err(error) = self.channel.stream.try_write(&[helper_protocol::TERMINATE])
        {
            tracing::debug!(%error, "the helper could not be told to terminate the command");
        }
    }

    /// How the command ended. When this returns, nothing of its tree is left. Cancel safe.
    ///
    /// # Errors
    /// `Helper` when the helper ended without a word.
    pub async fn wait(&mut self) -> Result<Exit, SandboxError> {
        let report = match self.state {
            State::Ended(exit) => return Ok(exit),
            State::Running => self.channel.report().await,
            State::Killed => match timeout(CLEARING, self.channel.report()).await {
                Ok(report) => report,
                Err(_) => {
                    tracing::warn!(helper = self.helper.id(), "a helper does not end; killing it");
                    self.helper.start_kill()?;
                    Err(SandboxError::Helper { reason: "the helper did not end in time".to_owned() })
                }
            },
        };
        let exit = match report? {
            Report::Ended(End::Code(code)) => Exit::Code(code),
            Report::Ended(End::Signal(signal)) => Exit::Signal(signal),
            Report::Started | Report::Failed(_) => {
                return Err(SandboxError::Helper { reason: "the helper's report makes no sense".to_owned() });
            }
        };
        // Nobody has to wait for the helper itself: it takes its namespaces apart, and the runtime reaps it.
        self.state = State::Ended(exit);
        if let Some(entry) = self.entry.take() {
            entry.strike();
        }
        Ok(exit)
    }
}

/// The daemon's end of the socket.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) stream: UnixStream,
    /// What came of the next report.
    received: Vec<u8>,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, received: Vec::new() }
    }

    /// The next report. Cancel safe.
    ///
    /// # Errors
    /// `Helper` when none comes any more or it can't be read.
    pub(crate) async fn report(&mut self) -> Result<Report, SandboxError> {
        loop {
            if let Some((header, body)) = self.received.split_first_chunk::<HEADER_BYTES>() {
                let length = frame::body_bytes(*header).map_err(io::Error::other)?;
                if let Some(body) = body.get(..length) {
                    let report = frame::decode(body).map_err(io::Error::other)?;
                    self.received.drain(..HEADER_BYTES + length);
                    return Ok(report);
                }
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(SandboxError::Helper { reason: "the helper ended without a report".to_owned() });
            }
        }
    }
}

struct PipedOutput(Option<pipe::Receiver>);

impl AsyncRead for PipedOutput {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Some(pipe) => Pin::new(pipe).poll_read(cx, buffer),
            None => Poll::Ready(Ok(())),
        }
    }
}
