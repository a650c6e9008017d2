//! `exec_command`: runs a command that may go on in the background.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::item::{Command, CommandExit, CommandOutcome, ItemBody, ItemStatus};
use protocol::tool::{ToolCall, ToolSpecification};
use sandbox::{CommandRequest, Exit, Launcher, Output, Stdin, TerminalSize};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::again::{self, Ran};
use crate::apply_patch;
use crate::arguments;
use crate::interception::{self, Interceptor};
use crate::leave::{SandboxPermissions, Wish};
use crate::network;
use crate::output::Room;
use crate::processes::{Handle, Keeper, OnCancel, Signal, Stage, Visit, Visited};
use crate::shell;
use crate::stopped;
use crate::terminal::{self, Size};
use crate::tool::{CallError, RunContext, RunOutcome, Tool};

/// The tool's name.
pub(crate) const NAME: &str = "exec_command";
/// How long a call waits if the model does not say.
const DEFAULT_YIELD: Duration = Duration::from_secs(10);
/// How long a call waits at least and at most.
const YIELDS: std::ops::RangeInclusive<u64> = 100..=300_000;

/// Runs commands that may go on.
pub(crate) struct ExecCommand {
    launcher: Arc<Launcher>,
}

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    cmd: String,
    #[serde(default)]
    workdir: Option<PathBuf>,
    /// Default 10000
    #[serde(default)]
    yield_time_ms: Option<u64>,
    /// Default 8000
    #[serde(default)]
    max_output_tokens: Option<u32>,
    /// Run at a terminal
    #[serde(default)]
    tty: bool,
    /// Of the terminal; default 120 x 40
    #[serde(default)]
    size: Option<Size>,
    #[serde(default)]
    escalate: bool,
    #[serde(default)]
    #[schemars(skip)]
    sandbox_permissions: Option<SandboxPermissions>,
    #[serde(default)]
    justification: Option<String>,
}

impl ExecCommand {
    pub(crate) fn new(launcher: Arc<Launcher>) -> Self {
        Self { launcher }
    }
}

impl Tool for ExecCommand {
    fn specification(&self) -> ToolSpecification {
        ToolSpecification {
            name: NAME.to_owned(),
            description: include_str!("exec_command.md").trim().to_owned(),
            input: arguments::input::<Arguments>(),
        }
    }

    fn prepare(&self, call: &ToolCall, cwd: &Path) -> Result<ItemBody, CallError> {
        let command = understand(call, cwd, shell::path())?;
        let change = apply_patch::from_shell(call, &command.argv, &command.cwd);
        Ok(change.unwrap_or(ItemBody::Command(command)))
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        let launcher = Arc::clone(&self.launcher);
        Box::pin(async move {
            match body {
                ItemBody::Command(command) => {
                    again::run(command, context, |command, context| run(&launcher, command, context)).await
                }
                other => RunOutcome { status: ItemStatus::Failed, body: other },
            }
        })
    }
}

/// Understands a call; scripts are for this shell.
pub(crate) fn understand(call: &ToolCall, cwd: &Path, shell: &str) -> Result<Command, CallError> {
    let arguments: Arguments = arguments::read(call)?;
    let bad = |reason: &str| CallError::BadArguments { tool: NAME.to_owned(), reason: reason.to_owned() };
    if arguments.cmd.trim().is_empty() {
        return Err(bad("`cmd` is empty"));
    }
    if arguments.cmd.contains('\0') {
        return Err(bad("`cmd` holds a NUL character"));
    }
    if let Some(size) = arguments.size {
        size.read().map_err(|reason| bad(&reason))?;
        if !arguments.tty {
            return Err(bad("`size` is that of a terminal; set `tty` too"));
        }
    }
    let wish = Wish { escalate: arguments.escalate, sandbox_permissions: arguments.sandbox_permissions };
    let is_escalated = wish.is_to_leave().map_err(|reason| bad(&reason))?;
    Ok(Command {
        call: call.clone(),
        argv: vec![shell.to_owned(), "-c".to_owned(), arguments.cmd.clone()],
        command: arguments.cmd,
        cwd: arguments.workdir.map_or_else(|| cwd.to_owned(), |folder| cwd.join(folder)),
        is_escalated,
        justification: arguments.justification,
        has_terminal: arguments.tty,
        process_id: None,
        timeout_ms: None,
        output_so_far: String::new(),
        outcome: None,
        message: None,
    })
}

async fn run(launcher: &Arc<Launcher>, mut command: Command, context: RunContext) -> Ran {
    let Ok(arguments) = arguments::read::<Arguments>(&command.call) else {
        return Ran::of(failed(command, "The arguments can't be read any more".to_owned()));
    };
    let (output, environment) = if command.has_terminal {
        let size = arguments.size.and_then(|size| size.read().ok()).unwrap_or(terminal::USUAL);
        (Output::Terminal(size), terminal::environment(&context.environment).into())
    } else {
        (Output::Piped, Arc::clone(&context.environment))
    };
    let started = launcher.spawn(CommandRequest {
        argv: command.argv.iter().map(OsString::from).collect(),
        cwd: command.cwd.clone(),
        environment: environment.to_vec(),
        profile: context.profile.as_ref().clone(),
        stdin: Stdin::Piped,
        output,
        proxy: network::proxy(&context.profile),
        interception: interception::wanted(&context),
    });
    let mut process = match started.await {
        Ok(process) => process,
        Err(error) => return Ran::of(failed(command, error.to_string())),
    };
    let proxy = network::serve(&mut process, &context);
    let interceptor = Interceptor::new(launcher, &context, Arc::clone(&environment));
    let keeper = Keeper::new(process, command.has_terminal, Arc::clone(&context.spools), interceptor);
    let keeper = keeper.with_proxy(proxy);
    let processes = context.belongings.processes();
    let (id, handle, evicted) = processes.keep(keeper, command.command.clone(), command.is_escalated);
    command.message = evicted.map(|evicted| {
        format!("Process {} (`{}`) was ended to make room for this one.", evicted.id, evicted.command)
    });
    let call = Call {
        id,
        input: Vec::new(),
        signal: None,
        size: None,
        waits: waits(arguments.yield_time_ms, DEFAULT_YIELD),
        room: room(arguments.max_output_tokens),
        on_cancel: OnCancel::Kill,
    };
    Ran { environment, ..visit(command, &handle, call, &context).await }
}

/// What a call wants of a process.
pub(crate) struct Call {
    pub(crate) id: u32,
    pub(crate) input: Vec<u8>,
    pub(crate) signal: Option<Signal>,
    pub(crate) size: Option<TerminalSize>,
    pub(crate) waits: Duration,
    pub(crate) room: Room,
    pub(crate) on_cancel: OnCancel,
}

/// How long a call waits.
pub(crate) fn waits(asked_ms: Option<u64>, usual: Duration) -> Duration {
    asked_ms.map_or(usual, |asked| Duration::from_millis(asked.clamp(*YIELDS.start(), *YIELDS.end())))
}

/// How much output is shown.
pub(crate) fn room(tokens: Option<u32>) -> Room {
    tokens.map_or(Room::DEFAULT, Room::of_tokens)
}

/// Goes to a process and comes back with what there is to tell.
pub(crate) async fn visit(mut command: Command, handle: &Handle, call: Call, context: &RunContext) -> Ran {
    let (reply, told) = oneshot::channel();
    let visit = Visit {
        input: call.input,
        signal: call.signal,
        size: call.size,
        until: Instant::now() + call.waits,
        room: call.room,
        progress: mpsc::Sender::clone(&context.progress),
        cancel: context.cancel.clone(),
        on_cancel: call.on_cancel,
        reply,
    };
    let visited = match handle.visits.send(visit).await {
        Ok(()) => told.await.ok(),
        Err(_) => None,
    };
    let processes = context.belongings.processes();
    let Some(Visited { stage, output, refusals, stopped, notes, ran, is_input_refused }) = visited else {
        processes.forget(call.id);
        return Ran::of(failed(command, format!("Process {} is gone", call.id)));
    };
    if is_input_refused {
        let note = "Nothing was typed: the process takes no input, or has too much waiting.".to_owned();
        command.message = Some(command.message.map_or(note.clone(), |message| format!("{message}\n{note}")));
    }
    let (status, exit, is_kept) = match stage {
        Stage::GoesOn => (ItemStatus::Completed, CommandExit::GoesOn, true),
        Stage::Interrupted => {
            (ItemStatus::Interrupted, CommandExit::Interrupted, call.on_cancel == OnCancel::Leave)
        }
        Stage::Ended(Exit::Code(code)) => {
            let status = if code == 0 { ItemStatus::Completed } else { ItemStatus::Failed };
            (status, CommandExit::Code { code }, false)
        }
        Stage::Ended(Exit::Signal(signal)) => (ItemStatus::Failed, CommandExit::Signal { signal }, false),
        Stage::EndedBy(name) => {
            stopped::add(&mut command, format!("The user ended process {} (from `{name}`).", call.id));
            (ItemStatus::Interrupted, CommandExit::Interrupted, false)
        }
        Stage::Lost(error) => {
            processes.forget(call.id);
            return Ran::of(failed(command, error.to_string()));
        }
    };
    command.process_id = is_kept.then_some(call.id);
    if is_kept {
        processes.leave(call.id);
    } else {
        processes.forget(call.id);
    }
    let duration_ms = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX);
    stopped::tell(&mut command, &refusals);
    notes.into_iter().for_each(|note| stopped::add(&mut command, note));
    command.outcome = Some(CommandOutcome { exit, duration_ms, output, refusals });
    Ran { stopped, ..Ran::of(RunOutcome { status, body: ItemBody::Command(command) }) }
}

/// It did not come to a process.
pub(crate) fn failed(mut command: Command, message: String) -> RunOutcome {
    command.message = Some(message);
    RunOutcome { status: ItemStatus::Failed, body: ItemBody::Command(command) }
}
