//! The task that owns one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::item::{CommandOutput, Refusal};
use sandbox::{Exit, Process, SandboxError, Stopped, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::interception::{Interceptor, Reading};
use crate::network::Served;
use crate::output::{Collector, Room, Spools};
use crate::processes::watcher::Watcher;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Input that may wait for the process to read it.
const MAX_INPUT_BYTES: usize = 1024 * 1024;
/// Watchers at a time; one more is sent away.
const MAX_WATCHERS: usize = 8;
/// How long the output of a process that was killed may take to end.
const CLEARING: Duration = Duration::from_secs(5);
/// What a terminal's user types at the end of the input.
const END_OF_INPUT: u8 = 4;

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Owns a process.
pub(crate) struct Keeper {
    process: Process,
    output: Option<Reader>,
    input: Option<Writer>,
    has_terminal: bool,
    spools: Arc<dyn Spools>,
    collector: Collector,
    /// Input that the process has not read yet.
    waiting: Vec<u8>,
    /// Whether the input ends after that.
    closes: bool,
    started: Instant,
    visit: Option<Visit>,
    watchers: Vec<Watcher>,
    /// Once it was killed: when its output is given up.
    give_up_at: Option<Instant>,
    is_ended: Arc<AtomicBool>,
    /// Whose client ended it, if a person did.
    ended_by: Option<String>,
    /// Is told of the end.
    on_end: Arc<Notify>,
    /// Its way into the network, as long as it lives.
    proxy: Option<Served>,
    /// Decides about the programs that it starts.
    interceptor: Interceptor,
}

/// A call that comes to a process.
pub(crate) struct Visit {
    /// What is typed.
    pub(crate) input: Vec<u8>,
    pub(crate) signal: Option<Signal>,
    /// What its terminal is made.
    pub(crate) size: Option<TerminalSize>,
    /// When it goes again.
    pub(crate) until: Instant,
    pub(crate) room: Room,
    /// What is printed meanwhile.
    pub(crate) progress: mpsc::Sender<String>,
    pub(crate) cancel: CancellationToken,
    pub(crate) on_cancel: OnCancel,
    pub(crate) reply: oneshot::Sender<Visited>,
}

/// What becomes of the process when the visit is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnCancel {
    /// It ends: the call that started it was interrupted.
    Kill,
    /// It goes on.
    Leave,
}

/// What is done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
    Kill,
}

/// What a visitor takes away.
#[derive(Debug)]
pub(crate) struct Visited {
    pub(crate) stage: Stage,
    /// What was printed since the last visit.
    pub(crate) output: CommandOutput,
    /// What the sandbox stopped, once it has ended.
    pub(crate) refusals: Vec<Refusal>,
    /// Those among them that its helper saw, and who met them.
    pub(crate) stopped: Vec<Stopped>,
    /// What became of programs that did not simply run.
    pub(crate) notes: Vec<String>,
    /// How long the process has run.
    pub(crate) ran: Duration,
    /// Whether what was typed could not be.
    pub(crate) is_input_refused: bool,
}

/// How far a process is.
#[derive(Debug)]
pub(crate) enum Stage {
    GoesOn,
    /// The visit was broken off, and with it the process, if that is what was wanted.
    Interrupted,
    Ended(Exit),
    /// A person ended it, with a client of this name.
    EndedBy(String),
    /// How it ended is not known.
    Lost(SandboxError),
}

/// What happens next to a process.
enum Happened {
    Printed(usize),
    OutputEnded,
    Typed(usize),
    InputClosed,
    Ended(Result<Exit, SandboxError>),
    Came(Visit),
    Watches(Watcher),
    /// A person ends it, with a client of this name.
    EndedBy(String),
    TimeIsUp,
    BrokenOff,
    GivenUp,
    /// Nobody can come any more.
    Abandoned,
}

impl Keeper {
    /// Keeps a process that has begun.
    pub(crate) fn new(
        mut process: Process,
        has_terminal: bool,
        spools: Arc<dyn Spools>,
        interceptor: Interceptor,
    ) -> Self {
        let output: Reader = Box::new(process.take_output());
        let input = process.take_input().map(|pipe| Box::new(pipe) as Writer);
        let collector = Collector::new(Arc::clone(&spools), Room::DEFAULT);
        Self {
            process,
            output: Some(output),
            input,
            has_terminal,
            spools,
            collector,
            waiting: Vec::new(),
            closes: false,
            started: Instant::now(),
            visit: None,
            watchers: Vec::new(),
            give_up_at: None,
            is_ended: Arc::default(),
            ended_by: None,
            on_end: Arc::default(),
            proxy: None,
            interceptor,
        }
    }

    /// Keeps this for as long as the process lives.
    pub(crate) fn with_proxy(mut self, proxy: Option<Served>) -> Self {
        self.proxy = proxy;
        self
    }

    /// Tells this of the end, whether or not somebody heard of it.
    pub(crate) fn tells(mut self, on_end: Arc<Notify>) -> Self {
        self.on_end = on_end;
        self
    }

    /// Whether it is at a terminal.
    pub(crate) fn has_terminal(&self) -> bool {
        self.has_terminal
    }

    /// Becomes true when the process has ended, whether or not that was told.
    pub(crate) fn is_ended(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_ended)
    }

    /// Keeps it until somebody heard how it ended, or until it is dropped.
    pub(crate) async fn run(
        mut self,
        mut visits: mpsc::Receiver<Visit>,
        mut watchers: mpsc::Receiver<Watcher>,
        mut ends: mpsc::Receiver<String>,
    ) {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut end = None;
        let mut is_input_refused = false;
        loop {
            if end.is_some() && self.visit.is_some() {
                let stage = match end.take() {
                    // One that had ended by itself before the signal came did so.
                    Some(Ok(exit)) => match self.ended_by.take() {
                        Some(name) if matches!(exit, Exit::Signal(_)) => Stage::EndedBy(name),
                        Some(_) | None => Stage::Ended(exit),
                    },
                    Some(Err(error)) => Stage::Lost(error),
                    None => Stage::GoesOn,
                };
                self.leave(stage, is_input_refused).await;
                return;
            }
            match self.next((&mut visits, &mut watchers, &mut ends), &mut buffer, end.is_some()).await {
                Happened::Printed(count) => {
                    self.let_hear(&buffer[..count]);
                    let text = self.collector.push(&buffer[..count]).await;
                    if let Some(visit) = &self.visit
                        && !text.is_empty()
                        && visit.progress.send(text).await.is_err()
                    {
                        tracing::debug!("nobody watches the command any more");
                    }
                }
                Happened::OutputEnded | Happened::GivenUp => self.output = None,
                Happened::Typed(count) => {
                    self.waiting.drain(..count);
                    self.close_if_done();
                }
                Happened::InputClosed => {
                    self.waiting.clear();
                    self.input = None;
                }
                Happened::Ended(outcome) => {
                    self.is_ended.store(true, Ordering::Relaxed);
                    self.on_end.notify_one();
                    for mut watcher in self.watchers.drain(..) {
                        watcher.hear_end(&outcome, self.ended_by.as_deref());
                    }
                    end = Some(outcome);
                }
                Happened::Came(visit) => is_input_refused = self.receive(visit),
                Happened::Watches(watcher) => self.receive_watcher(watcher, end.as_ref()),
                Happened::EndedBy(name) => {
                    self.ended_by = Some(name);
                    self.kill();
                }
                Happened::TimeIsUp => self.leave(Stage::GoesOn, is_input_refused).await,
                Happened::BrokenOff => {
                    let kills = self.visit.as_ref().is_some_and(|visit| visit.on_cancel == OnCancel::Kill);
                    if kills {
                        self.kill();
                    }
                    self.leave(Stage::Interrupted, is_input_refused).await;
                    if kills {
                        // Waits until nothing of it is left.
                        let _ = self.process.wait().await;
                        return;
                    }
                }
                Happened::Abandoned => return,
            }
        }
    }

    async fn next(
        &mut self,
        (visits, watchers, ends): (
            &mut mpsc::Receiver<Visit>,
            &mut mpsc::Receiver<Watcher>,
            &mut mpsc::Receiver<String>,
        ),
        buffer: &mut [u8],
        is_ended: bool,
    ) -> Happened {
        let (output, input, visit) = (&mut self.output, &mut self.input, &mut self.visit);
        let waiting = &self.waiting;
        let is_read = output.is_some();
        let reading = if is_read { Reading::GoesOn } else { Reading::IsOver };
        tokio::select! {
            read = async { match output { Some(output) => output.read(buffer).await, None => std::future::pending().await } } => {
                match read {
                    Ok(0) => Happened::OutputEnded,
                    Ok(count) => Happened::Printed(count),
                    // A terminal whose command has ended says so with an error.
                    Err(error) => {
                        tracing::debug!(%error, "the output of a command ended");
                        Happened::OutputEnded
                    }
                }
            }
            written = async { match input { Some(input) => input.write(waiting).await, None => std::future::pending().await } }, if !waiting.is_empty() => {
                match written {
                    Ok(count) if count > 0 => Happened::Typed(count),
                    Ok(_) | Err(_) => Happened::InputClosed,
                }
            }
            ended = self.interceptor.wait(&mut self.process, reading), if !is_ended => Happened::Ended(ended),
            Some(watcher) = watchers.recv() => Happened::Watches(watcher),
            Some(name) = ends.recv(), if !is_ended => Happened::EndedBy(name),
            came = visits.recv(), if visit.is_none() => came.map_or(Happened::Abandoned, Happened::Came),
            happened = async { match visit { Some(visit) => wait_for(visit).await, None => std::future::pending().await } } => happened,
            () = tokio::time::sleep_until(self.give_up_at.unwrap_or_else(Instant::now)), if self.give_up_at.is_some() && is_read => {
                tracing::warn!("a killed command does not let go of its output");
                Happened::GivenUp
            }
        }
    }

    /// Somebody comes; says whether what they type can't be.
    fn receive(&mut self, mut visit: Visit) -> bool {
        if let Some(size) = visit.size
            && let Err(error) = self.process.resize(size)
        {
            tracing::warn!(%error, "a terminal does not change its size");
        }
        let mut typed = std::mem::take(&mut visit.input);
        let closes = !self.has_terminal && typed.last() == Some(&END_OF_INPUT);
        if closes {
            typed.pop();
        }
        let is_refused = !typed.is_empty()
            && (self.input.is_none() || self.closes || self.waiting.len() + typed.len() > MAX_INPUT_BYTES);
        if !is_refused {
            self.waiting.extend_from_slice(&typed);
        }
        self.closes |= closes;
        self.close_if_done();
        match visit.signal {
            Some(Signal::Interrupt) => self.process.interrupt(),
            Some(Signal::Terminate) => self.process.terminate(),
            Some(Signal::Kill) => self.kill(),
            None => {}
        }
        self.collector.resize(visit.room);
        self.visit = Some(visit);
        is_refused
    }

    /// Somebody waits, also for what was printed and not taken away yet.
    fn receive_watcher(&mut self, mut watcher: Watcher, end: Option<&Result<Exit, SandboxError>>) {
        watcher.hear(self.collector.so_far().as_bytes());
        if let Some(end) = end {
            watcher.hear_end(end, self.ended_by.as_deref());
        }
        self.watchers.retain(|watcher| !watcher.is_done());
        if !watcher.is_done() && self.watchers.len() < MAX_WATCHERS {
            self.watchers.push(watcher);
        }
    }

    fn let_hear(&mut self, bytes: &[u8]) {
        for watcher in &mut self.watchers {
            watcher.hear(bytes);
        }
        self.watchers.retain(|watcher| !watcher.is_done());
    }

    fn close_if_done(&mut self) {
        if self.closes && self.waiting.is_empty() {
            self.input = None;
        }
    }

    fn kill(&mut self) {
        self.process.kill();
        self.interceptor.stop();
        self.give_up_at = Some(Instant::now() + CLEARING);
    }

    /// The visitor goes with what was printed.
    async fn leave(&mut self, stage: Stage, is_input_refused: bool) {
        let Some(visit) = self.visit.take() else { return };
        let fresh = Collector::new(Arc::clone(&self.spools), Room::DEFAULT);
        let output = std::mem::replace(&mut self.collector, fresh).finish().await;
        let mut refusals = self.process.refusals();
        refusals.extend(self.proxy.iter().flat_map(Served::refusals));
        let (notes, ran) = (self.interceptor.notes(), self.started.elapsed());
        let stopped = self.process.stopped().to_vec();
        let visited = Visited { stage, output, refusals, stopped, notes, ran, is_input_refused };
        if visit.reply.send(visited).is_err() {
            tracing::debug!("the visitor of a process is gone");
        }
    }
}

/// Until a visit is over by itself.
async fn wait_for(visit: &mut Visit) -> Happened {
    tokio::select! {
        () = visit.cancel.cancelled() => Happened::BrokenOff,
        () = visit.reply.closed() => Happened::BrokenOff,
        () = tokio::time::sleep_until(visit.until) => Happened::TimeIsUp,
    }
}
