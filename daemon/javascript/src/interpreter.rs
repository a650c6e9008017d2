//! The process that evaluates, from the daemon's side: started in a sandbox, told what to run, and held to its time.
//! What it says is not trusted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use protocol::item::ItemStatus;
use protocol::profile::{Access, NetworkAccess, Profile, SandboxMode};
use sandbox::{CommandRequest, Exit, Interception, Launcher, Output, Process, Proxy, Stdin};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;
use tools::output::Collector;
use tools::tool::{Called, RunContext};

use crate::child::ARGUMENT;
use crate::error::JavaScriptError;
use crate::message::{Ended, Order, Told};

/// Bytes of a line that the process may say.
const MAX_LINE: u64 = 2 * 1024 * 1024;
/// Messages of the process that may wait; a full channel slows it.
const TOLD_QUEUE: usize = 16;
/// Calls of tools that may be open at a time.
const MAX_OPEN: usize = 64;
/// How long code may take to stop.
const STOPS_WITHIN: Duration = Duration::from_millis(500);
/// How long the process may take to take what it is told.
const LISTENS_WITHIN: Duration = Duration::from_secs(5);
/// What the tool is called.
pub(crate) const NAME: &str = "js_repl";

/// A process that evaluates. Dropping it kills it.
pub(crate) struct Interpreter {
    process: Process,
    input: pipe::Sender,
    told: mpsc::Receiver<Told>,
    _reading: AbortOnDropHandle<()>,
    runs: u64,
    /// Whether it was told only a part of something, so that it understands nothing any more.
    is_half_told: bool,
}

/// What ends a wait.
enum Next {
    Told(Option<Told>),
    Called(u64, Called),
    TimedOut,
    Interrupted,
}

impl Interpreter {
    /// Starts one where commands of this profile may look, but where it changes nothing.
    ///
    /// # Errors
    /// `Start`.
    pub(crate) async fn start(
        launcher: &Launcher,
        program: &Path,
        profile: &Profile,
    ) -> Result<Self, JavaScriptError> {
        let request = CommandRequest {
            argv: vec![program.into(), ARGUMENT.into()],
            cwd: PathBuf::from("/"),
            environment: Vec::new(),
            profile: confined(profile),
            stdin: Stdin::Piped,
            output: Output::Separate,
            proxy: Proxy::None,
            interception: Interception::Off,
        };
        let mut process = launcher.spawn(request).await.map_err(JavaScriptError::Start)?;
        let output = process.take_output();
        let Some(input) = process.take_input() else {
            return Err(JavaScriptError::Ended { how: "it has no input".to_owned() });
        };
        let (tell, told) = mpsc::channel(TOLD_QUEUE);
        let reading = AbortOnDropHandle::new(tokio::spawn(read(output, tell)));
        Ok(Self { process, input, told, _reading: reading, runs: 0, is_half_told: false })
    }

    /// Runs code to its end, and all calls that it makes. After an error the interpreter is of no use any more.
    ///
    /// # Errors
    /// `Ended`, `Killed`, `Interrupted`.
    pub(crate) async fn run(
        &mut self,
        code: String,
        allowed: Duration,
        context: &RunContext,
        printed: &mut Collector,
    ) -> Result<Ended, JavaScriptError> {
        let run = self.runs;
        self.runs += 1;
        let mut calls = FuturesUnordered::new();
        let outcome = async {
            self.order(&Order::Run { run, code }).await?;
            let mut left = allowed;
            let mut is_stopping = false;
            loop {
                // While it waits for tools, those have its time.
                let counts = calls.is_empty() || is_stopping;
                let since = Instant::now();
                let next = tokio::select! {
                    biased;
                    () = context.cancel.cancelled() => Next::Interrupted,
                    // What is told may have no end.
                    () = std::future::ready(()), if counts && left.is_zero() => Next::TimedOut,
                    Some((call, called)) = calls.next() => Next::Called(call, called),
                    told = self.told.recv() => Next::Told(told),
                    () = tokio::time::sleep(left), if counts => Next::TimedOut,
                };
                if counts {
                    left = left.saturating_sub(since.elapsed());
                }
                match next {
                    Next::Interrupted => return Err(JavaScriptError::Interrupted),
                    Next::Told(Some(Told::Ended(ended))) => return Ok(ended),
                    Next::Told(Some(Told::Printed(text))) => {
                        let piece = printed.push(text.as_bytes()).await;
                        if !piece.is_empty() && context.progress.send(piece).await.is_err() {
                            tracing::trace!("nobody watches what code prints");
                        }
                    }
                    Next::Told(Some(Told::Call { call, name, arguments })) => {
                        if let Some(reason) = refusal(&name, calls.len()) {
                            self.order(&Order::Answer { call, outcome: Err(reason) }).await?;
                            continue;
                        }
                        let calling = context.caller.call(name, arguments);
                        calls.push(async move { (call, calling.await) });
                    }
                    Next::Told(None) => return Err(self.ended().await),
                    Next::Called(call, called) => {
                        self.order(&Order::Answer { call, outcome: outcome(called) }).await?;
                    }
                    Next::TimedOut if is_stopping => {
                        return Err(JavaScriptError::Killed { allowed_ms: milliseconds(allowed) });
                    }
                    Next::TimedOut => {
                        self.order(&Order::Stop { run }).await?;
                        is_stopping = true;
                        left = STOPS_WITHIN;
                    }
                }
            }
        }
        .await;
        // Whatever became of the code, what it called comes to its end before the call that made it does.
        tokio::select! {
            () = async { while calls.next().await.is_some() {} } => {}
            () = context.cancel.cancelled() => {}
        }
        outcome
    }

    /// Has code stop whose run nobody waits for any more. `None` if it does not: then the process is killed.
    pub(crate) async fn settle(mut self) -> Option<Self> {
        if self.is_half_told {
            return None;
        }
        let run = self.runs.checked_sub(1)?;
        let stopping = async {
            self.order(&Order::Stop { run }).await.ok()?;
            // What it says until then is nobody's.
            while !matches!(self.told.recv().await?, Told::Ended(_)) {}
            Some(())
        };
        timeout(STOPS_WITHIN, stopping).await.ok()??;
        Some(self)
    }

    async fn order(&mut self, order: &Order) -> Result<(), JavaScriptError> {
        let ended = |how: String| JavaScriptError::Ended { how };
        let mut line = serde_json::to_vec(order).map_err(|error| ended(error.to_string()))?;
        line.push(b'\n');
        // Whoever drops this in the middle has written a part.
        self.is_half_told = true;
        let written = timeout(LISTENS_WITHIN, self.input.write_all(&line)).await;
        match written {
            Ok(Ok(())) => {
                self.is_half_told = false;
                Ok(())
            }
            Ok(Err(_)) => Err(self.ended().await),
            Err(_) => Err(ended("it does not listen".to_owned())),
        }
    }

    /// How the process ended, which does not say anything any more.
    async fn ended(&mut self) -> JavaScriptError {
        self.process.kill();
        let how = match self.process.wait().await {
            Ok(Exit::Code(code)) => format!("with exit code {code}"),
            Ok(Exit::Signal(signal)) => format!("by signal {signal}"),
            Err(error) => error.to_string(),
        };
        JavaScriptError::Ended { how }
    }
}

/// Hands on what the process says, until it says nothing more or nonsense.
async fn read(output: impl AsyncRead + Send + Unpin, tell: mpsc::Sender<Told>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let read = (&mut output).take(MAX_LINE).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        let Ok(told) = serde_json::from_slice(&line) else {
            tracing::warn!("an interpreter said something that makes no sense");
            return;
        };
        if tell.send(told).await.is_err() {
            return;
        }
    }
}

/// Why a tool can't be called, if it can't.
fn refusal(name: &str, open: usize) -> Option<String> {
    if name == NAME {
        return Some(format!("`{NAME}` can't call itself"));
    }
    (open >= MAX_OPEN).then(|| format!("Not run: {MAX_OPEN} calls are open already; await some first"))
}

fn outcome(called: Called) -> Result<String, String> {
    match called.status {
        ItemStatus::Completed => Ok(called.text),
        ItemStatus::InProgress
        | ItemStatus::Failed
        | ItemStatus::Declined
        | ItemStatus::Interrupted
        | ItemStatus::Discarded
        | ItemStatus::Unknown(_) => Err(called.text),
    }
}

/// The profile without leave to write or to reach the network. Where a person wants no sandbox there is none.
fn confined(profile: &Profile) -> Profile {
    let mut confined = profile.clone();
    if confined.mode == SandboxMode::DangerFullAccess {
        return confined;
    }
    confined.mode = SandboxMode::ReadOnly;
    confined.network = NetworkAccess::Off;
    confined.network_rules.clear();
    confined.unix_sockets.clear();
    for rule in &mut confined.paths {
        if rule.access == Access::Write {
            rule.access = Access::Read;
        }
    }
    confined
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
