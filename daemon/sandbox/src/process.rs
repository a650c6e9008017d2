//! A command that runs: its output, its end, and how to stop it. Knows nothing of how it was started.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use helper_protocol::frame::{self, HEADER_BYTES};
use helper_protocol::order::Order;
use helper_protocol::report::{self, Bounds, End, Report};
use protocol::item::Refusal;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, Shutdown};
use tokio::io::{AsyncRead, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::time::timeout;

use crate::error::SandboxError;
use crate::execution::{Execution, Verdict};
use crate::reap;
use crate::register::Entry;
use crate::request::TerminalSize;
use crate::stopped::{self, Stopped};
use crate::terminal::{Ends, Printed};

/// How long a helper may take to clear away a tree that was killed, before it is killed itself.
const CLEARING: Duration = Duration::from_secs(5);

/// A command and everything it started. Dropping it kills them all.
#[derive(Debug)]
pub struct Process {
    helper: Child,
    channel: Channel,
    ends: Ends,
    state: State,
    entry: Option<Entry>,
    /// What all that it started has in its environment, where there are no namespaces.
    mark: Option<String>,
    proxy: Option<TcpListener>,
    stopped: Vec<Stopped>,
    /// What lost its protection, if that is why it ended.
    exposed: Vec<PathBuf>,
    bounds: Bounds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Killed,
    Ended(Exit),
    /// Killed by its helper.
    Exposed,
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
        ends: Ends,
        entry: Option<Entry>,
        mark: Option<String>,
        proxy: Option<TcpListener>,
    ) -> Self {
        Self {
            helper,
            channel,
            ends,
            state: State::Running,
            entry,
            mark,
            proxy,
            stopped: Vec::new(),
            exposed: Vec::new(),
            bounds: Bounds::default(),
        }
    }

    /// The helper's process id, for logs; none once it was seen to have ended.
    #[must_use]
    pub fn helper_id(&self) -> Option<u32> {
        self.helper.id()
    }

    /// Standard output and standard error, in order; standard output alone where they are separate; what is to be seen
    /// where there is a terminal. Ends when the command and all it started have ended. Empty where the output is the
    /// caller's own, or was taken before.
    pub fn take_output(&mut self) -> impl AsyncRead + Send + Unpin + use<> {
        Printed(self.ends.output.take())
    }

    /// Standard error, where it has a pipe of its own; once.
    pub fn take_errors(&mut self) -> impl AsyncRead + Send + Unpin + use<> {
        Printed(self.ends.errors.take())
    }

    /// The other end of a piped standard input, or what is typed at the terminal; once. Dropping that of a pipe is the
    /// end of the input. A terminal's has no end: control characters do what they do for a person.
    pub fn take_input(&mut self) -> Option<pipe::Sender> {
        self.ends.input.take()
    }

    /// Changes the size of the command's terminal, and lets its programs know.
    ///
    /// # Errors
    /// `Io` where it has none.
    pub fn resize(&self, size: TerminalSize) -> Result<(), SandboxError> {
        Ok(self.ends.resize(size)?)
    }

    /// The listener that the command finds as its proxy, non-blocking; once, and only where one was asked for. It is in
    /// the sandbox's own network, so only the command can connect to it. To be dropped when the command has ended.
    pub fn take_proxy_listener(&mut self) -> Option<TcpListener> {
        self.proxy.take()
    }

    /// What the sandbox refused to the command, as far as its helper saw it: sockets that were to be connected, files
    /// that were to be changed, programs by verdict. Known once it has ended; at most some.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for stopped in &self.stopped {
            if !refusals.contains(&stopped.refusal) {
                refusals.push(stopped.refusal.clone());
            }
        }
        refusals
    }

    /// The same, each with the program that met it.
    #[must_use]
    pub fn stopped(&self) -> &[Stopped] {
        &self.stopped
    }

    /// What bounded what it used. Known once it has ended.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The next program that waits for a verdict; none when the command has ended or nothing is known of it any more.
    /// To be waited for beside the output. Cancel safe.
    pub async fn execution(&mut self) -> Option<Execution> {
        if matches!(self.state, State::Ended(_) | State::Exposed) {
            return None;
        }
        match self.channel.report().await {
            Ok(Report::Executes(told)) => {
                let streams = self.channel.take_descriptors(3);
                Execution::new(told, streams)
                    .inspect_err(|error| tracing::warn!(%error, "a program is lost"))
                    .ok()
            }
            Ok(Report::Ended { end, refusals, bounds }) => {
                self.end(end, refusals, bounds);
                None
            }
            // `wait` finds the same.
            Ok(Report::Started | Report::Failed(_)) | Err(_) => None,
        }
    }

    /// Says what becomes of a program that waits.
    pub fn answer(&mut self, execution: &Execution, verdict: Verdict) {
        self.order(verdict.order(execution.id));
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
        self.order(Order::Terminate);
    }

    /// Sends SIGINT to the command's process group, as a person does with Ctrl-C. They may ignore it.
    pub fn interrupt(&mut self) {
        self.order(Order::Interrupt);
    }

    fn order(&self, order: Order) {
        // Invariant: orders are few and short, so they fit into the socket's buffer.
        if self.state == State::Running
            && let Err(error) = self.channel.stream.try_write(&order.encode())
        {
            tracing::debug!(%error, "the helper could not be told an order");
        }
    }

    /// How the command ended. When this returns, nothing of its tree is left. Programs that wait for a verdict
    /// meanwhile are refused. Cancel safe.
    ///
    /// # Errors
    /// `Exposed` when it was killed because a protection of its sandbox fell away; `HelperDied` when the helper ended
    /// without a word.
    pub async fn wait(&mut self) -> Result<Exit, SandboxError> {
        loop {
            let report = match self.state {
                State::Ended(exit) => return Ok(exit),
                State::Exposed => return Err(SandboxError::Exposed { paths: self.exposed.clone() }),
                State::Running => self.channel.report().await,
                State::Killed => match timeout(CLEARING, self.channel.report()).await {
                    Ok(report) => report,
                    Err(_) => {
                        tracing::warn!(helper = self.helper.id(), "a helper does not end; killing it");
                        self.helper.start_kill()?;
                        return Err(SandboxError::Helper {
                            reason: "the helper did not end in time".to_owned(),
                        });
                    }
                },
            };
            let report = match report {
                Ok(report) => report,
                Err(error) => return Err(self.died(error).await),
            };
            match report {
                Report::Ended { end, refusals, bounds } => self.end(end, refusals, bounds),
                Report::Executes(told) => {
                    drop(self.channel.take_descriptors(3));
                    self.order(Verdict::Refuse.order(told.id));
                }
                Report::Started | Report::Failed(_) => {
                    return Err(SandboxError::Helper {
                        reason: "the helper's report makes no sense".to_owned(),
                    });
                }
            }
        }
    }

    /// What became of a helper from which nothing comes any more, once nothing is left of what it held. Cancel safe.
    async fn died(&mut self, error: SandboxError) -> SandboxError {
        // Its end of the socket closes while it dies.
        let Ok(Ok(status)) = timeout(CLEARING, self.helper.wait()).await else { return error };
        if let Some(mark) = self.mark.clone()
            // With namespaces the kernel has done that; without, only the command itself went with its helper.
            && let Err(error) = tokio::task::spawn_blocking(move || reap::kill_tree(&mark)).await
        {
            tracing::warn!(%error, "what a dead helper held may still run");
        }
        let how = match status.code() {
            Some(code) => format!("ended with exit code {code}"),
            None => format!("was killed by {status}"),
        };
        SandboxError::HelperDied { how }
    }

    fn end(&mut self, end: End, refusals: report::Refusals, bounds: Bounds) {
        // Nobody has to wait for the helper itself: it takes its namespaces apart, and the runtime reaps it.
        self.state = match end {
            End::Code(code) => State::Ended(Exit::Code(code)),
            End::Signal(signal) => State::Ended(Exit::Signal(signal)),
            End::Exposed(paths) => {
                self.exposed = stopped::paths(paths);
                State::Exposed
            }
        };
        self.stopped = stopped::read(refusals);
        self.bounds = bounds;
        if let Some(entry) = self.entry.take() {
            entry.strike();
        }
    }
}

/// The daemon's end of the socket.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) stream: UnixStream,
    /// What came of the next report.
    received: Vec<u8>,
    /// What came along, in the order of the reports that it came with.
    descriptors: VecDeque<OwnedFd>,
}

/// How much is received at a time.
const PIECE: usize = 4096;

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, received: Vec::new(), descriptors: VecDeque::new() }
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
            let mut piece = [0; PIECE];
            let receive = || Ok(receive(&self.stream, &mut piece)?);
            let (count, descriptors) = self.stream.async_io(Interest::READABLE, receive).await?;
            if count == 0 {
                return Err(SandboxError::Helper { reason: "the helper ended without a report".to_owned() });
            }
            self.received.extend_from_slice(&piece[..count]);
            self.descriptors.extend(descriptors);
        }
    }

    /// At most this many of the descriptors that came.
    pub(crate) fn take_descriptors(&mut self, count: usize) -> Vec<OwnedFd> {
        let count = count.min(self.descriptors.len());
        self.descriptors.drain(..count).collect()
    }
}

/// The kernel gives no more than one message's descriptors at a time.
fn receive(stream: &UnixStream, piece: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), rustix::io::Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(stream, &mut [IoSliceMut::new(piece)], &mut control, flags)?;
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok((received.bytes, descriptors.flatten().collect()))
}
